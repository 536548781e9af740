"""supervisor.py: when a worker that died is replaced. What it does with processes is in
tests/integration/test_workers.py.
"""

import os

from eventhub.server.process.supervisor import (
    ATTEMPTS,
    HANG_SECONDS,
    MAX_PAUSE_SECONDS,
    STEADY_SECONDS,
    Worker,
    WorkerSlot,
)


def worker() -> Worker:
    return Worker(WorkerSlot(0, [], [], os.getpid(), -1))


def lives(one: Worker, seconds: float, *, ready: bool = True, jitter: float = 1) -> float:
    """One start and death; the pause after it."""
    one.starts(100)
    one.ready = ready
    return one.died(100 + seconds, jitter)


def test_a_worker_is_due_at_once_and_not_while_it_runs() -> None:
    one = worker()
    assert one.due == 0
    one.starts(5)
    assert one.due is None
    pause = one.died(6, 1)
    assert one.due == 6 + pause


def test_a_worker_hangs_that_served_and_is_silent_for_too_long() -> None:
    one = worker()
    one.starts(5)
    assert not one.hangs(1000), "it starts: that may take its time"
    one.ready, one.heard = True, 1000
    assert not one.hangs(1000 + HANG_SECONDS - 0.1)
    assert one.hangs(1000 + HANG_SECONDS)
    one.starts(2000)
    assert not one.hangs(2000)


def test_pauses_double_up_to_a_bound_and_never_overflow() -> None:
    one = worker()
    pauses = [lives(one, 1) for _ in range(2000)]
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.8]
    assert pauses[-1] == max(pauses) == MAX_PAUSE_SECONDS


def test_pauses_are_jittered() -> None:
    assert lives(worker(), 1, jitter=0.5) == 0.05


def test_after_a_long_life_pauses_begin_anew() -> None:
    one = worker()
    for _ in range(5):
        lives(one, 1)
    assert lives(one, STEADY_SECONDS) == 0.1


def test_only_ends_before_it_was_ready_count_as_attempts_and_in_a_row() -> None:
    one = worker()
    for _ in range(ATTEMPTS - 1):
        lives(one, 1, ready=False)
    assert one.attempts == ATTEMPTS - 1
    lives(one, 1)
    assert one.attempts == 0
    lives(one, 1, ready=False)
    assert one.attempts == 1
