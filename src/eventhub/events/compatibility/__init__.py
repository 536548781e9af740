"""Whether a schema may follow another one: set inclusion of JSON Schemas, without I/O."""
