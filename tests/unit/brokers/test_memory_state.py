"""memory_state.py: the bounds of a state in memory, and what it counts."""

import pytest

from eventhub.brokers import memory_state
from eventhub.brokers.memory_state import EVENT_OVERHEAD, KEY_OVERHEAD, SPARE, Ledger, MemoryState
from eventhub.events.channel_types import StateRetention
from eventhub.events.event import DELETED, KEY, Event, Position, State
from eventhub.events.keys import key_of

ENTRY = KEY_OVERHEAD + EVENT_OVERHEAD + 1


def event(offset: int, key: str, *, time: int = 0, deleted: bool = False) -> Event:
    attributes = {DELETED if deleted else KEY: key}
    return Event("a.b", "e", offset, offset - 1, time, b"1", attributes)


def filled(retention: StateRetention, *keys: str) -> MemoryState:
    state = MemoryState(retention, 0, Ledger())
    for offset, key in enumerate(keys, 1):
        state.add(event(offset, key))
    return state


def keys(state: MemoryState, tip: int) -> list[str]:
    return [key_of(entry) for entry in state.page(State(), Position("e", tip), 1000).events]


def test_an_entry_is_counted_once_with_its_event_if_it_outlives_the_log() -> None:
    ledger = Ledger()
    state = MemoryState(StateRetention(latest=True), 0, ledger)
    for offset, key in enumerate("abab", 1):
        state.add(event(offset, key))
    assert state.bytes == ledger.bytes == 2 * ENTRY
    state.shrink()
    assert (state.bytes, ledger.bytes, state.forgotten) == (ENTRY, ENTRY, 3)
    in_log = filled(StateRetention(), *"ab")
    assert in_log.bytes == 2 * KEY_OVERHEAD


def test_entries_leave_with_the_log_only_if_they_do_not_outlive_it() -> None:
    state = filled(StateRetention(), *"abc")
    state.trimmed(2)
    assert (keys(state, 3), state.forgotten) == (["c"], 2)
    kept = filled(StateRetention(latest=True), *"abc")
    kept.trimmed(2)
    assert (keys(kept, 3), kept.forgotten) == (["a", "b", "c"], 0)


def test_replaced_entries_take_no_place_for_ever() -> None:
    state = filled(StateRetention(latest=True), *"ab" * (2 * SPARE))
    assert len(state._order) <= SPARE + 4
    assert keys(state, 4 * SPARE) == ["a", "b"]


def test_entries_leave_when_they_are_too_old() -> None:
    state = MemoryState(StateRetention(latest=True, age=100), 0, Ledger())
    for offset, (key, time) in enumerate((("a", 0), ("b", 50), ("a", 60)), 1):
        state.add(event(offset, key, time=time))
    state.expire(150)
    assert (keys(state, 3), state.forgotten) == (["b", "a"], 0)
    state.expire(151)
    assert (keys(state, 3), state.forgotten) == (["a"], 2)


def test_the_newest_event_of_a_deleted_key_is_none() -> None:
    state = filled(StateRetention(), *"ab")
    state.add(event(3, "a", deleted=True))
    assert state.newest("a") is None
    assert state.newest("b") == Position("e", 2)
    assert state.newest("c") is None
    assert state.has(3)
    assert not state.has(4)


def test_deletions_beyond_their_bound_are_forgotten_with_the_oldest_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory_state, "DELETIONS", 2)
    state = filled(StateRetention(latest=True, keys=2), *"ab")
    state.add(event(3, "a", deleted=True))
    state.add(event(4, "b", deleted=True))
    state.add(event(5, "a"))
    state.add(event(6, "c", deleted=True))
    assert (len(state), state.forgotten) == (3, 0), "a is deleted no more"
    state.add(event(7, "d", deleted=True))
    assert (len(state), state.forgotten) == (3, 4), "the deletion of b has left"
    assert keys(state, 7) == ["a"]
    state.add(event(8, "e"))
    assert keys(state, 8) == ["a", "e"], "deletions take no place of keys"


def test_a_reader_from_before_what_was_forgotten_gets_the_whole_state() -> None:
    state = filled(StateRetention(latest=True, keys=2), *"abcb")
    end = Position("e", 4)
    assert state.forgotten == 1
    assert state.page(State(Position("e", 1)), end, 10).lost is None
    page = state.page(State(Position("e", 0)), end, 10)
    assert (page.lost, [each.offset for each in page.events]) == ("expired", [3, 4])
    assert page.start == Position("e", 0)


def test_half_of_an_odd_number_of_keys_leaves() -> None:
    state = filled(StateRetention(latest=True), *"abc")
    state.shrink()
    assert keys(state, 3) == ["c"]


def test_a_page_ends_with_its_size_and_the_next_one_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory_state, "PAGE_BYTES", 2)
    state, end = filled(StateRetention(), *"abc"), Position("e", 3)
    first = state.page(State(), end, 10)
    assert [each.offset for each in first.events] == [1, 2]
    assert (first.start.offset, first.reached, first.following) == (
        0,
        Position("e", 2),
        State(Position("e", 2), 3),
    )
    assert first.following is not None
    second = state.page(first.following, end, 10)
    assert [each.offset for each in second.events] == [3]
    assert (second.start.offset, second.reached) == (2, end)
    assert second.following is not None
    last = state.page(second.following, end, 10)
    assert (last.start, last.events, last.reached) == (end, [], end)


def test_deletions_from_before_a_reader_began_are_in_none_of_its_pages() -> None:
    state = filled(StateRetention(), *"abc")
    state.add(event(4, "a", deleted=True))
    first = state.page(State(), Position("e", 4), 1)
    state.add(event(5, "b", deleted=True))
    assert first.following is not None
    rest = state.page(first.following, Position("e", 5), 10)
    assert [each.offset for each in (*first.events, *rest.events)] == [2, 3, 5]


def test_without_latest_keys_have_no_bound_of_their_own() -> None:
    assert keys(filled(StateRetention(keys=2), *"abcd"), 4) == ["a", "b", "c", "d"]


def test_what_is_left_is_found_after_replaced_entries_were_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory_state, "SPARE", 2)
    state = filled(StateRetention(latest=True, keys=2), *"abcdefghij")
    assert keys(state, 10) == ["i", "j"]
    state.add(event(11, "k"))
    assert keys(state, 11) == ["j", "k"]


def test_what_was_forgotten_stays_so_when_an_older_deletion_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory_state, "DELETIONS", 1)
    state = MemoryState(StateRetention(latest=True, keys=1), 0, Ledger())
    state.add(event(1, "a"))
    state.add(event(2, "x", deleted=True))
    state.add(event(3, "a"))
    state.add(event(4, "b"))
    assert state.forgotten == 3
    state.add(event(5, "y", deleted=True))
    assert (state.forgotten, keys(state, 5)) == (3, ["b"])
