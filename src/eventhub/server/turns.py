"""A turn of the event loop ends after a bounded time, whatever clients have sent: what is left goes on later, a piece a turn, in order.

Without it a turn would take as long as all that was read in it: ten bursts of messages that are dear to look at were seconds.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from time import thread_time
from typing import Self

SLICE_SECONDS = 0.0005
"""Of CPU time that one client's input may take in a turn; what has been begun is ended."""
TURN_SECONDS = 0.001
"""The same for all of them together. Beyond it, input waits for a turn to come."""
WORTH_COUNTING = 0.0001
"""Less than this is not counted: as many of those as one turn can have are few."""


class Turns:
    """Of one event loop. Whoever has more to do than fits asks for another turn, and gets it behind those who asked before."""

    __slots__ = ("_due", "_loop", "_spent", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Callable[[], None]] = deque()  # one entry a connection or request
        self._spent = 0.0
        self._due = False

    @property
    def over(self) -> bool:
        """Nothing more may be begun in this turn: its time is up, or others wait."""
        return self._spent >= TURN_SECONDS or bool(self._waiting)

    def spend(self, seconds: float) -> None:
        """So much CPU time of this turn was taken."""
        if seconds >= WORTH_COUNTING:
            self._spent += seconds
            self._come_back()

    def later(self, act: Callable[[], None]) -> None:
        """Call this in a turn to come. It counts what it takes with `spend`."""
        self._waiting.append(act)
        self._come_back()

    async def another(self) -> None:
        """Go on in a turn to come."""
        mine = self._loop.create_future()
        self.later(lambda: self._give(mine))
        await mine

    def _give(self, turn: asyncio.Future[None]) -> None:
        self._spent = TURN_SECONDS  # what is done with it is done in the next one, which it has for itself
        if not turn.done():  # whoever waited may have been cancelled
            turn.set_result(None)

    def _come_back(self) -> None:
        if not self._due:
            self._due = True
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        self._due, self._spent = False, 0.0
        while self._waiting and self._spent < TURN_SECONDS:
            self._come_back()  # also when this one raises
            self._waiting.popleft()()


class Slice:
    """One client's share of a turn: when it is over. Asked between two pieces of work."""

    __slots__ = ("_begin", "_turns")

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._begin = thread_time()

    @property
    def over(self) -> bool:
        """It has had its share."""
        return thread_time() - self._begin >= SLICE_SECONDS

    async def another(self) -> None:
        """Let others have their turn, and begin the next."""
        self._turns.spend(thread_time() - self._begin)
        await self._turns.another()
        self._begin = thread_time()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Count what it took."""
        self._turns.spend(thread_time() - self._begin)
