"""A connection that is turned away: before it is a request, or while it waits for one."""

import asyncio

LINGERING = 64
"""So many wait at a time for what their clients send; others are closed at once."""
LINGER_SECONDS = 1.0


class RejectedConnection(asyncio.Protocol):
    """Says why, if there is anything to say, and for a moment throws away what the client sends.

    Bytes that nobody has read would make the kernel reset the connection, and the client would not see the answer.
    """

    __slots__ = ("_others", "_timer")

    def __init__(
        self, transport: asyncio.Transport, said: bytes, others: set["RejectedConnection"]
    ) -> None:
        self._others = others
        self._timer: asyncio.TimerHandle | None = None
        if said:
            transport.write(said)
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
