"""server/http/timers.py: one timer of each kind, and none after it was stopped."""

from collections.abc import Callable
from typing import Any

from eventhub.server.http.timers import RequestTimers


class Timer:
    """A timer of a ManualLoop."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class ManualLoop:
    """A loop whose timers a test looks at."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []

    def call_later(self, seconds: float, act: Callable[[], None]) -> Timer:
        self.timers.append(Timer(seconds))
        return self.timers[-1]

    @property
    def running(self) -> list[float]:
        return [timer.seconds for timer in self.timers if not timer.cancelled]


def nothing() -> None: ...


def test_each_kind_runs_once_whatever_is_started_again() -> None:
    loop: Any = ManualLoop()
    timers = RequestTimers(loop)
    timers.start_head(1.0, nothing)
    timers.start_head(2.0, nothing)
    timers.start_wait(3.0, nothing)
    timers.start_wait(4.0, nothing)
    assert (loop.running, timers.head_runs) == ([2.0, 4.0], True)


def test_each_kind_is_stopped_alone() -> None:
    loop: Any = ManualLoop()
    timers = RequestTimers(loop)
    timers.start_head(1.0, nothing)
    timers.start_wait(2.0, nothing)
    timers.stop_head()
    assert (loop.running, timers.head_runs) == ([2.0], False)
    timers.stop_wait()
    timers.stop_wait()
    assert loop.running == []
