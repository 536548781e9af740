"""Publishing over HTTP: one event, a JSON array or a stream of NDJSON lines."""
