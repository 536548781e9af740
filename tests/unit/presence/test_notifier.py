"""Changes are gathered and sent together, and nobody has a wrong list for long."""

from collections.abc import Iterator
from typing import Any

import pytest

from eventhub.delivery.encoding import LINES, WEBSOCKET
from eventhub.delivery.subscriber import Subscriber
from eventhub.events.event import Latest
from eventhub.presence.member_data import PresenceChange
from eventhub.presence.notifier import PresenceWatchers
from eventhub.presence.roster import Roster
from tests.harness.wire import Wire
from tests.unit.presence.room import (
    BEGINNINGS,
    CROWD,
    MAX_CHANGES,
    Room,
    change,
    ids,
    small_sizes,
    whole,
)


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    with small_sizes():
        yield


def test_changes_are_gathered_and_sent_in_one_write() -> None:
    room = Room()
    room.come("ana")
    wire, _, state = room.watch()
    assert state == {"type": "subscribed", "count": 1, "members": ids("ana")}
    room.come("bob")
    room.go("ana")
    assert (wire.messages, room.woken) == ([], 1)
    room.flush()
    assert wire.messages == [change("join", "bob"), change("leave", "ana")]
    assert len(wire.data) == 1
    assert not room.watchers.due
    room.come("cem")
    assert room.woken == 2


def test_a_member_that_joins_and_leaves_within_one_gathering_is_not_reported() -> None:
    room = Room()
    room.come("ana")
    wire, _, _ = room.watch()
    for _ in range(500):
        room.come("bob")
        room.go("bob")
        room.go("ana")
        room.come("ana")
    room.flush()
    assert wire.messages == []


def test_a_client_that_joins_and_leaves_again_and_again_is_reported_once_per_gathering() -> None:
    room = Room()
    wires = [room.watch()[0] for _ in range(CROWD)]
    for _ in range(500):
        room.come("bob")
        room.go("bob")
    room.come("bob")
    room.flush()
    assert [wire.messages for wire in wires] == [[change("join", "bob")]] * CROWD


def test_each_watcher_gets_the_changes_since_it_began() -> None:
    room = Room()
    first, _, _ = room.watch()
    room.come("ana")
    second, _, state = room.watch()
    assert state["members"] == ids("ana")
    room.go("ana")
    room.come("bob")
    third, _, state = room.watch()
    assert state["members"] == ids("bob")
    room.flush()
    assert first.messages == [change("join", "bob")]
    assert second.messages == [change("leave", "ana"), change("join", "bob")], (
        "which it was told of"
    )
    assert third.messages == []


def test_with_many_different_beginnings_a_new_watcher_gets_the_whole_list() -> None:
    room = Room()
    for number in range(BEGINNINGS):
        room.come(f"m{number}")
        room.watch()
    room.come("ana")
    late, _, _ = room.watch()
    room.go("m0")
    room.flush()
    assert late.messages == [whole("m1", "m2", "ana")]
    room.come("bob")
    room.flush()
    assert late.messages[1:] == [change("join", "bob")]


def test_many_changes_are_sent_as_one_list() -> None:
    room = Room()
    wire, _, _ = room.watch()
    members = [f"m{number}" for number in range(MAX_CHANGES + 1)]
    room.come(*members)
    room.flush()
    assert wire.messages == [whole(*members)]


def test_a_full_watcher_gets_the_list_once_it_has_room_and_then_each_change() -> None:
    room = Room()
    wire, subscriber, _ = room.watch()
    wire.full = True
    room.come("ana")
    room.flush()
    room.watchers.drained(subscriber)
    room.flush()
    assert wire.messages == []
    wire.full = False
    room.watchers.drained(subscriber)
    room.flush()
    assert wire.messages == [whole("ana")]
    room.come("bob")
    room.flush()
    assert wire.messages[1:] == [change("join", "bob")]


def test_a_drained_watcher_that_missed_nothing_gets_nothing() -> None:
    room = Room()
    _, subscriber, _ = room.watch()
    room.watchers.drained(subscriber)
    assert not room.watchers.due


def test_changes_without_watchers_cost_nothing() -> None:
    room = Room()
    room.come(*"abcdefgh")
    assert (room.second(), room.woken) == (0, 0)


def test_bytes_are_built_once_per_encoding() -> None:
    room = Room()
    built: list[str] = []

    class Counting(type(LINES)):  # type: ignore[misc]  # the class of an instance
        def message(self, kind: str, *arguments: Any) -> bytes:
            built.append(kind)
            return LINES.message(kind, *arguments)

    encodings = Counting(), Counting()
    for number in range(CROWD):
        room.watch()[0].encoding = encodings[number % 2]
    room.come("ana")
    room.flush()
    assert built == ["join", "join"]
    assert WEBSOCKET.message("presence", room.watch()[2])


def test_flushing_pauses_after_every_channel() -> None:
    roster = Roster("n1")
    watchers = PresenceWatchers(roster, lambda: None, lambda *_: None)
    for number in range(10):
        watchers.add(Subscriber(f"chat.{number}", Latest(), Wire(), lambda *_: None, watching=True))
        roster.join(f"chat.{number}", "ana")
        watchers.on_change(PresenceChange(f"chat.{number}", "ana", None, b""))
    assert len(list(watchers.flush(0))) == 10


def test_some_changes_at_once_are_told_one_by_one() -> None:
    room = Room()
    wire, _, _ = room.watch()
    members = [f"m{number}" for number in range(MAX_CHANGES)]
    room.come(*members)
    room.flush()
    assert wire.messages == [change("join", member) for member in members]


def test_a_watcher_with_nothing_to_be_told_holds_up_no_other() -> None:
    room = Room()
    first, _, _ = room.watch()
    room.come("ana")
    second, _, _ = room.watch()
    room.go("ana")
    room.flush()
    assert (first.messages, second.messages) == ([], [change("leave", "ana")])


def test_a_watcher_without_room_holds_up_no_other() -> None:
    room = Room()
    full, _, _ = room.watch()
    full.full = True
    wire, _, _ = room.watch()
    room.come("ana")
    room.flush()
    assert (full.messages, wire.messages) == ([], [change("join", "ana")])
