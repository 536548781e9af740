"""eventhub_client/members.py: one's own member, and the lists of all members."""

from typing import Any

from eventhub_client.items import Member, Presence
from eventhub_client.members import Data, Membership, Rosters
from eventhub_client.steps import Message


def test_an_update_reaches_the_connection_and_the_next_one() -> None:
    member, sent = Membership("ana", {"status": "here"}), list[Data]()
    assert member.current() == ({"id": "ana", "data": {"status": "here"}}, 0)
    member.attach(sent.append, 0)
    member.update({"status": "away"})
    assert sent == [{"status": "away"}]
    assert member.current() == ({"id": "ana", "data": {"status": "away"}}, 1)
    member.update(None)
    assert member.current() == ({"id": "ana"}, 2)


def test_an_update_between_the_subscription_and_the_connection_is_not_lost() -> None:
    member, sent = Membership("ana"), list[Data]()
    _, version = member.current()
    member.update({"status": "away"})
    member.attach(sent.append, version)
    assert sent == [{"status": "away"}]


def test_a_connection_that_is_gone_gets_no_update() -> None:
    member, sent, send = Membership("ana"), list[Data](), list[Data]().append
    member.attach(send, 0)
    member.attach(sent.append, 0)
    member.detach(send)
    member.update({"a": 1})
    assert sent == [{"a": 1}]


def change(kind: str, identifier: str, **data: Any) -> Message:
    member = {"id": identifier, **({"data": data} if data else {})}
    return {"type": kind, "channel": "a.b", "member": member}


def listed(count: int, *identifiers: str) -> Message:
    members = [{"id": each} for each in identifiers]
    return {
        "type": "presence",
        "channel": "a.b",
        "count": count,
        **({"members": members} if members or not count else {}),
    }


def test_each_change_comes_with_the_whole_list() -> None:
    rosters, ana, rui = Rosters(), Member("ana"), Member("rui", {"at": 1})
    found = [
        rosters.presence_of(each)
        for each in (
            {**listed(1, "ana"), "type": "subscribed"},
            change("join", "rui", at=1),
            change("update", "ana", at=2),
            change("leave", "rui", at=1),
        )
    ]
    assert rosters.presence_of(change("leave", "eva")).count == 1
    away = Member("ana", {"at": 2})
    assert found == [
        Presence("a.b", 1, (ana,)),
        Presence("a.b", 2, (ana, rui), "join", rui),
        Presence("a.b", 2, (away, rui), "update", away),
        Presence("a.b", 1, (away,), "leave", rui),
    ]


def test_a_list_replaces_what_was_known_and_a_large_one_has_only_a_count() -> None:
    rosters = Rosters()
    rosters.presence_of(listed(1, "ana"))
    assert rosters.presence_of(listed(2, "rui", "eva")).members == (Member("rui"), Member("eva"))
    assert rosters.presence_of(listed(900)) == Presence("a.b", 900, None)
    assert rosters.presence_of(listed(0)) == Presence("a.b", 0, ())
