"""The figures of PROTOCOL.md: when a channel is a crowd, and how often it is sent a number."""

from tests.unit.presence.room import Room


def test_up_to_200_members_are_named() -> None:
    room = Room()
    room.come(*(f"m{number}" for number in range(200)))
    assert len(room.watch()[2]["members"]) == 200
    room.come("one-more")
    assert room.watch()[2] == {"type": "subscribed", "count": 201}


def test_a_crowd_is_sent_its_number_once_a_second() -> None:
    room = Room()
    wire, _, _ = room.watch()
    room.come(*(f"m{number}" for number in range(201)))
    room.flush()
    room.come("one-more")
    room.now += 0.999
    room.flush()
    assert [message["count"] for message in wire.messages] == [201]
    room.now += 0.001
    room.flush()
    assert [message["count"] for message in wire.messages] == [201, 202]
