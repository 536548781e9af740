"""server/connections/request_starts.py: of requests that are ready at once, how many one turn of
the loop begins.
"""

from itertools import pairwise

import pytest

from eventhub.server.connections import request_starts
from eventhub.server.connections.fair_queue import LOOP_TURNS_BETWEEN, FairQueue
from eventhub.server.connections.request_starts import (
    ANSWER_BYTES,
    ANSWER_SECONDS,
    ANSWERED_AT_ONCE,
    AT_ONCE,
    LOOK_EVERY,
    RequestStarts,
)
from tests.harness.clock import Clock

MANY = 10 * AT_ONCE


class Requests:
    """Ready at once; each runs in the turn behind its start."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.starts = RequestStarts(FairQueue(self.clock.loop), self.clock.loop)
        self.ran: list[int] = []

    def come(self, number: int) -> None:
        def start() -> None:
            self.clock.call_soon(self.run, number)

        self.starts.start(start)

    def run(self, number: int) -> None:
        self.starts.note_running()
        self.ran.append(number)


def test_requests_that_are_ready_at_once_run_in_many_turns_and_in_order() -> None:
    requests = Requests()
    for number in range(MANY):
        requests.come(number)
    in_turns = []
    while requests.clock.waits:
        before = len(requests.ran)
        requests.clock.turn()
        in_turns.append(len(requests.ran) - before)
    assert requests.ran == list(range(MANY))
    assert max(in_turns) <= AT_ONCE + 1
    busy = [number for number, some in enumerate(in_turns) if some]
    assert all(later - sooner >= LOOP_TURNS_BETWEEN for sooner, later in pairwise(busy[1:])), (
        in_turns
    )


def test_a_request_on_a_quiet_loop_waits_for_nothing() -> None:
    requests = Requests()
    for number in range(MANY):
        requests.come(number)
        assert len(requests.clock.waits) == 1  # its own turn, and none that the starts ask for
        requests.clock.turn()
        assert requests.ran[-1] == number


def test_one_that_comes_while_others_wait_is_not_behind_all_of_them() -> None:
    requests = Requests()
    for number in range(MANY):
        requests.come(number)
    requests.clock.turn()
    requests.come(-1)
    requests.clock.turn()
    assert -1 in requests.ran
    assert len(requests.ran) < MANY


def answered_in_a_turn(starts: RequestStarts) -> int:
    return next(number for number in range(10_000) if not starts.at_once())


def test_so_many_are_answered_in_each_turn_and_no_more() -> None:
    requests = Requests()
    for _ in range(3):
        assert answered_in_a_turn(requests.starts) == ANSWERED_AT_ONCE
        assert not requests.starts.at_once()
        requests.clock.turn()


def test_fewer_are_answered_when_they_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = Requests()
    used = iter(number * ANSWER_SECONDS for number in range(100))
    monkeypatch.setattr(request_starts, "thread_time", lambda: next(used))
    assert answered_in_a_turn(requests.starts) == LOOK_EVERY
    assert not requests.starts.at_once()
    requests.clock.turn()
    assert answered_in_a_turn(requests.starts) == LOOK_EVERY


def test_a_large_body_counts_as_several_requests() -> None:
    requests = Requests()
    sizes = [0, ANSWER_BYTES - 1, ANSWER_BYTES, 2 * ANSWER_BYTES]  # as 1, 1, 2 and 3 requests
    taken = 0
    while requests.starts.at_once(sizes[taken % 4]):
        taken += 1
    assert taken == 4 * ANSWERED_AT_ONCE // 7 + 1


def test_the_clock_is_read_when_large_bodies_pass_the_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    requests = Requests()
    reads = []

    def read() -> float:
        reads.append(1)
        return 0.0

    monkeypatch.setattr(request_starts, "thread_time", read)
    each = LOOK_EVERY // 2 + 1
    counts = []
    for _ in range(5):
        assert requests.starts.at_once((each - 1) * ANSWER_BYTES)
        counts.append(len(reads))
    assert counts == [1, 1, 2, 2, 3]
