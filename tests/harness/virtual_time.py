"""An event loop whose clock jumps to the next timer as soon as nothing else is due."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


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
        self.errors: list[dict[str, Any]] = []
        """What callbacks raised, and tasks that nobody waits for."""
        selector = JumpingSelector()
        selector.passed = self._pass
        super().__init__(selector)
        self.set_exception_handler(lambda _, context: self.errors.append(context))

    def time(self) -> float:
        return self._now

    def _pass(self, seconds: float) -> None:
        self._now += seconds


def run_in_virtual_time(work: Coroutine[Any, Any, T]) -> T:
    """Run in such a loop: `asyncio.sleep` takes no time. No threads, no sockets.

    Raises AssertionError if a callback raised an error.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        result = runner.run(work)
        loop = runner.get_loop()
        assert isinstance(loop, VirtualTimeLoop)
        assert not loop.errors, loop.errors
        return result


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run the test so."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        run_in_virtual_time(test(*args, **kwargs))

    return run


async def turns(count: int = 100) -> None:
    """Let the loop do what is due now."""
    for _ in range(count):
        await asyncio.sleep(0)
