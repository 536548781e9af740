"""watchers.py: changes are gathered and told together, a crowd hears of its number, and nobody has
a wrong list for long.
"""

import json
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from eventhub.delivery.encoding import LINES, WEBSOCKET
from eventhub.delivery.subscriber import Subscriber
from eventhub.events.event import Latest
from eventhub.presence import notifier as watchers_module
from eventhub.presence.notifier import CROWD_SECONDS, PresenceWatchers
from eventhub.presence.roster import PresenceChange, Roster
from tests.harness.wire import Wire

CROWD, SLICE, MAX_CHANGES, BEGINNINGS = 6, 2, 4, 3


def _raise(subscriber: Subscriber, error: Exception) -> None:
    raise error


def _nobody_is_ended() -> None:
    raise AssertionError("for presence")


class Room:
    """Members and watchers of one channel."""

    def __init__(self) -> None:
        self.roster = Roster("n1")
        self.woken = 0
        self.watchers = PresenceWatchers(self.roster, self.wake, _raise)
        self.now = 100.0

    def wake(self) -> None:
        self.woken += 1

    def come(self, *members: str) -> None:
        for member in members:
            if self.roster.join("chat.a", member):
                self.watchers.on_change(PresenceChange("chat.a", member, joined=True))

    def go(self, *members: str) -> None:
        for member in members:
            if self.roster.leave("chat.a", member):
                self.watchers.on_change(PresenceChange("chat.a", member, joined=False))

    def watch(self) -> tuple[Wire, Subscriber, dict[str, Any]]:
        wire = Wire()
        wire.on_fail = _nobody_is_ended
        subscriber = Subscriber("chat.a", Latest(), wire, lambda *_: None, watching=True)
        fields = self.watchers.add(subscriber)
        return (
            wire,
            subscriber,
            json.loads(LINES.message("subscribed", fields)) | {"type": "subscribed"},
        )

    def flush(self) -> int:
        """Tell what is due. How often that made room for others."""
        return len(list(self.watchers.flush(self.now)))

    def second(self) -> int:
        self.now += CROWD_SECONDS
        return self.flush()


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("CROWD", CROWD),
        ("SLICE", SLICE),
        ("MAX_CHANGES", MAX_CHANGES),
        ("BEGINNINGS", BEGINNINGS),
    ):
        monkeypatch.setattr(watchers_module, name, value)


def ids(*members: str) -> list[dict[str, str]]:
    return [{"id": member} for member in members]


def change(kind: str, member: str) -> dict[str, Any]:
    return {"type": kind, "channel": "chat.a", "member": {"id": member}}


def whole(*members: str) -> dict[str, Any]:
    return {
        "type": "presence",
        "channel": "chat.a",
        "count": len(members),
        "members": ids(*members),
    }


def test_changes_are_gathered_and_told_in_one_write() -> None:
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


def test_who_comes_and_goes_within_a_gathering_is_not_mentioned() -> None:
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


def test_a_client_that_comes_and_goes_all_the_time_is_told_of_once_a_gathering() -> None:
    room = Room()
    wires = [room.watch()[0] for _ in range(CROWD)]
    for _ in range(500):
        room.come("bob")
        room.go("bob")
    room.come("bob")
    room.flush()
    assert [wire.messages for wire in wires] == [[change("join", "bob")]] * CROWD


def test_each_is_told_what_is_new_to_it() -> None:
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


def test_who_begins_when_others_have_begun_at_many_moments_gets_the_whole_list() -> None:
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


def test_many_changes_at_once_are_one_list() -> None:
    room = Room()
    wire, _, _ = room.watch()
    members = [f"m{number}" for number in range(MAX_CHANGES + 1)]
    room.come(*members)
    room.flush()
    assert wire.messages == [whole(*members)]


def test_a_crowd_hears_of_its_number_when_it_has_changed() -> None:
    room = Room()
    wire, _, _ = room.watch()
    room.come(*"abcdefgh")
    room.flush()
    room.come("i")
    room.flush()
    room.second()
    room.second()
    assert wire.messages == [
        {"type": "presence", "channel": "chat.a", "count": count} for count in (8, 9)
    ]
    assert room.watch()[2] == {"type": "subscribed", "count": 9}


def test_a_crowd_is_told_once_in_its_time_and_not_forgotten() -> None:
    room = Room()
    wire, _, _ = room.watch()
    room.come(*"abcdefgh")
    room.flush()
    for number in range(5):
        room.come(f"m{number}")
        room.flush()
        assert room.watchers.due
    assert len(wire.messages) == 1
    room.second()
    assert wire.messages[-1]["count"] == 13
    assert not room.watchers.due


