"""server/http/timers.py: one timer of each kind, and none after it was stopped."""

from eventhub.server.http.timers import RequestTimers
from tests.harness.clock import Clock


def nothing() -> None: ...


def test_each_kind_runs_once_whatever_is_started_again() -> None:
    clock = Clock(0)
    timers = RequestTimers(clock.loop)
    timers.start_head(1.0, nothing)
    timers.start_head(2.0, nothing)
    timers.start_wait(3.0, nothing)
    timers.start_wait(4.0, nothing)
    assert (clock.waits, timers.head_runs) == ([2.0, 4.0], True)


def test_each_kind_is_stopped_alone() -> None:
    clock = Clock(0)
    timers = RequestTimers(clock.loop)
    timers.start_head(1.0, nothing)
    timers.start_wait(2.0, nothing)
    timers.stop_head()
    assert (clock.waits, timers.head_runs) == ([2.0], False)
    timers.stop_wait()
    timers.stop_wait()
    assert clock.waits == []
