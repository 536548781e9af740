"""memory_state.py: the bounds of a state in memory, and what it counts."""

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