def test_a_crowd_that_shrinks_is_named_again_and_then_told_of_each() -> None:
    room = Room()
    room.come(*"abcdefgh")
    wire, _, state = room.watch()
    assert state == {"type": "subscribed", "count": 8}
    room.go(*"abcdef")
    room.second()
    assert wire.messages == [whole("g", "h")]
    room.go("g")
    room.flush()
    assert wire.messages[1:] == [change("leave", "g")]


def test_many_watchers_of_few_hear_names_now_and_then_a_slice_at_a_time() -> None:
    room = Room()
    wires = [room.watch()[0] for _ in range(CROWD + 1)]
    room.come("ana")
    assert room.flush() == 4, "three pauses between four slices, and one behind the channel"
    assert [wire.messages for wire in wires] == [[whole("ana")]] * (CROWD + 1)
    room.come("bob")
    room.flush()
    assert sum(len(wire.messages) for wire in wires) == CROWD + 1


def test_who_has_no_room_gets_the_list_once_it_has_and_then_each_change() -> None:
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


def test_who_drains_and_has_missed_nothing_is_told_nothing() -> None:
    room = Room()
    _, subscriber, _ = room.watch()
    room.watchers.drained(subscriber)
    assert not room.watchers.due


def test_who_left_is_told_nothing() -> None:
    room = Room()
    told = [room.watch() for _ in range(CROWD + 1)]
    room.come("e")
    telling = room.watchers.flush(room.now)
    next(telling)
    for _, subscriber, _ in told:
        room.watchers.discard(subscriber)
    assert len(list(telling)) <= 4
    assert [len(wire.messages) for wire, _, _ in told] == [1, 1, 0, 0, 0, 0, 0]
    room.come("f")
    assert room.second() == 0


def test_changes_nobody_watches_cost_nothing() -> None:
    room = Room()
    room.come(*"abcdefgh")
    assert (room.second(), room.woken) == (0, 0)


def test_bytes_are_built_once_for_all_who_use_an_encoding() -> None:
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


def test_a_pause_comes_behind_every_channel() -> None:
    roster = Roster("n1")
    watchers = PresenceWatchers(roster, lambda: None, _raise)
    for number in range(10):
        watchers.add(Subscriber(f"chat.{number}", Latest(), Wire(), lambda *_: None, watching=True))
        roster.join(f"chat.{number}", "ana")
        watchers.on_change(PresenceChange(f"chat.{number}", "ana", joined=True))
    assert len(list(watchers.flush(0))) == 10


class Lists(RuleBasedStateMachine):
    """Every watcher keeps the list as PROTOCOL.md says; once all is told, whoever has room has the
    right one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.room = Room()
        self.held: list[str] = []
        self.lists: dict[Subscriber, tuple[Wire, list[str] | None]] = {}

    @rule(member=st.sampled_from([f"m{number}" for number in range(9)]))
    def come(self, member: str) -> None:
        self.held.append(member)
        self.room.come(member)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        member = data.draw(st.sampled_from(sorted(self.held)))
        self.held.remove(member)
        self.room.go(member)

    @rule()
    def watch(self) -> None:
        wire, subscriber, state = self.room.watch()
        self.lists[subscriber] = (
            wire,
            [each["id"] for each in state["members"]] if "members" in state else None,
        )

    @precondition(lambda self: self.lists)
    @rule(data=st.data())
    def turn(self, data: st.DataObject) -> None:
        subscriber = data.draw(st.sampled_from(list(self.lists)))
        wire, _ = self.lists[subscriber]
        wire.full = not wire.full
        if not wire.full:
            self.room.watchers.drained(subscriber)

    @precondition(lambda self: self.lists)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        subscriber = data.draw(st.sampled_from(list(self.lists)))
        del self.lists[subscriber]
        self.room.watchers.discard(subscriber)

    @rule()
    def flush(self) -> None:
        self.room.flush()

    @rule()
    def second(self) -> None:
        self.room.second()

    @invariant()
    def what_is_told_fits_what_was_known(self) -> None:
        for subscriber, (wire, known) in self.lists.items():
            for message in wire.messages:
                match message["type"]:
                    case "presence":
                        known = (
                            [each["id"] for each in message["members"]]
                            if "members" in message
                            else None
                        )
                    case "join":
                        assert known is not None
                        assert message["member"]["id"] not in known
                        known = [*known, message["member"]["id"]]
                    case "leave":
                        assert known is not None
                        known = [member for member in known if member != message["member"]["id"]]
            wire.data.clear()
            self.lists[subscriber] = (wire, known)

    def teardown(self) -> None:
        self.room.second()
        self.room.second()
        self.what_is_told_fits_what_was_known()
        for wire, known in self.lists.values():
            if not wire.full and len(set(self.held)) <= CROWD:
                assert known is not None
                assert set(known) == set(self.held)
        assert not self.room.watchers.due


TestLists = Lists.TestCase
TestLists.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
