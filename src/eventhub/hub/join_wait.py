"""Decides how long the events of a large audience wait for others to share their writes. No I/O.

While publishers are slower than the fan-out, no event waits. Once an event arrives right behind a
long flush, publishers are as fast as the fan-out: the next events are probably a few microseconds
away, and each that shares a write saves a whole flush. So it waits for a part of what the last
flush took. If nothing arrived meanwhile, the publisher was probably waiting for its subscribers,
and the following events do not wait.
"""

SHARE = 0.25
"""Of the last flush: events wait this long at most. The next flush is late by as much."""
MOST_SECONDS = 0.001
"""Events wait this long at most, whatever the last flush took."""
MOST_SKIPPED = 64
"""After waits that joined nothing, so many flushes at most begin at once before the next wait."""


class JoinWait:
    """The waits of one schedule. Times are in seconds, of one clock."""

    __slots__ = ("_ended", "_most", "_skipped", "_waited")

    def __init__(self) -> None:
        self._ended = float("-inf")  # when the last flush ended
        self._most = 0.0  # how long events behind it may wait
        self._skipped = 0  # flushes that begin at once
        self._waited = 0  # waits in a row that joined nothing

    def begin(self, now: float) -> float:
        """The first event of the next flush has arrived. Returns when to flush."""
        if self._most == 0.0 or now - self._ended > self._most:
            return now
        if self._skipped:
            self._skipped -= 1
            return now
        return now + self._most

    def waited(self, *, joined: bool) -> None:
        """A wait is over. `joined`: further events came meanwhile."""
        self._waited = 0 if joined else self._waited + 1
        self._skipped = 0 if joined else min(1 << self._waited, MOST_SKIPPED)

    def flushed(self, begin: float, end: float) -> None:
        """Everything is written."""
        self._ended = end
        self._most = min((end - begin) * SHARE, MOST_SECONDS)
