"""A connection that the server closes before its first request, or between two requests."""

import asyncio

LINGERING = 64
"""Rejected connections that may linger at a time. Others are closed at once."""
LINGER_SECONDS = 1.0


class RejectedConnection(asyncio.Protocol):
    """Sends a last answer, and then discards the client's bytes for a moment.

    Unread bytes would make the kernel reset the connection, and the client would not see the
    answer.
    """

    __slots__ = ("_others", "_timer")

    def __init__(
        self, transport: asyncio.Transport, answer: bytes, others: set["RejectedConnection"]
    ) -> None:
        self._others = others
        self._timer: asyncio.TimerHandle | None = None
        if answer:
            transport.write(answer)
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
