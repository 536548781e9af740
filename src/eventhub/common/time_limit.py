"""One time limit for many calls, with one timer for all of them."""

import asyncio
from collections.abc import Callable, Hashable
from itertools import takewhile
from typing import Generic, TypeVar

Call = TypeVar("Call", bound=Hashable)


class TimeLimit(Generic[Call]):
    """Calls `expired` with each call that has not ended `seconds` after it began.

    The limit is the same for all, so the calls expire in the order in which they began.
    """

    __slots__ = ("_due", "_expired", "_loop", "_seconds")

    def __init__(self, seconds: float, expired: Callable[[Call], None]) -> None:
        self._seconds = seconds
        self._expired = expired
        self._due: dict[Call, float] = {}
        self._loop: asyncio.AbstractEventLoop | None = None  # while its timer is set

    def begin(self, call: Call) -> None:
        """The time of this call begins."""
        if (loop := self._loop) is None:
            loop = self._loop = asyncio.get_running_loop()
            loop.call_later(self._seconds, self._look, loop)
        self._due[call] = loop.time() + self._seconds

    def end(self, call: Call) -> None:
        """The call has ended."""
        self._due.pop(call, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        late = [call for call, _ in takewhile(lambda one: one[1] <= now, self._due.items())]
        try:
            for call in late:
                if self._due.pop(call, None) is not None:  # an earlier one may have ended it
                    self._expired(call)
        finally:  # if one raises, the others follow at once
            if self._due:
                loop.call_at(next(iter(self._due.values())), self._look, loop)
            else:
                self._loop = None
