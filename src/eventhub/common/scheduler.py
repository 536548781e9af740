"""The part of an event loop that code without I/O needs. Tests can bring their own clock."""

from collections.abc import Callable
from typing import Any, Protocol


class Scheduler(Protocol):
    """Calls functions later. An asyncio event loop is one."""

    def time(self) -> float:
        """Return seconds on a clock that never goes back."""
        ...

    def call_at(self, when: float, callback: Callable[..., object], /, *arguments: Any) -> object:
        """Call `callback` at this time."""
        ...

    def call_soon(self, callback: Callable[..., object], /, *arguments: Any) -> object:
        """Call `callback` in the next turn."""
        ...
