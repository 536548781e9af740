"""Time that passes when a test says so."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any, cast

START = 1_795_000_000.0
"""Seconds since 1970, late in 2026."""
ENDLESS = 100_000
"""More timers than any test sets: one calls the next for ever."""


class Timer:
    """As asyncio.TimerHandle, for who cancels it."""

    def __init__(self, when: float, order: int, call: Callable[[], object]) -> None:
        self.when, self.order, self.call = when, order, call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Clock:
    """A clock in seconds that a test sets (`now`) or moves (`advance`), and the timers of an event
    loop that go by it. Called, it tells milliseconds, as brokers, hubs and authenticators count.
    """

    def __init__(self, now: float = START) -> None:
        self.now = now
        self._timers: list[Timer] = []
        self._order = itertools.count()

    def __call__(self) -> int:
        return round(self.now * 1000)

    def time(self) -> float:
        """Seconds, as loops tell it."""
        return self.now

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The same, for who asks for a whole loop and only uses its time and timers."""
        return cast(asyncio.AbstractEventLoop, self)

    @property
    def timers(self) -> list[Timer]:
        """Those that wait, soonest first."""
        self._timers = [timer for timer in self._timers if not timer.cancelled]
        self._timers.sort(key=lambda timer: (timer.when, timer.order))
        return self._timers

    def call_at(self, when: float, callback: Callable[..., object], /, *arguments: Any) -> Timer:
        timer = Timer(when, next(self._order), lambda: callback(*arguments))
        self._timers.append(timer)
        return timer

    def call_later(
        self, delay: float, callback: Callable[..., object], /, *arguments: Any
    ) -> Timer:
        return self.call_at(self.now + delay, callback, *arguments)

    def call_soon(self, callback: Callable[..., object], /, *arguments: Any) -> Timer:
        return self.call_at(self.now, callback, *arguments)

    def advance(self, seconds: float = 0) -> int:
        """Let so much time pass; how many timers were called, each at its time."""
        return self.reach(self.now + seconds)

    def reach(self, moment: float) -> int:
        """Let time pass up to this moment."""
        for called in range(ENDLESS):
            if not self.timers or self.timers[0].when > moment:
                self.now = moment
                return called
            timer = self.timers.pop(0)
            self.now = max(self.now, timer.when)
            timer.call()
        raise AssertionError(f"{ENDLESS} timers were called and there are more: {self.timers[:3]}")
