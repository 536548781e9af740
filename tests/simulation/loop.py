"""An event loop whose time is simulated, and processes on it that can stop or die at any callback.

Time passes when nothing is ready, and while callbacks run, if they take time. Callbacks of the same
moment run in the order in which they were scheduled, so a run depends on nothing but its seed.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from heapq import heappop, heappush
from typing import Any, cast

STEPS = 60_000
"""Callbacks of a whole run. Most need two thousand. One that needs more does not come to rest."""


class Process:
    """What runs in its context stops when it is frozen, and never goes on after its death."""

    def __init__(self) -> None:
        self.dead = False
        self.frozen = False
        self.held: list[Call] = []
        """What became ready while it was frozen."""
        self.context = copy_context()
        self.context.run(_PROCESS.set, self)


_PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


class Call:
    """A callback that is due, as `asyncio.Handle` with less to keep."""

    __slots__ = ("act", "arguments", "context")

    def __init__(
        self,
        act: Callable[..., object],
        arguments: tuple[Any, ...],
        context: Context | None,
    ) -> None:
        self.act: Callable[..., object] | None = act
        self.arguments = arguments
        self.context = copy_context() if context is None else context

    def cancel(self) -> None:
        """It is skipped when its time comes."""
        self.act = None


class SimulatedLoop:
    """As much of an event loop as tasks, futures and timers need."""

    def __init__(self, cost: float = 0.0) -> None:
        self._asyncio = cast(asyncio.AbstractEventLoop, self)
        self.errors: list[BaseException] = []
        """Exceptions of callbacks."""
        self.steps = 0
        self._cost = cost
        self._now = 0.0
        self._number = 0
        self._ready: deque[Call] = deque()
        self._timers: list[tuple[float, int, Call]] = []

    def run_until(self, moment: float) -> None:
        """Run everything that is due until then. Raises the first error of a callback."""
        asyncio._set_running_loop(self._asyncio)
        try:
            self._run_ready()
            while self._timers and self._timers[0][0] <= moment:
                self._now = max(self._now, self._timers[0][0])
                self._ready.append(heappop(self._timers)[2])
                self._run_ready()
        finally:
            asyncio._set_running_loop(None)
        self._now = max(self._now, moment)

    def finish(self) -> None:
        """Run what is ready, whatever it raises, and forget the rest."""
        asyncio._set_running_loop(self._asyncio)
        try:
            while self._ready:
                call = self._ready.popleft()
                if call.act is not None:
                    with suppress(Exception):
                        call.context.run(call.act, *call.arguments)
        finally:
            asyncio._set_running_loop(None)
        self._timers.clear()

    def thaw(self, process: Process) -> None:
        """A frozen process goes on with what it missed, in order."""
        process.frozen = False
        self._ready.extend(process.held)
        process.held = []

    # What asyncio calls

    def time(self) -> float:
        return self._now

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Call:
        call = Call(callback, args, context)
        self._ready.append(call)
        return call

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> Call:
        call = Call(callback, args, context)
        self._number += 1
        heappush(self._timers, (self._now + delay, self._number, call))
        return call

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> Call:
        call = Call(callback, args, context)
        self._number += 1
        heappush(self._timers, (when, self._number, call))
        return call

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self._asyncio)

    def create_task(
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self._asyncio, name=name or "task", context=context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.errors.append(error or RuntimeError(context["message"]))

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def _run_ready(self) -> None:
        ready = self._ready
        while ready:
            call = ready.popleft()
            if (act := call.act) is None:
                continue
            process = call.context.get(_PROCESS)
            if process is not None and (process.dead or process.frozen):
                if not process.dead:
                    process.held.append(call)
                continue
            self.steps += 1
            if self.steps > STEPS:
                raise AssertionError("no rest: callbacks without end")
            call.context.run(act, *call.arguments)
            if self.errors:
                raise self.errors[0]
            if self._cost:
                self._now += self._cost
                while self._timers and self._timers[0][0] <= self._now:
                    ready.append(heappop(self._timers)[2])
