"""The HTTP interface but for publishing and streams."""
