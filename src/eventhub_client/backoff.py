"""How long to wait before the next attempt (PROTOCOL.md, heartbeat and closing)."""

from collections.abc import Callable

LONGEST = 30.0
"""Seconds."""


class Backoff:
    """A random time: up to 1 second at first, then up to twice as long each time."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._attempts = 0

    def delay(self, told: float | None = None) -> float:
        """Seconds. What the server has told comes first."""
        bound = min(LONGEST, 2.0 ** min(self._attempts, 10))
        self._attempts += 1
        return told if told is not None else self._random() * bound

    def reset(self) -> None:
        """It worked for a while: begin again with the first step."""
        self._attempts = 0
