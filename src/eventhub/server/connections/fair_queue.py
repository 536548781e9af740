"""Shares the CPU time of the event loop fairly between clients.

Without it, one turn of the loop would process all input that was read: in a test, ten bursts of
messages that are expensive to parse took seconds. The rules:

1. A turn has TURN_SECONDS of CPU time for clients' input. Work that has begun is finished; the rest
   waits for later turns.
2. Waiting clients share the time evenly (start-time fair queueing). Each client has a position on a
   virtual clock of CPU time: the CPU time it was given so far, but at least the clock's time on
   arrival. The client that would finish first goes first.
3. Input of at most SMALL bytes goes first, in order of arrival. While larger input waits, it may
   use at most half of a turn. So a client that sends a message now and then is served at once, even
   while many others work off bursts. With even shares it would have to wait for a turn of each of
   them.
4. Between two such turns the loop makes LOOP_TURNS_BETWEEN turns for everything else: what was
   published is stored, fanned out and written before the next piece of a burst begins.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from time import thread_time
from typing import Self

SLICE_SECONDS = 0.0005
"""CPU time that one client's input may take in a turn. Work that has begun is finished."""
TURN_SECONDS = 0.002
"""The same for all clients together. Beyond it, input waits for a later turn."""
WORTH_COUNTING = 0.0001
"""Less CPU time than this is not counted."""
BURST = 4096
"""An input of this many bytes or more counts as a whole slice, a smaller one as a proportional
part.
"""
SMALL = 2048
"""Input of at most this many bytes, a few ordinary messages, goes before all larger input."""
LOOP_TURNS_BETWEEN = 4
"""Turns of the loop between two such turns: a publish is read in one turn, stored in the next, and
written one or two turns later.
"""


class FairQueue:
    """The input that waits for a turn of one event loop."""

    __slots__ = (
        "_clock",
        "_due",
        "_given",
        "_latest",
        "_loop",
        "_number",
        "_small",
        "_spent",
        "_waiting",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # A heap with one entry for each connection or request that waits.
        self._waiting: list[tuple[float, int, float, Callable[[], None]]] = []
        self._number = 0  # orders entries that would finish at the same time
        self._small: deque[Callable[[], None]] = deque()
        self._clock = 0.0
        self._latest = 0.0
        self._spent = 0.0
        self._due = False
        self._given = False

    @property
    def over(self) -> bool:
        """Whether no more work may begin in this turn: its time is up, or others wait."""
        return self._spent >= TURN_SECONDS or bool(self._waiting) or bool(self._small)

    def spend(self, seconds: float) -> None:
        """Note that work used this much CPU time of this turn."""
        if seconds >= WORTH_COUNTING:
            self._spent += seconds
            self._schedule_turn()

    def advanced_position(self, since: float, seconds: float) -> float:
        """Return a client's position after this much CPU time. `since` is its last position."""
        return max(since, self._clock) + (seconds if seconds >= WORTH_COUNTING else 0.0)

    def later(self, act: Callable[[], None], since: float = 0.0, size: int = BURST) -> None:
        """Call `act` in a later turn. `act` must report its CPU time with `spend`.

        `since` is its client's position, as returned by `advanced_position`. `size` is in bytes of
        input.
        """
        self._schedule_turn()
        if size <= SMALL:
            self._small.append(act)
            return
        start = max(since, self._clock)
        done = start + SLICE_SECONDS * min(size / BURST, 1)
        self._latest = max(self._latest, done)
        self._number += 1
        heappush(self._waiting, (done, self._number, start, act))

    async def next_turn(self, since: float = 0.0, size: int = BURST) -> None:
        """Wait for a later turn."""
        mine = self._loop.create_future()
        self.later(lambda: self._give(mine), since, size)
        await mine

    def _give(self, turn: asyncio.Future[None]) -> None:
        if not turn.done():  # the waiting coroutine may have been cancelled
            turn.set_result(None)
            self._given = True

    def _schedule_turn(self) -> None:
        if not self._due:
            self._due = True
            self._loop.call_soon(self._skip_turns, LOOP_TURNS_BETWEEN)

    def _skip_turns(self, left: int) -> None:
        """Leave `left` turns, including this one, to everything else."""
        if left > 1:
            self._loop.call_soon(self._skip_turns, left - 1)
        else:
            self._spent = 0.0
            self._go_on()

    def _go_on(self) -> None:
        """Work until the time of this turn is up or nothing waits."""
        self._given = False
        try:
            while (self._small or self._waiting) and self._spent < TURN_SECONDS and not self._given:
                before = self._spent
                self._take_next()()
                if self._spent == before:
                    self._spent += WORTH_COUNTING / 2
        finally:
            if self._given:
                # The coroutine that was given the turn runs first and notes what it used.
                self._loop.call_soon(self._go_on)
            else:
                self._due = False
                if self._waiting or self._small or self._spent:
                    self._schedule_turn()

    def _take_next(self) -> Callable[[], None]:
        if self._small and (self._spent < TURN_SECONDS / 2 or not self._waiting):
            return self._small.popleft()
        _, _, start, act = heappop(self._waiting)
        self._clock = max(self._clock, start)
        if not self._waiting:
            # No client waits. A client that was served goes before one that arrives after it.
            self._clock = max(self._clock, self._latest)
        return act


class TimeSlice:
    """The CPU time of one client in a turn. It is checked between two pieces of work."""

    __slots__ = ("_begin", "_fair_queue", "_since")

    def __init__(self, fair_queue: FairQueue) -> None:
        self._fair_queue = fair_queue
        self._begin = thread_time()
        self._since = 0.0

    @property
    def over(self) -> bool:
        """Whether the slice is used up."""
        return thread_time() - self._begin >= SLICE_SECONDS

    async def next_turn(self) -> None:
        """Let other clients go first, and continue in a later turn."""
        seconds = thread_time() - self._begin
        self._fair_queue.spend(seconds)
        self._since = self._fair_queue.advanced_position(self._since, seconds)
        await self._fair_queue.next_turn(self._since)
        self._begin = thread_time()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Note the CPU time that was used."""
        self._fair_queue.spend(thread_time() - self._begin)
