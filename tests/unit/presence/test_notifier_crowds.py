"""A crowd is sent the number of its members, once in its time, slice by slice."""

from collections.abc import Iterator

import pytest

from tests.unit.presence.room import CROWD, Room, change, small_sizes, whole


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    with small_sizes():
        yield


def test_a_crowd_gets_its_count_when_it_has_changed() -> None:
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


def test_a_crowd_gets_one_message_per_period() -> None:
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


def test_a_crowd_that_shrinks_gets_the_names_and_then_each_change() -> None:
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


def test_many_watchers_of_few_members_get_names_slice_by_slice() -> None:
    room = Room()
    wires = [room.watch()[0] for _ in range(CROWD + 1)]
    room.come("ana")
    assert room.flush() == 4, "three pauses between four slices, and one behind the channel"
    assert [wire.messages for wire in wires] == [[whole("ana")]] * (CROWD + 1)
    room.come("bob")
    room.flush()
    assert sum(len(wire.messages) for wire in wires) == CROWD + 1


def test_a_watcher_that_left_gets_nothing() -> None:
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


def test_as_many_members_as_a_channel_may_have_are_told_one_by_one() -> None:
    room = Room()
    wire, _, _ = room.watch()
    room.come(*"abc")
    room.flush()
    room.come(*"def")
    room.flush()
    assert wire.messages == [change("join", member) for member in "abcdef"]
    assert len(room.watch()[2]["members"]) == CROWD


def test_a_watcher_that_began_in_a_crowd_is_sent_all_names_once_they_are_few() -> None:
    room = Room()
    room.come(*"abcdefg")
    wire, _, state = room.watch()
    assert "members" not in state
    room.go("a")
    room.flush()
    assert wire.messages == [whole(*"bcdefg")]


def test_a_crowd_that_comes_back_at_once_is_not_told_sooner() -> None:
    room = Room()
    room.come(*"abcdefg")
    wire, _, _ = room.watch()
    room.go("a")
    room.flush()
    room.come("a")
    room.flush()
    assert wire.messages == [whole(*"bcdefg")]
    room.second()
    assert wire.messages[1:] == [{"type": "presence", "channel": "chat.a", "count": 7}]


def test_changes_from_before_a_crowd_are_not_sent_after_it() -> None:
    room = Room()
    wire, _, _ = room.watch()
    room.come(*"abc")
    room.come(*"defg")
    room.flush()
    room.go("a")
    room.second()
    room.go("b")
    room.flush()
    assert wire.messages[1:] == [whole(*"bcdefg"), change("leave", "b")]


def test_changes_of_a_crowd_are_not_kept() -> None:
    room = Room()
    room.watch()
    room.come(*"abcdefg")
    room.flush()
    room.come("h")
    assert room.watchers._channels["chat.a"].changes == [{}]


def test_in_a_crowd_a_watcher_without_room_is_passed_over_until_it_has_some() -> None:
    room = Room()
    full, subscriber, _ = room.watch()
    wire, _, _ = room.watch()
    full.full = True
    room.come(*"abcdefg")
    room.flush()
    assert (full.messages, len(wire.messages)) == ([], 1)
    full.full = False
    room.watchers.drained(subscriber)
    room.second()
    assert [message["count"] for message in full.messages] == [7]
    room.go("a")
    room.second()
    room.go("b")
    room.flush()
    assert full.messages[1:] == [whole(*"bcdefg"), change("leave", "b")]


def test_a_watcher_of_a_crowd_that_left_is_passed_over() -> None:
    room = Room()
    told = [room.watch() for _ in range(CROWD + 1)]
    room.come("e")
    flush = room.watchers.flush(room.now)
    next(flush)
    room.watchers.discard(told[2][1])
    list(flush)
    assert [len(wire.messages) for wire, _, _ in told] == [1, 1, 0, 1, 1, 1, 1]
