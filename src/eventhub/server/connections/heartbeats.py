"""Decides when each connection's heartbeat is due: one in each period. Has no clock of its own.

All connections have the same period, so the order of the dictionary is the order in time. A
connection's heartbeats follow its arrival, so they are spread as the arrivals were. A heartbeat
costs much less than an arrival, so a node that managed the arrivals manages the heartbeats.
"""

import math
from itertools import takewhile
from typing import Generic, TypeVar

STEPS = 100
"""Steps of a period. Heartbeats that are due within one step are sent together, at most one step
late and never early.
"""

Key = TypeVar("Key")


class Heartbeats(Generic[Key]):
    """The due times of all heartbeats, in seconds on one clock that never goes back."""

    def __init__(self, period: float) -> None:
        self._period = period
        self._due: dict[Key, float] = {}

    def __len__(self) -> int:
        return len(self._due)

    def add(self, key: Key, now: float) -> None:
        """Add a connection. Its first heartbeat is due a period from now."""
        self._due[key] = now + self._period

    def discard(self, key: Key) -> None:
        """Remove a connection, if it is there."""
        self._due.pop(key, None)

    def take(self, now: float) -> list[Key]:
        """Return the connections that are due. Each is due again a period from now."""
        due = [key for key, _ in takewhile(lambda entry: entry[1] <= now, self._due.items())]
        for key in due:
            del self._due[key]
            self._due[key] = now + self._period
        return due

    def wait(self, now: float) -> float:
        """Return the seconds until the next heartbeat can be due; a step at least."""
        first = next(iter(self._due.values()), math.inf)
        return min(max(first - now, self._period / STEPS), self._period)
