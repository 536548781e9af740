"""How much of what clients sent is done in a turn of the event loop, and in which order the rest.

Without it a turn would take as long as all that was read in it: ten bursts of messages that are dear to look at were seconds.
The rules:

1. A turn has TURN_SECONDS of CPU time for clients' input. What has been begun is ended; the rest waits for turns to come.
2. The clients that wait share the time evenly (start-time fair queueing). Each stands on a clock of CPU time where it has been
   served to, or where that clock is when it comes, and the one goes first that would be done first: a small message of a client
   that was idle goes before the next piece of every burst, however many there are.
3. Input of at most SMALL bytes goes first, in the order in which it came, and for half of a turn
   while larger input waits. A client that sends one message now and then is served at once,
   however many clients work off a burst; even shares would let it wait for a round of them all.
4. Between two turns the loop turns GAP times for everything else: what was published is stored, fanned out and written before
   the next piece of a burst begins.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from time import thread_time
from typing import Self

SLICE_SECONDS = 0.0005
"""Of CPU time that one client's input may take in a turn; what has been begun is ended."""
TURN_SECONDS = 0.002
"""The same for all of them together. Beyond it, input waits for a turn to come."""
WORTH_COUNTING = 0.0001
"""Less than this is not counted: as many of those as one turn can have are few."""
BURST = 4096
"""Bytes of input that are taken to need a whole slice; fewer need a part of one."""
SMALL = 512
"""Bytes of input at most that go before all larger input: one message or two."""
GAP = 4
"""Turns of the loop between two of these: a publish is read in one, stored in the next, and written
one or two later.
"""


class LoopTurns:
    """Of one event loop."""

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
        self._waiting: list[
            tuple[float, int, float, Callable[[], None]]
        ] = []  # a heap; one entry a connection or request
        self._number = (
            0  # those that would be done at the same time go in the order in which they came
        )
        self._small: deque[Callable[[], None]] = deque()
        self._clock = 0.0
        self._latest = 0.0
        self._spent = 0.0
        self._due = False
        self._given = False

    @property
    def over(self) -> bool:
        """Nothing more may be begun in this turn: its time is up, or others wait."""
        return self._spent >= TURN_SECONDS or bool(self._waiting) or bool(self._small)

    def spend(self, seconds: float) -> None:
        """So much CPU time of this turn was taken."""
        if seconds >= WORTH_COUNTING:
            self._spent += seconds
            self._come_back()

    def served(self, since: float, seconds: float) -> float:
        """Where a client stands that stood at `since`, and had so much CPU time since."""
        return max(since, self._clock) + (seconds if seconds >= WORTH_COUNTING else 0.0)

    def later(self, act: Callable[[], None], since: float = 0.0, size: int = BURST) -> None:
        """Call this in a turn to come. It counts what it takes with `spend`.

        `since`: where its client stands, of `served`; `size`: bytes of the input that waits.
        """
        self._come_back()
        if size <= SMALL:
            self._small.append(act)
            return
        start = max(since, self._clock)
        done = start + SLICE_SECONDS * min(size / BURST, 1)
        self._latest = max(self._latest, done)
        self._number += 1
        heappush(self._waiting, (done, self._number, start, act))

    async def another(self, since: float = 0.0, size: int = BURST) -> None:
        """Go on in a turn to come."""
        mine = self._loop.create_future()
        self.later(lambda: self._give(mine), since, size)
        await mine

    def _give(self, turn: asyncio.Future[None]) -> None:
        if not turn.done():  # whoever waited may have been cancelled
            turn.set_result(None)
            self._given = True

    def _come_back(self) -> None:
        if not self._due:
            self._due = True
            self._loop.call_soon(self._pass, GAP)

    def _pass(self, left: int) -> None:
        """Let everything else have so many turns of the loop, this one among them."""
        if left > 1:
            self._loop.call_soon(self._pass, left - 1)
        else:
            self._next()

    def _next(self) -> None:
        self._spent = 0.0
        self._go_on()

    def _go_on(self) -> None:
        """With this turn, until its time is up or nobody waits."""
        self._given = False
        try:
            while (self._small or self._waiting) and self._spent < TURN_SECONDS and not self._given:
                before = self._spent
                self._take_next()()
                if self._spent == before:
                    self._spent += WORTH_COUNTING / 2
        finally:
            if self._given:
                self._loop.call_soon(
                    self._go_on
                )  # behind the coroutine that was given the turn, which says what it took
            else:
                self._due = False
                if self._waiting or self._small or self._spent:
                    self._come_back()

    def _take_next(self) -> Callable[[], None]:
        if self._small and (self._spent < TURN_SECONDS / 2 or not self._waiting):
            return self._small.popleft()
        _, _, start, act = heappop(self._waiting)
        self._clock = max(self._clock, start)
        if not self._waiting:
            # a client that was served stands no later than the next that comes
            self._clock = max(self._clock, self._latest)
        return act


class TurnShare:
    """One client's share of a turn: when it is over. Asked between two pieces of work."""

    __slots__ = ("_begin", "_since", "_turns")

    def __init__(self, turns: LoopTurns) -> None:
        self._turns = turns
        self._begin = thread_time()
        self._since = 0.0

    @property
    def over(self) -> bool:
        """It has had its share."""
        return thread_time() - self._begin >= SLICE_SECONDS

    async def another(self) -> None:
        """Let others have their turn, and begin the next."""
        seconds = thread_time() - self._begin
        self._turns.spend(seconds)
        self._since = self._turns.served(self._since, seconds)
        await self._turns.another(self._since)
        self._begin = thread_time()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Count what it took."""
        self._turns.spend(thread_time() - self._begin)
