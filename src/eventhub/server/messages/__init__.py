"""HTTP messages: rules for request heads, and responses that several folders send."""
