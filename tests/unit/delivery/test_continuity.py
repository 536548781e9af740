"""continuity.py: what follows, what is a duplicate, what the recent events cover."""

import pytest

from eventhub.delivery import recent
from eventhub.delivery.continuity import Continuity
from eventhub.events.event import Event, HistoryPage, Position


def at(offset: int, epoch: str = "e") -> Position:
    """A position."""
    return Position(epoch, offset)


def event(offset: int, previous: int | None = None, epoch: str = "e") -> Event:
    """An announcement."""
    return Event("chat.a", epoch, offset, offset - 1 if previous is None else previous, 0, b"1")


def opened(offset: int) -> Continuity:
    """A log that the broker opened at an offset."""
    log = Continuity()
    log.open(at(offset))
    return log


def test_the_next_event_follows_and_an_old_one_is_a_duplicate() -> None:
    log = opened(3)
    assert log.is_current
    assert log.follows(event(4))
    assert not log.follows(event(5))
    assert not log.follows(event(4, epoch="f"))
    assert log.has(event(3))
    assert not log.has(event(4))
    assert not log.has(event(3, epoch="f"))


def test_a_hole_restarts_the_recent_events_in_a_new_generation() -> None:
    log = opened(3)
    log.restart(event(6))
    assert (log.head, log.delivered, log.generation) == (at(6), at(3), 1)
    assert not log.is_current
    assert not log.covers(at(3))
    assert log.covers(at(5))


def test_an_opening_after_a_gap_does_not_say_where_the_log_ends() -> None:
    log = Continuity()
    log.end()
    log.open(at(3))
    assert (log.head, log.delivered) == (None, at(3))


def test_delivery_may_begin_before_the_announcements() -> None:
    log = Continuity()
    log.open(at(3), at(1))
    assert (log.head, log.delivered, log.generation) == (at(3), at(1), 0)
    assert not log.is_settled
    assert not log.covers(at(1)), "history is read"


def test_announcements_before_an_opening_are_kept_if_none_of_the_new_ones_is_missing() -> None:
    for begin in (at(1), None):
        for announced, head in ((5, at(5)), (3, at(3)), (2, None if begin else at(2))):
            log = Continuity()
            log.restart(event(announced))
            log.open(at(3), begin)
            assert (log.head, log.delivered) == (head, begin or at(3))
            assert log.generation == (1 if head else 2)


def test_dropping_recent_events_begins_a_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "RECENT_EVENTS", 2)
    log = opened(3)
    for offset in (4, 5):
        log.remember(event(offset))
    assert log.generation == 0
    log.remember(event(6))
    assert log.generation == 1


def test_a_head_reaches_only_positions_of_its_log() -> None:
    log = opened(3)
    assert [log.reaches(at(offset)) for offset in (2, 3, 4)] == [True, True, False]
    assert not log.reaches(at(2, epoch="f"))
    log.end()
    assert not log.reaches(at(2))


def test_only_a_page_of_this_generation_says_where_the_log_ends() -> None:
    page = HistoryPage(at(0), [event(3)], at(3))
    for generation, head in ((0, None), (1, at(3))):
        log = opened(3)
        log.end()
        log.verify(page, generation)
        assert log.head == head


def test_a_gap_stays_unverified_until_a_page_asked_for_since_then() -> None:
    page = HistoryPage(at(0), [event(3)], at(3))
    log = opened(3)
    log.end()
    log.unverified_since = log.generation
    log.verify(page, 0)
    assert log.unverified_since == 1
    log.verify(page, 1)
    assert log.unverified_since == 0


def test_a_position_between_two_events_is_not_covered() -> None:
    log = opened(0)
    log.restart(event(5, previous=2))
    log.head = at(9)
    log.remember(event(9, previous=5))
    assert log.covers(at(2))
    assert log.covers(at(5))
    assert not log.covers(at(7))


def test_while_the_head_is_unknown_a_delivered_event_is_still_a_duplicate() -> None:
    log = opened(3)
    log.end()
    assert log.has(event(3))
    assert not log.has(event(4))


def test_an_event_between_delivered_and_head_is_a_duplicate() -> None:
    log = opened(3)
    log.restart(event(6))
    assert log.has(event(5))
    assert log.has(event(6))
    assert not log.has(event(7))


def test_a_page_that_delivery_has_passed_does_not_move_the_head_back() -> None:
    log = opened(2)
    log.head = log.delivered = at(3)
    log.verify(HistoryPage(at(0), [event(2)], at(2)), 0)
    assert log.head == at(3)
