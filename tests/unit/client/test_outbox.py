"""eventhub_client/outbox.py: what waits, what is under way, and what an outcome changes."""

from eventhub_client.errors import HubError, Problem, Refused, Unavailable, error
from eventhub_client.items import Receipt, moment
from eventhub_client.outbox import Outbox, Waiting
from eventhub_client.publishing import BATCH_BYTES, BATCH_EVENTS

STORED = Receipt("a.b", "k-1", moment("2026-11-22T20:06:00.123Z"))
AWAY = Unavailable(Problem("broker_unavailable", "away", 503))


def refused() -> HubError:
    found = error(Problem("invalid_event", "no text", 422))
    assert isinstance(found, Refused)
    return found


def outbox(*data: object, events: int = 1000, size: int = 1 << 20) -> Outbox:
    found = Outbox(Waiting(events, size), None)
    for each in data:
        found.put(each)
    return found


def waiting(found: Outbox) -> list[object]:
    return [each.data for each in found.batch()]


def test_events_that_wait_and_those_under_way_take_room() -> None:
    found = outbox(1, 2, events=3)
    assert found.has_room
    found.batch()
    found.put(3)
    assert not found.has_room
    found.settle([STORED, STORED])
    assert found.has_room


def test_bytes_take_room_until_their_outcome() -> None:
    found = outbox("ab", size=5)  # with its quotes, four bytes
    assert found.has_room
    found.put(1)
    assert not found.has_room
    found.batch()
    assert not found.has_room
    found.settle([STORED, STORED])
    assert found.has_room
    assert found.stored == 2


def test_it_is_settled_when_nothing_waits_and_nothing_is_under_way() -> None:
    found = outbox(1)
    assert (found.has_work, found.is_settled) == (True, False)
    found.batch()
    assert (found.has_work, found.is_settled) == (False, False)
    found.settle([STORED])
    assert (found.has_work, found.is_settled) == (False, True)


def test_after_a_failure_nothing_more_is_sent() -> None:
    found = outbox(1)
    found.batch()
    found.put(2)
    found.fail(AWAY)
    assert (found.has_work, found.is_settled, found.failure) == (False, True, AWAY)


def test_a_batch_is_bounded_and_an_event_that_refers_to_another_is_sent_alone() -> None:
    found = outbox(*range(BATCH_EVENTS + 1))
    assert len(waiting(found)) == BATCH_EVENTS
    large = outbox("x" * (BATCH_BYTES // 2), "y" * (BATCH_BYTES // 2), "z")
    assert len(waiting(large)) == 1
    mixed = outbox(1)
    mixed.put(2, ("k-1", "edit"))
    mixed.put(3)
    for expected in ([1], [2], [3]):
        assert waiting(mixed) == expected
        mixed.settle([STORED])


def test_that_nothing_is_known_of_a_later_event_is_told_before_an_earlier_refusal() -> None:
    found, first, second = outbox(1, 2, 3), refused(), refused()
    found.batch()
    found.settle([first, AWAY, second])
    assert (found.failure, found.stored) == (AWAY, 0)
    others = outbox(1, 2)
    others.batch()
    others.settle([first, second])
    assert others.failure is first
