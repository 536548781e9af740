"""Calls a function when the deadline of a connection passes, unless it is cleared first."""

import math
from collections.abc import Callable, Hashable
from functools import partial
from itertools import islice

from eventhub.common.faults import Faults
from eventhub.common.scheduler import Scheduler

TICKS = 4
"""Ticks in a second."""
SLICE = 200
"""Deadlines called in one turn of the loop. The others follow in the next turn."""
HORIZON = 3600
"""Seconds that one timer covers. A deadline that is further away is set again after them.

This bounds the number of timers, however many deadlines are set and cleared.
"""

Expired = Callable[[], None]


class Deadlines:
    """One deadline for each key, such as (connection, purpose). It is a tick late at most.

    One timer serves all deadlines of a tick, and a deadline is two entries in dictionaries. A timer
    for each connection would cost more.
    """

    __slots__ = ("_due", "_faults", "_loop", "_ticks")

    def __init__(self, loop: Scheduler, faults: Faults) -> None:
        self._loop = loop
        self._faults = faults
        self._due: dict[int, dict[Hashable, Expired]] = {}
        self._ticks: dict[Hashable, int] = {}

    def set(self, key: Hashable, when: float, expired: Expired) -> None:
        """Call `expired` at `when`, in seconds on the loop's clock. Replaces the key's deadline."""
        self.clear(key)
        if when > (horizon := self._loop.time() + HORIZON):
            when, expired = horizon, partial(self.set, key, when, expired)
        tick = self._ticks[key] = math.ceil(when * TICKS)
        if tick not in self._due:
            self._due[tick] = {}
            self._loop.call_at(tick / TICKS, self._expire, tick)
        self._due[tick][key] = expired

    def after(self, key: Hashable, seconds: float, expired: Expired) -> None:
        """Call `expired` after this many seconds."""
        self.set(key, self._loop.time() + seconds, expired)

    def clear(self, key: Hashable) -> None:
        """Remove the deadline of this key, if there is one."""
        if (tick := self._ticks.pop(key, None)) is not None:
            del self._due[tick][key]  # an empty tick stays until its timer fires

    def __len__(self) -> int:
        return len(self._ticks)

    def _expire(self, tick: int) -> None:
        due = self._due[tick]
        for key, expired in list(islice(due.items(), SLICE)):
            if due.pop(key, None) is not None:  # an earlier one may have cleared it
                del self._ticks[key]
                self._faults.contain("deadline", expired)
        if due:
            self._loop.call_soon(self._expire, tick)
        else:
            del self._due[tick]
