"""watchers.py: small channels hear of each member, a crowd of its number."""

import json
from typing import Any

import pytest

from eventhub import watchers as watchers_module
from eventhub.encoding import LINES, Encoding
from eventhub.errors import EventHubError
from eventhub.event import Latest
from eventhub.presence import Change, Roster
from eventhub.subscriber import Subscriber
from eventhub.watchers import Watchers


class Wire:
    """A writer that remembers."""

    encoding: Encoding = LINES

    def __init__(self) -> None:
        self.full = False
        self.messages: list[dict[str, Any]] = []
        self.failed: list[str] = []

    def write(self, data: bytes) -> None:
        self.messages += map(json.loads, data.splitlines())

    def fail(self, error: EventHubError) -> None:
        self.failed.append(error.code)

    def abort(self) -> None: ...


class Room:
    """Members and watchers of one channel; a crowd begins above three."""

    def __init__(self) -> None:
        self.roster = Roster("n1")
        self.watchers = Watchers(self.roster, lambda subscriber, error: subscriber.writer.fail(error))

    def come(self, *members: str) -> None:
        for member in members:
            if self.roster.join("chat.a", member):
                self.watchers.tell(Change("chat.a", member, joined=True))

    def go(self, *members: str) -> None:
        for member in members:
            if self.roster.leave("chat.a", member):
                self.watchers.tell(Change("chat.a", member, joined=False))

    def watch(self) -> tuple[Wire, Subscriber, dict[str, Any]]:
        wire = Wire()
        subscriber = Subscriber("chat.a", Latest(), wire, lambda *_: None)
        return wire, subscriber, self.watchers.add(subscriber)

    def second(self) -> int:
        """Tell the crowds. How often that made room for others."""
        return len(list(self.watchers.tell_crowds()))


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchers_module, "CROWD", 3)
    monkeypatch.setattr(watchers_module, "SLICE", 2)


def ids(*members: str) -> list[dict[str, str]]:
    return [{"id": member} for member in members]


def test_a_small_channel_hears_of_each() -> None:
    room = Room()
    room.come("ana")
    wire, _, state = room.watch()
    assert state == {"count": 1, "members": ids("ana")}
    room.come("bob")
    room.go("ana")
    assert wire.messages == [
        {"type": "join", "channel": "chat.a", "member": {"id": "bob"}},
        {"type": "leave", "channel": "chat.a", "member": {"id": "ana"}},
    ]
    assert room.second() == 0
    assert len(wire.messages) == 2


def test_a_crowd_hears_of_its_number_when_it_has_changed() -> None:
    room = Room()
    wire, _, _ = room.watch()
    room.come("a", "b", "c")
    wire.messages.clear()
    room.come("d", "e", "f")
    assert wire.messages == []
    room.second()
    room.second()
    assert wire.messages == [{"type": "presence", "channel": "chat.a", "count": 6}]
    assert room.watch()[2] == {"count": 6}


def test_a_crowd_that_shrinks_is_named_again_and_then_told_of_each() -> None:
    room = Room()
    room.come("a", "b", "c", "d", "e")
    wire, _, state = room.watch()
    assert state == {"count": 5}
    room.go("a", "b", "c")
    assert wire.messages == []
    room.second()
    assert wire.messages == [{"type": "presence", "channel": "chat.a", "count": 2, "members": ids("d", "e")}]
    room.go("d")
    assert wire.messages[1:] == [{"type": "leave", "channel": "chat.a", "member": {"id": "d"}}]


def test_many_watchers_of_few_hear_names_now_and_then() -> None:
    room = Room()
    wires = [room.watch()[0] for _ in range(5)]
    room.come("ana")
    assert [wire.messages for wire in wires] == [[]] * 5
    assert room.second() == 2
    assert [wire.messages for wire in wires] == [[{"type": "presence", "channel": "chat.a", "count": 1, "members": ids("ana")}]] * 5


def test_who_has_no_room_for_a_change_is_given_up() -> None:
    room = Room()
    wire, _, _ = room.watch()
    wire.full = True
    room.come("ana")
    assert (wire.messages, wire.failed) == ([], ["slow_consumer"])


def test_who_is_given_up_is_told_nothing_more_even_if_it_drains() -> None:
    room = Room()
    wire, _, _ = room.watch()
    wire.full = True
    room.come("ana")
    wire.full = False
    room.come("bob")
    assert (wire.messages, wire.failed) == ([], ["slow_consumer"])


def test_who_has_no_room_for_a_number_gets_it_later() -> None:
    room = Room()
    room.come("a", "b", "c", "d")
    wire, _, _ = room.watch()
    wire.full = True
    room.come("e")
    room.second()
    assert (wire.messages, wire.failed) == ([], [])
    wire.full = False
    room.second()
    room.second()
    assert wire.messages == [{"type": "presence", "channel": "chat.a", "count": 5}]


def test_who_left_is_told_nothing() -> None:
    room = Room()
    room.come("a", "b", "c", "d")
    told = [room.watch() for _ in range(4)]
    room.come("e")
    telling = room.watchers.tell_crowds()
    next(telling)
    for _, subscriber, _ in told:
        room.watchers.discard(subscriber)
    assert len(list(telling)) <= 1
    assert [len(wire.messages) for wire, _, _ in told] == [1, 0, 0, 0]
    room.come("f")
    assert room.second() == 0


def test_changes_nobody_watches_cost_nothing() -> None:
    room = Room()
    room.come("a", "b", "c", "d", "e")
    assert room.second() == 0
