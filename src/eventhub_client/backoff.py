"""How long to wait before the next attempt (PROTOCOL.md, "How long to wait")."""

from collections.abc import Callable

SHORTEST = 1.0
"""Seconds: the bound of the first waits."""
LONGEST = 30.0
"""Seconds: the bound of all waits."""


class Backoff:
    """A random time, of at most the time since the first failure."""

    def __init__(self, clock: Callable[[], float], random: Callable[[], float]) -> None:
        self._clock = clock
        self._random = random
        self._failed_at: float | None = None
        self._bound = 0.0
        """Of the last wait."""

    def delay(self, told: float | None = None, *, least: float | None = None) -> float:
        """Seconds after a failure: what the server told this client alone, or a random time.

        The random time begins after `least`, which the server tells everybody.
        """
        now = self._clock()
        if self._failed_at is None:
            self._failed_at = now
        self._bound = min(LONGEST, max(SHORTEST, now - self._failed_at))
        return told if told is not None else (least or 0.0) + self._random() * self._bound

    def lasted(self, seconds: float) -> None:
        """A connection has ended. Only one that lasted begins the waits again.

        It must have been longer than the longest wait before it: a server may accept and close at
        once.
        """
        if seconds > self._bound:
            self.reset()

    def reset(self) -> None:
        """It works."""
        self._failed_at = None
