"""When each connection's heartbeat is due: exactly one in each period, the first a period after it came. No clock of its own.

All have the same period, so whoever was beaten last is due last: the order in a dictionary is the order in time. Beats are
spread over the period as the connections' arrivals were, and an arrival costs a node several times what a beat does.
"""

import math
from itertools import takewhile
from typing import Generic, TypeVar

STEPS = 100
"""Of a period. Those due within one step are beaten together: late by a step at most, and never
early.
"""

Key = TypeVar("Key")


class Heartbeats(Generic[Key]):
    """Who is due, and when. Times are seconds on one clock that never goes back."""

    def __init__(self, period: float) -> None:
        self._period = period
        self._due: dict[Key, float] = {}

    def __len__(self) -> int:
        return len(self._due)

    def add(self, key: Key, now: float) -> None:
        """Its first beat is a period from now."""
        self._due[key] = now + self._period

    def discard(self, key: Key) -> None:
        """It needs none any more. It may be unknown."""
        self._due.pop(key, None)

    def take(self, now: float) -> list[Key]:
        """Those whose beat is due; the next one of each is a period from now, however late this one is."""
        due = [key for key, _ in takewhile(lambda entry: entry[1] <= now, self._due.items())]
        for key in due:
            del self._due[key]
            self._due[key] = now + self._period
        return due

    def wait(self, now: float) -> float:
        """Seconds until somebody can be due, whoever comes meanwhile; a step at least."""
        first = next(iter(self._due.values()), math.inf)
        return min(max(first - now, self._period / STEPS), self._period)
