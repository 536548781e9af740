"""Server-Sent Events and NDJSON."""
