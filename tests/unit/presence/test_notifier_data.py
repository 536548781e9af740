"""presence/notifier.py: what watchers are told of the data of members."""

from collections.abc import Iterator

import pytest

from tests.unit.presence.room import CROWD, Room, change, ids, small_sizes

HERE, AWAY = {"status": "here"}, {"status": "away"}


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    with small_sizes():
        yield


def test_data_is_in_the_list_and_in_each_change() -> None:
    room = Room()
    room.come("ana")
    room.say("ana", HERE)
    wire, _, state = room.watch()
    assert state["members"] == ids(ana=HERE)
    room.say("ana", AWAY)
    room.come("bob")
    room.flush()
    room.go("ana")
    room.flush()
    assert wire.messages == [
        change("update", "ana", AWAY),
        change("join", "bob"),
        change("leave", "ana", AWAY),
    ]
    assert len(wire.data) == 2, "one write for each gathering"


def test_of_several_updates_only_the_last_is_told_and_none_that_changes_nothing() -> None:
    room = Room()
    room.come("ana")
    room.say("ana", HERE)
    wire, _, _ = room.watch()
    for _ in range(5):
        room.say("ana", AWAY)
        room.say("ana", HERE)
    room.flush()
    assert wire.messages == []
    room.say("ana", AWAY)
    room.say("ana", None)
    room.flush()
    assert wire.messages == [change("update", "ana")]


def test_a_member_that_comes_with_data_is_one_join() -> None:
    room = Room()
    wire, _, _ = room.watch()
    room.come("ana")
    room.say("ana", HERE)
    room.flush()
    assert wire.messages == [change("join", "ana", HERE)]


def test_a_member_that_leaves_and_comes_back_with_other_data_has_changed() -> None:
    room = Room()
    room.come("ana")
    room.say("ana", HERE)
    wire, _, _ = room.watch()
    room.go("ana")
    room.come("ana")
    room.say("ana", AWAY)
    room.flush()
    assert wire.messages == [change("update", "ana", AWAY)]


def test_a_watcher_is_told_of_updates_since_it_began() -> None:
    room = Room()
    room.come("ana")
    first, _, _ = room.watch()
    room.say("ana", HERE)
    second, _, state = room.watch()
    assert state["members"] == ids(ana=HERE)
    room.flush()
    assert (first.messages, second.messages) == ([change("update", "ana", HERE)], [])


def test_the_list_has_the_data_of_now_though_it_was_made_before() -> None:
    room = Room()
    room.come("ana")
    room.watch()
    room.say("ana", HERE)
    room.come("bob")
    room.say("bob", AWAY)
    assert room.watch()[2]["members"] == ids(ana=HERE, bob=AWAY)


def test_data_does_not_wake_a_crowd_that_gets_only_a_number() -> None:
    room = Room()
    room.come(*(f"m{number}" for number in range(CROWD + 1)))
    wire, _, _ = room.watch()
    room.say("m0", HERE)
    assert not room.watchers.due
    room.second()
    assert wire.messages == []
    room.go("m1")
    room.second()
    assert wire.messages[-1]["members"][0] == {"id": "m0", "data": HERE}


def test_many_watchers_of_few_members_get_the_list_with_data() -> None:
    room = Room()
    wires = [room.watch()[0] for _ in range(CROWD + 1)]
    room.come("ana")
    room.second()
    room.say("ana", HERE)
    room.second()
    assert {wire.messages[-1]["members"][0]["data"]["status"] for wire in wires} == {"here"}
