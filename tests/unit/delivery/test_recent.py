"""Events that a feed keeps for a short time: bounds, order, and what is dropped first."""

import pytest

from eventhub.delivery import recent
from eventhub.delivery.recent import LatestByKey, RecentEvents
from eventhub.events.event import Event, Position


def event(offset: int, data: bytes = b"1234", previous: int | None = None) -> Event:
    return Event("chat.a", "e", offset, offset - 1 if previous is None else previous, 0, data)


def filled(*offsets: int) -> RecentEvents:
    events = RecentEvents()
    for offset in offsets:
        assert events.add(event(offset)) == 0
    return events


def test_as_many_events_are_kept_as_the_bound_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "RECENT_EVENTS", 3)
    events = filled(1, 2, 3)
    assert [events.add(event(4)), events.add(event(5))] == [1, 1]
    assert [kept.offset for kept in events.events] == [3, 4, 5]


def test_as_many_bytes_are_kept_as_the_bound_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "RECENT_BYTES", 12)
    events = filled(1, 2, 3)
    assert events.add(event(4)) == 1
    assert events.add(event(5, b"12345678")) == 2
    assert [kept.offset for kept in events.events] == [4, 5]


def test_the_newest_event_is_kept_however_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "RECENT_BYTES", 3)
    events = RecentEvents()
    assert [events.add(event(1)), events.add(event(2))] == [0, 1]
    assert [kept.offset for kept in events.events] == [2]


def test_cleared_events_no_longer_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "RECENT_BYTES", 8)
    events = filled(1, 2)
    events.clear()
    assert not events.events
    assert [events.add(event(3)), events.add(event(4))] == [0, 0]


def test_events_begin_after_the_first_ones_previous_and_after_each_of_them() -> None:
    events = RecentEvents()
    events.add(event(5, previous=2))
    events.add(event(9, previous=5))
    assert [offset for offset in range(12) if events.begins(offset)] == [2, 5, 9]


def test_the_events_after_a_position_are_those_with_a_larger_offset() -> None:
    events = filled(3, 4, 5)
    assert [kept.offset for kept in events.after(Position("e", 4))] == [5]
    assert [kept.offset for kept in events.after(Position("e", 2))] == [3, 4, 5]


def latest(*keys: str) -> LatestByKey:
    """One event for each key in turn. The number of an event is its offset."""
    kept = LatestByKey()
    for number, key in enumerate(keys, 1):
        kept.add(key, number, event(number))
    return kept


def numbers(kept: LatestByKey, mark: int = 0) -> list[int]:
    return [number for number, _ in kept.since(mark)]


def test_only_the_newest_event_of_a_key_is_kept_in_the_order_of_delivery() -> None:
    assert numbers(latest("x", "y", "x", "z")) == [2, 3, 4]


def test_the_events_after_a_mark_are_those_with_a_larger_number() -> None:
    assert numbers(latest("x", "y", "z"), mark=2) == [3]


def test_above_the_bound_the_key_that_was_silent_for_longest_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recent, "KEYS", 2)
    assert numbers(latest("x", "y")) == [1, 2]
    assert numbers(latest("x", "y", "x", "z")) == [3, 4]


def test_a_replaced_event_no_longer_counts_towards_the_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recent, "KEYS_BYTES", 8)
    kept = latest("x", "x", "x", "y")
    assert numbers(kept) == [3, 4]
    kept.add("z", 5, event(5))
    assert numbers(kept) == [4, 5]
    kept.add("v", 6, event(6, b"123456789"))
    assert numbers(kept) == [6]


def test_a_cleared_set_is_empty_and_has_its_whole_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "KEYS_BYTES", 8)
    kept = latest("x", "y")
    kept.clear()
    assert numbers(kept) == []
    kept.add("x", 3, event(3))
    kept.add("y", 4, event(4))
    assert numbers(kept) == [3, 4]
