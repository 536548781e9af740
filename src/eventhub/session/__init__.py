"""One client's protocol, without I/O."""
