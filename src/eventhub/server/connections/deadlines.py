"""What is to happen to connections unless something else does first. One timer for all that falls in the same tick."""

import math
from collections.abc import Callable, Hashable
from functools import partial
from itertools import islice
from typing import Protocol

from eventhub.common.faults import Faults

TICKS = 4
"""In a second."""
SLICE = 200
"""Called in one turn of the loop; the rest has the next."""

Expired = Callable[[], None]


class Scheduler(Protocol):
    """What is asked of an event loop."""

    def time(self) -> float:
        """Seconds that never go back."""
        ...

    def call_at(self, when: float, callback: Callable[[int], object], tick: int, /) -> object:
        """Call it then."""
        ...

    def call_soon(self, callback: Callable[[int], object], tick: int, /) -> object:
        """Call it in the next turn."""
        ...


HORIZON = 3600
"""Seconds from now; what is further away is looked at again then. There are no more timers than
that, whatever is set and cleared.
"""


class Deadlines:
    """One deadline a key, such as (connection, purpose); late by a tick at most, never early.

    A timer for each connection would cost more than what it guards; here a deadline is two entries in dictionaries, and there is one timer
    for each tick that has any.
    """

    __slots__ = ("_due", "_faults", "_loop", "_ticks")

    def __init__(self, loop: Scheduler, faults: Faults) -> None:
        self._loop = loop
        self._faults = faults
        self._due: dict[int, dict[Hashable, Expired]] = {}
        self._ticks: dict[Hashable, int] = {}

    def set(self, key: Hashable, when: float, expired: Expired) -> None:
        """Call `expired` at `when`, seconds on the loop's clock, in place of what was set for the key before."""
        self.clear(key)
        if when > (far := self._loop.time() + HORIZON):
            when, expired = far, partial(self.set, key, when, expired)
        tick = self._ticks[key] = math.ceil(when * TICKS)
        if tick not in self._due:
            self._due[tick] = {}
            self._loop.call_at(tick / TICKS, self._expire, tick)
        self._due[tick][key] = expired

    def after(self, key: Hashable, seconds: float, expired: Expired) -> None:
        """Call `expired` so many seconds from now."""
        self.set(key, self._loop.time() + seconds, expired)

    def clear(self, key: Hashable) -> None:
        """It is not to happen. There may be nothing to clear."""
        if (tick := self._ticks.pop(key, None)) is not None:
            del self._due[tick][key]  # an empty tick stays until its timer

    def __len__(self) -> int:
        return len(self._ticks)

    def _expire(self, tick: int) -> None:
        due = self._due[tick]
        for key, expired in list(islice(due.items(), SLICE)):
            if due.pop(key, None) is not None:  # one that expired before it may have cleared it
                del self._ticks[key]
                self._faults.contain("deadline", expired)  # the others shall have theirs
        if due:
            self._loop.call_soon(self._expire, tick)
        else:
            del self._due[tick]
