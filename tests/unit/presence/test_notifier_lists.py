"""Every watcher's list, in any order of events."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from eventhub.delivery.subscriber import Subscriber
from tests.harness.wire import Wire
from tests.unit.presence.room import CROWD, Room, small_sizes


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    with small_sizes():
        yield


WHICH = st.integers(0, 30)
"""Of those that are there: what is drawn does not depend on how many they are."""


class Lists(RuleBasedStateMachine):
    """Every watcher keeps the list as PROTOCOL.md says; once all is told, whoever has room has the
    right one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.room = Room()
        self.held: list[str] = []
        self.data: dict[str, Any] = {}
        self.lists: dict[Subscriber, tuple[Wire, dict[str, Any] | None]] = {}

    @rule(member=st.sampled_from([f"m{number}" for number in range(9)]))
    def come(self, member: str) -> None:
        self.held.append(member)
        self.room.come(member)

    @precondition(lambda self: self.held)
    @rule(which=WHICH)
    def go(self, which: int) -> None:
        member = self.held.pop(which % len(self.held))
        self.room.go(member)
        self.data.pop(member, None)  # with any of its tabs, as all say it in the name of one

    @precondition(lambda self: self.held)
    @rule(which=WHICH, data=st.sampled_from([{"x": 1}, {"x": 2}, None]))
    def say(self, which: int, data: Any) -> None:
        member = self.held[which % len(self.held)]
        self.room.say(member, data)
        self.data[member] = data

    @rule()
    def watch(self) -> None:
        wire, subscriber, state = self.room.watch()
        self.lists[subscriber] = (
            wire,
            _known(state),
        )

    @precondition(lambda self: self.lists)
    @rule(which=WHICH)
    def turn(self, which: int) -> None:
        subscriber = list(self.lists)[which % len(self.lists)]
        wire, _ = self.lists[subscriber]
        wire.full = not wire.full
        if not wire.full:
            self.room.watchers.drained(subscriber)

    @precondition(lambda self: self.lists)
    @rule(which=WHICH)
    def leave(self, which: int) -> None:
        subscriber = list(self.lists)[which % len(self.lists)]
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
                        known = _known(message)
                    case "join":
                        assert known is not None
                        assert message["member"]["id"] not in known
                        known |= _known({"members": [message["member"]]}) or {}
                    case "update":
                        assert known is not None
                        assert known[message["member"]["id"]] != message["member"].get("data")
                        known |= _known({"members": [message["member"]]}) or {}
                    case "leave":
                        assert known is not None
                        assert known.pop(message["member"]["id"]) == message["member"].get("data")
            wire.data.clear()
            self.lists[subscriber] = (wire, known)

    def teardown(self) -> None:
        self.room.second()
        self.room.second()
        self.what_is_told_fits_what_was_known()
        for wire, known in self.lists.values():
            if not wire.full and len(set(self.held)) <= CROWD:
                assert known is not None
                assert known == {member: self.data.get(member) for member in self.held}
        assert not self.room.watchers.due


def _known(message: dict[str, Any]) -> dict[str, Any] | None:
    """The data of the members that a message lists. None in a crowd."""
    if "members" not in message:
        return None
    return {each["id"]: each.get("data") for each in message["members"]}


TestLists = Lists.TestCase
TestLists.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
