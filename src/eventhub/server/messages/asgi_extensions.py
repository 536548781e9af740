"""Names of the ASGI extensions by which our HTTP protocol and our responses work together."""

ABORT = "eventhub.abort"
"""Scope extension: gives a response its connection.

`abort` closes the connection at once. `outgoing` returns the bytes that the peer has taken so far
(server/connections/liveness.py).
"""
COUNTED = "eventhub.counted"
"""Scope extension: the connection is already counted under its client's address."""
OFFER = "eventhub.offer"
"""Scope key: a function that takes the request, once its head was accepted."""
HALF_CLOSED = "eventhub.half_closed"
"""Message: after its body the client sends no more. It has disconnected, or it only reads on."""
