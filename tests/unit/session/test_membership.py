"""session/membership.py: the data of members, as clients and tokens give it."""

from dataclasses import replace
from typing import Any

import pytest

from eventhub.auth.principal import ANYONE, CredentialKind, Principal
from eventhub.errors import PayloadTooLarge
from eventhub.session.commands import Member, Subscribe
from eventhub.session.membership import first_data
from tests.harness.builders import Guest
from tests.unit.session.session_client import ANA, LIMITS, SOME, Client, stranger

ROOM = "chat.lobby"
NAMED = replace(ANA, member_data=b'{"name":"Ana"}')


def with_ana(**data: Any) -> Client:
    client = Client()
    client.send(type="subscribe", channel=ROOM, member={"id": "ana", **data})
    return client


def signed_in(principal: Principal, **others: Principal) -> Client:
    client = stranger(token=principal, **others)
    client.send(type="auth", token="token")
    return client


def test_a_member_comes_with_its_data_and_a_member_may_have_none() -> None:
    client = with_ana(data={"status": "here"})
    client.send(type="subscribe", channel="chat.b", member={"id": "ana"})
    client.send(type="subscribe", channel="chat.c", member="ana")
    assert client.node.data == {ROOM: b'{"status":"here"}', "chat.b": b"", "chat.c": b""}
    assert {each.member for each in client.node.subscribers.values()} == {"ana"}


def test_an_update_replaces_the_data_and_is_answered() -> None:
    client = with_ana(data={"status": "here"})
    updated = client.send(type="update", ref=7, channel=ROOM, data={"status": "away"})
    assert updated == [{"type": "updated", "ref": 7, "channel": ROOM}]
    assert client.node.data == {ROOM: b'{"status":"away"}'}
    assert client.node.calls[-1] == ("update", f"{ROOM} at most {LIMITS.member_updates}")
    client.send(type="update", channel=ROOM, data=None)
    assert client.node.data == {ROOM: b""}


def test_an_update_before_the_subscription_has_begun_is_taken() -> None:
    client = Client(prompt=False)
    client.send(type="subscribe", channel=ROOM, member="ana")
    assert [reply["type"] for reply in client.send(type="update", channel=ROOM, data={})] == [
        "updated"
    ]


def test_only_a_member_is_updated() -> None:
    client = Client()
    absent = client.refused(type="update", channel=ROOM, data={})
    client.send(type="subscribe", channel=ROOM, presence=True)
    watcher = client.refused(type="update", channel=ROOM, data={})
    assert absent["code"] == watcher["code"] == "not_subscribed"
    assert "not subscribed to 'chat.lobby'" in absent["message"]
    assert "not a member of 'chat.lobby'" in watcher["message"]
    assert client.node.data == {ROOM: b""}


def test_data_is_as_large_as_the_limit_and_no_larger() -> None:
    client = with_ana()
    fits, over = ({"a": "x" * (LIMITS.member_bytes - size)} for size in (8, 7))
    client.send(type="update", channel=ROOM, data=fits)
    assert len(client.node.data[ROOM]) == LIMITS.member_bytes
    for command in (
        {"type": "update", "channel": ROOM, "data": over},
        {"type": "subscribe", "channel": "chat.b", "member": {"id": "ana", "data": over}},
    ):
        reply = client.refused(**command)
        assert reply["code"] == "payload_too_large"
        assert "1025 bytes; at most 1024 are allowed (limits.member_bytes)" in reply["message"]
    assert client.session.channels == [ROOM]


def test_data_that_is_too_deep_is_refused_and_the_limit_of_its_size_is_named() -> None:
    client, deep = with_ana(), {"a": [[[[1]]]]}
    assert client.refused(type="update", channel=ROOM, data=deep)["code"] == "too_deep"
    with pytest.raises(PayloadTooLarge) as caught:
        first_data(
            Subscribe(type="subscribe", channel=ROOM, member=Member(id="a", data={"a": "x" * 9})),
            ANYONE,
            replace(LIMITS, member_bytes=16),
        )
    assert caught.value.limit == "member_bytes"


def test_the_data_of_a_token_is_that_of_its_member_and_not_the_clients_to_change() -> None:
    client = signed_in(NAMED)
    client.send(type="subscribe", channel=ROOM, member="ana")
    assert client.node.data == {ROOM: b'{"name":"Ana"}'}
    for command in (
        {"type": "update", "channel": ROOM, "data": {"name": "Admin"}},
        {"type": "update", "channel": ROOM, "data": None},
    ):
        reply = client.refused(**command)
        assert (reply["code"], "member_data" in reply["message"]) == ("forbidden", True)
    client.send(type="unsubscribe", channel=ROOM)
    given = {"id": "ana", "data": {}}
    assert client.refused(type="subscribe", channel=ROOM, member=given)["code"] == "forbidden"
    assert client.session.channels == []


def test_a_token_with_data_makes_nobody_a_member() -> None:
    client = signed_in(NAMED)
    client.send(type="subscribe", channel=ROOM)
    assert client.node.data == {ROOM: b""}


@pytest.mark.parametrize(
    ("after", "data"),
    [(replace(NAMED, member_data=b'{"name":"Ana B."}'), b'{"name":"Ana B."}'), (ANA, b"")],
)
def test_a_new_token_replaces_the_data_of_the_one_before_it(after: Principal, data: bytes) -> None:
    client = signed_in(NAMED, new=after)
    client.send(type="subscribe", channel=ROOM, member="ana")
    client.send(type="subscribe", channel="chat.side")
    client.send(type="auth", token="new")
    assert client.node.data == {ROOM: data, "chat.side": b""}
    assert client.node.calls[-1] == ("update", f"{ROOM} at most None")


def test_a_token_that_says_the_same_leaves_what_the_client_gave() -> None:
    client = signed_in(ANA, new=replace(ANA, expires=ANA.expires))
    client.send(type="subscribe", channel=ROOM, member={"id": "ana", "data": {"x": 1}})
    client.send(type="auth", token="new")
    assert client.node.data == {ROOM: b'{"x":1}'}


def test_a_key_may_name_any_member_with_any_data() -> None:
    client = Client(guest=Guest(Principal(CredentialKind.KEY, "backend", SOME)))
    client.send(type="subscribe", channel=ROOM, member={"id": "rui", "data": {"x": 1}})
    assert client.node.data == {ROOM: b'{"x":1}'}
