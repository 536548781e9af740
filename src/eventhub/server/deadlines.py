"""Things to do at a time, for any number of connections and one task: to the second, at most one per key."""

import asyncio
import heapq
from collections.abc import Callable, Hashable

Act = Callable[[], None]

SPARE = 1000
"""Seconds at which nothing is to be done any more that are kept at least: taking one out of a heap costs as much as making it anew."""


class Deadlines:
    """What is due when. Times are whole seconds of the caller's clock, which `run` is given."""

    def __init__(self) -> None:
        self._due: dict[Hashable, int] = {}
        self._acts: dict[int, dict[Hashable, Act]] = {}
        self._seconds: list[int] = []  # a heap that holds the keys of _acts, and others that were

    def __len__(self) -> int:
        return len(self._due)

    def set(self, key: Hashable, second: int, act: Act) -> None:
        """Call `act` at that second; what was to be done for this key is not."""
        self.clear(key)
        if second not in self._acts:
            self._acts[second] = {}
            heapq.heappush(self._seconds, second)
        self._acts[second][key] = act
        self._due[key] = second

    def clear(self, key: Hashable) -> None:
        """Nothing is to be done for this key."""
        if (second := self._due.pop(key, None)) is not None:
            acts = self._acts[second]
            del acts[key]
            if not acts:
                del self._acts[second]
                self._shrink()

    def reach(self, second: int) -> None:
        """Do what is due by then. What is done may set and clear."""
        while self._seconds and self._seconds[0] <= second:
            due = self._seconds[0]
            while acts := self._acts.get(due):
                key, act = acts.popitem()
                del self._due[key]
                act()
            self._acts.pop(due, None)
            if self._seconds and self._seconds[0] == due:
                heapq.heappop(self._seconds)

    async def run(self, clock: Callable[[], int]) -> None:
        """Do what is due, each second, until cancelled. `clock` gives seconds."""
        while True:
            await asyncio.sleep(1)
            self.reach(clock())

    def _shrink(self) -> None:
        """Tokens that end years from now come and go within minutes."""
        if len(self._seconds) > 2 * len(self._acts) + SPARE:
            self._seconds = sorted(self._acts)  # a sorted list is a heap
