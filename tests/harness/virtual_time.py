"""An event loop whose clock jumps to the next timer as soon as nothing else is due."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec

P = ParamSpec("P")


class JumpingSelector(selectors.DefaultSelector):
    """Never waits: `passed` is told how long it would have."""

    passed: Callable[[float], None]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("nothing is due any more, and the test still waits")
        self.passed(timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`time` passes by what `call_later` waits for, exactly."""

    def __init__(self) -> None:
        self._now = 1000.0  # as on any machine, it is not 0
        selector = JumpingSelector()
        selector.passed = self._pass
        super().__init__(selector)

    def time(self) -> float:
        return self._now

    def _pass(self, seconds: float) -> None:
        self._now += seconds


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run the test in such a loop: `asyncio.sleep` takes no time. No threads, no sockets."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


async def turns(count: int = 100) -> None:
    """Let the loop do what is due now."""
    for _ in range(count):
        await asyncio.sleep(0)
