"""The two timers of an HTTP connection: one for a request's head, one between requests."""

import asyncio
from collections.abc import Callable

LAST_CALL_SECONDS = 1.0
"""Time for another request on an idle connection when the server stops: one may be on its way."""
DISCARDING_SECONDS = 1.0
"""Time for the rest of a body after its request was answered. Then the connection closes."""


class RequestTimers:
    """At most one of each runs. Starting one again stops it first."""

    __slots__ = ("_head", "_loop", "_wait")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._head: asyncio.TimerHandle | None = None
        self._wait: asyncio.TimerHandle | None = None

    @property
    def head_runs(self) -> bool:
        """A head is waited for."""
        return self._head is not None

    def start_head(self, seconds: float, late: Callable[[], None]) -> None:
        """Call `late` unless `stop_head` is called before."""
        self.stop_head()
        self._head = self._loop.call_later(seconds, late)

    def stop_head(self) -> None:
        """The head is complete, or not waited for any more."""
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def start_wait(self, seconds: float, over: Callable[[], None]) -> None:
        """Call `over` unless `stop_wait` is called before."""
        self.stop_wait()
        self._wait = self._loop.call_later(seconds, over)

    def stop_wait(self) -> None:
        """The awaited bytes have come, or the connection ends."""
        if self._wait is not None:
            self._wait.cancel()
            self._wait = None
