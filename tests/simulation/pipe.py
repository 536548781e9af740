"""One direction of a network connection."""

from collections.abc import Callable
from contextvars import Context

from tests.simulation.loop import SimulatedLoop


class Pipe:
    """Delivers in order, each after a delay. What is under way when it is cut is lost."""

    def __init__(
        self, loop: SimulatedLoop, delay: Callable[[], float], context: Context | None = None
    ) -> None:
        self._loop = loop
        self._delay = delay
        self._context = context or Context()
        self._last = 0.0
        self._cuts = 0

    def send(self, act: Callable[..., object], *arguments: object) -> None:
        self._last = max(self._last, self._loop.time() + self._delay())
        self._loop.call_at(
            self._last, self._arrive, self._cuts, act, *arguments, context=self._context
        )

    def cut(self) -> None:
        self._cuts += 1

    def _arrive(self, cuts: int, act: Callable[..., object], *arguments: object) -> None:
        if cuts == self._cuts:
            act(*arguments)
