"""The HTTP interface: its routes, its documents, and the path of every request."""
