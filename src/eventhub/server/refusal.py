"""A connection that is turned away before it is a request."""

import asyncio

from eventhub.errors import EventHubError
from eventhub.server.handshake import refusal

LINGERING = 64
"""So many wait at a time for what their clients send; others are closed at once."""
LINGER_SECONDS = 1.0


class Refusal(asyncio.Protocol):
    """Says why, and for a moment throws away what the client sends.

    Bytes that nobody has read would make the kernel reset the connection, and the client would not see the answer.
    """

    __slots__ = ("_others", "_timer")

    def __init__(self, transport: asyncio.Transport, error: EventHubError, others: set["Refusal"]) -> None:
        self._others = others
        self._timer: asyncio.TimerHandle | None = None
        transport.write(refusal(error))
        if len(others) < LINGERING and transport.can_write_eof():
            others.add(self)
            transport.write_eof()
            self._timer = asyncio.get_running_loop().call_later(LINGER_SECONDS, transport.abort)
        else:
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._others.discard(self)
        if self._timer is not None:
            self._timer.cancel()
