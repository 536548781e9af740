"""Time that passes when a test says so."""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Any, cast

START = 1_795_000_000.0
"""Seconds since 1970, late in 2026."""
ENDLESS = 100_000
"""More timers than any test sets: one calls the next for ever."""


class Timer:
    """As asyncio.TimerHandle, for who cancels it."""

    def __init__(self, when: float, call: Callable[[], object]) -> None:
        self.when, self.call = when, call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Clock:
    """A clock in seconds that a test sets (`now`) or moves (`advance`), and the timers of an event
    loop that go by it. Called, it tells milliseconds, as brokers, hubs and authenticators count.
    """

    def __init__(self, now: float = START) -> None:
        self.now = now
        self._queue: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()

    def __call__(self) -> int:
        return round(self.now * 1000)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The same, for who asks for a whole loop and only uses its time and timers."""
        return cast(asyncio.AbstractEventLoop, self)

    @property
    def waits(self) -> list[float]:
        """In how many seconds each timer is due, soonest first."""
        queue = sorted(entry[:2] for entry in self._queue if not entry[2].cancelled)
        return [when - self.now for when, _ in queue]

    def time(self) -> float:
        """Seconds, as loops tell it."""
        return self.now

    def call_at(self, when: float, callback: Callable[..., object], /, *arguments: Any) -> Timer:
        timer = Timer(when, lambda: callback(*arguments))
        heapq.heappush(self._queue, (when, next(self._order), timer))
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
        """As `advance`, up to this moment."""
        called = 0
        while timer := self._next(moment):
            self.now = max(self.now, timer.when)
            timer.call()
            called += 1
            assert called < ENDLESS, "timers go round in circles"
        self.now = moment
        return called

    def turn(self) -> int:
        """One turn of the loop: what is due is called, and not what that calls soon."""
        due = list(iter(lambda: self._next(self.now), None))
        for timer in due:
            if not timer.cancelled:
                timer.call()
        return len(due)

    def _next(self, moment: float) -> Timer | None:
        while self._queue and self._queue[0][0] <= moment:
            timer = heapq.heappop(self._queue)[2]
            if not timer.cancelled:
                return timer
        return None
