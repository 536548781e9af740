"""Order, resume and fan-out, without I/O."""
