"""One way to wait for what tells nobody: look again until it holds, for a bounded time.

The failure says what was waited for and what was seen last. Whoever can be told, by an event, a
message or an end, waits for that instead. In unit tests time does not pass: `in_turns` gives way to
other tasks, so many times at most.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

T = TypeVar("T")
Errors = tuple[type[Exception], ...]

SECONDS = 120
"""A busy machine is no fault."""
PAUSE = 0.02
"""Seconds between two looks."""
TURNS = 10_000
"""Of the event loop: enough for any task that waits for no time, thread or network."""


def eventually(
    what: str,
    look: Callable[[], T],
    holds: Callable[[T], object] = bool,
    *,
    seconds: float = SECONDS,
    not_yet: Errors = (),
) -> T:
    """What is seen once it holds. An error that is `not_yet` is a look that does not hold."""
    looks = _Looks(what, look, holds, f"{seconds} s", not_yet)
    end = time.monotonic() + seconds
    while not looks.done(last=time.monotonic() > end):
        time.sleep(PAUSE)
    return looks.value


async def async_eventually(
    what: str,
    look: Callable[[], T],
    holds: Callable[[T], object] = bool,
    *,
    seconds: float = SECONDS,
    not_yet: Errors = (),
) -> T:
    """As `eventually`, while other tasks of the loop go on."""
    looks = _Looks(what, look, holds, f"{seconds} s", not_yet)
    end = time.monotonic() + seconds
    while not looks.done(last=time.monotonic() > end):  # noqa: ASYNC110  # for what tells nobody
        await asyncio.sleep(PAUSE)
    return looks.value


async def in_turns(
    what: str, look: Callable[[], T], holds: Callable[[T], object] = bool, turns: int = TURNS
) -> T:
    """As `eventually`, within so many turns of the loop and in no time."""
    looks = _Looks(what, look, holds, f"{turns} turns of the loop", ())
    while not looks.done(last=turns == 0):
        turns -= 1
        await asyncio.sleep(0)
    return looks.value


async def turns_until(holds: Callable[[], object], turns: int = TURNS) -> AsyncIterator[int]:
    """After each turn of the loop, its number, until it holds: for what happens between turns."""
    for turn in range(1, turns + 1):
        if holds():
            return
        await asyncio.sleep(0)
        yield turn
    raise AssertionError(f"it does not hold after {turns} turns of the loop")


class _Looks(Generic[T]):
    """The rule. The last look begins after the bound, so that no pause of the machine hides it."""

    value: T

    def __init__(
        self,
        what: str,
        look: Callable[[], T],
        holds: Callable[[T], object],
        bound: str,
        not_yet: Errors,
    ) -> None:
        self._what, self._look, self._holds = what, look, holds
        self._bound, self._not_yet = bound, not_yet
        self._seen = ""

    def done(self, *, last: bool) -> bool:
        """Look once. What holds is in `value`; the last look must hold."""
        try:
            self.value = self._look()
            if self._holds(self.value):
                return True
            self._seen = repr(self.value)
        except self._not_yet as error:
            self._seen = repr(error)
        assert not last, f"waited {self._bound} for {self._what}; seen last: {self._seen[-4000:]}"
        return False
