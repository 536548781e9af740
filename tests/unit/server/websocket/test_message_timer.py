"""server/websocket/message_timer.py: when a first message and a message in parts are late."""

from collections.abc import Callable
from typing import Any

import pytest

from eventhub.server.connections.liveness import LEAST_RATE
from eventhub.server.websocket.message_timer import MessageTimer

ALLOWED = 10.0


class ManualDeadlines:
    """Deadlines that a test looks at."""

    def __init__(self) -> None:
        self.due: dict[object, float] = {}
        self.acts: list[Callable[[], None]] = []
        """What each deadline that was set is to call."""

    def set(self, key: object, when: float, expired: Callable[[], None]) -> None:
        self.due[key] = when
        self.acts.append(expired)

    def after(self, key: object, seconds: float, expired: Callable[[], None]) -> None:
        self.due[key] = seconds
        self.acts.append(expired)

    def clear(self, key: object) -> None:
        self.due.pop(key, None)


def nothing() -> None: ...


@pytest.fixture
def deadlines() -> ManualDeadlines:
    return ManualDeadlines()


@pytest.fixture
def timer(deadlines: Any) -> MessageTimer:
    return MessageTimer(deadlines, ALLOWED)


def test_a_first_message_is_due_until_it_comes(
    timer: MessageTimer, deadlines: ManualDeadlines
) -> None:
    assert not timer.first_due
    timer.expect_first(5.0, nothing)
    assert (timer.first_due, list(deadlines.due.values())) == (True, [5.0])
    timer.first_received()
    assert (timer.first_due, deadlines.due) == (False, {})


def test_a_message_that_has_begun_starts_the_clock_once(
    timer: MessageTimer, deadlines: ManualDeadlines
) -> None:
    timer.begin(1.0, nothing)
    assert (bool(timer.started), list(deadlines.due.values())) == (True, [ALLOWED])
    timer.begin(2.0, nothing)
    assert timer.expired(4, 1.0 + ALLOWED + 1, nothing, throttled=False), "it began at 1, not at 2"


def test_the_end_of_a_message_stops_the_clock(
    timer: MessageTimer, deadlines: ManualDeadlines
) -> None:
    timer.begin(1.0, nothing)
    assert timer.complete(), "nothing is due"
    assert (bool(timer.started), deadlines.due) == (False, {})


def test_a_complete_control_frame_leaves_the_first_message_due(
    timer: MessageTimer, deadlines: ManualDeadlines
) -> None:
    timer.expect_first(5.0, nothing)
    assert not timer.complete()
    timer.begin(1.0, nothing)
    assert not timer.complete()
    assert (bool(timer.started), list(deadlines.due.values())) == (False, [5.0])


def test_the_next_message_has_a_clock_of_its_own(
    timer: MessageTimer, deadlines: ManualDeadlines
) -> None:
    timer.expect_first(5.0, nothing)
    timer.begin(1.0, nothing)
    timer.message_received()
    assert (timer.first_due, bool(timer.started), deadlines.due) == (False, False, {})
    timer.begin(9.0, nothing)
    assert not timer.expired(3, 1.0 + ALLOWED + 1, nothing, throttled=False), "it began at 9"


def test_bytes_that_came_buy_time(timer: MessageTimer, deadlines: ManualDeadlines) -> None:
    timer.begin(1.0, nothing)
    pending = 7 * LEAST_RATE
    assert not timer.expired(pending, 1.0 + ALLOWED, nothing, throttled=False)
    assert list(deadlines.due.values()) == [1.0 + ALLOWED + 7]
    assert timer.expired(pending, 1.0 + ALLOWED + 7, nothing, throttled=False)
    assert not timer.started


def test_time_in_which_the_server_did_not_read_does_not_count(
    timer: MessageTimer, deadlines: ManualDeadlines
) -> None:
    timer.begin(1.0, nothing)
    assert not timer.expired(1, 100.0, nothing, throttled=True)
    (due,) = deadlines.due.values()
    assert due == pytest.approx(100.0 + ALLOWED + 1 / LEAST_RATE)


def test_a_message_that_was_completed_meanwhile_is_not_late(timer: MessageTimer) -> None:
    timer.begin(1.0, nothing)
    assert not timer.expired(None, 100.0, nothing, throttled=False)
    assert not timer.started


def test_a_closed_connection_leaves_no_deadline(
    timer: MessageTimer, deadlines: ManualDeadlines
) -> None:
    timer.expect_first(5.0, nothing)
    timer.begin(1.0, nothing)
    timer.stop()
    assert deadlines.due == {}


def test_each_deadline_calls_what_it_was_given(
    timer: MessageTimer, deadlines: ManualDeadlines
) -> None:
    acts: list[Callable[[], None]] = [lambda: None for _ in range(3)]
    timer.expect_first(5.0, acts[0])
    timer.begin(1.0, acts[1])
    timer.expired(LEAST_RATE, 1.0 + ALLOWED, acts[2], throttled=False)
    assert deadlines.acts == acts
