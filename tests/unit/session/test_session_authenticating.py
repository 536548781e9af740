"""The command `auth`, and what a principal may do."""

from dataclasses import replace
from typing import Any

import pytest

from eventhub.auth.grants import Action, Grants
from eventhub.auth.principal import STRANGER, CredentialKind, Principal
from eventhub.errors import (
    InvalidFrame,
    InvalidToken,
)
from eventhub.events.channel_types import (
    ChannelTypes,
    PublisherKind,
)
from eventhub.events.schema import AnySchema
from eventhub.session.deferred_messages import DEFERRED_MESSAGES
from tests.harness.builders import Guest
from tests.unit.session.session_client import ANA, NOW, SOME, Client, kind, stranger


def test_an_unauthenticated_client_is_unauthorized() -> None:
    client = stranger()
    assert client.refused(type="subscribe", channel="chat.lobby")["code"] == "unauthorized"
    assert (
        client.refused(type="publish", channel="chat.lobby", data={"sender": "a", "text": "x"})[
            "code"
        ]
        == "unauthorized"
    )
    assert (client.node.calls, client.submitted) == ([("rejected", "chat.lobby unauthorized")], [])


def test_a_token_names_the_principal_and_what_it_may_do() -> None:
    client = stranger(good=ANA)
    assert client.send(type="auth", token="good", ref=4) == [
        {"type": "authenticated", "ref": 4, "principal": "ana", "expires_in": 60.0}
    ]
    assert [
        reply["type"]
        for reply in client.send(
            type="subscribe", channel="chat.lobby", presence=True, member="ana"
        )
    ] == ["subscribed"]
    assert (
        client.send(type="publish", channel="chat.lobby", data={"sender": "a", "text": "x"}) == []
    )
    assert [event.channel for _, event in client.submitted] == ["chat.lobby"]


@pytest.mark.parametrize(
    "command",
    [
        {"type": "subscribe", "channel": "free.x"},
        {"type": "subscribe", "channel": "chat.a.b"},
        {"type": "subscribe", "channel": "chat.side", "presence": True},
        {"type": "subscribe", "channel": "chat.side", "member": "ana"},
        {"type": "subscribe", "channel": "chat.lobby", "member": "ben"},
        {"type": "publish", "channel": "chat.side", "data": {"sender": "a", "text": "x"}},
    ],
)
def test_what_is_not_granted_is_forbidden(command: dict[str, Any]) -> None:
    client = stranger(good=ANA)
    client.send(type="auth", token="good")
    assert client.refused(**command)["code"] == "forbidden"
    assert not client.node.subscribers
    assert not client.submitted


def test_a_channel_type_may_allow_actions_to_anyone() -> None:
    client = stranger()
    client.node.types = ChannelTypes(
        {
            "chat": replace(
                kind("chat", AnySchema(), *PublisherKind), anonymous=frozenset({Action.SUBSCRIBE})
            )
        }
    )
    assert client.send(type="subscribe", channel="chat.lobby")[0]["type"] == "subscribed"
    assert client.refused(type="publish", channel="chat.lobby", data=1)["code"] == "unauthorized"
    assert (
        client.refused(type="subscribe", channel="chat.side", presence=True)["code"]
        == "unauthorized"
    )


def test_a_bad_token_is_an_error_reply_and_changes_nothing() -> None:
    client = stranger(good=ANA)
    client.send(type="auth", token="good")
    assert client.refused(type="auth", token="bad", ref=1)["code"] == "invalid_token"
    assert client.send(type="subscribe", channel="chat.lobby")[0]["type"] == "subscribed"


@pytest.mark.parametrize(
    "fields", [{}, {"token": ""}, {"token": 1}, {"token": "x" * 8193}, {"token": "x", "more": 1}]
)
def test_an_auth_frame_has_a_token_of_reasonable_size(fields: dict[str, Any]) -> None:
    client = stranger()
    assert client.invalid(type="auth", **fields)
    assert "x" * 100 not in str(client.heard())


def test_commands_after_a_token_wait_for_its_answer() -> None:
    client = stranger()
    assert client.send(type="auth", token="unknown key", ref=1) == []
    assert client.send(type="subscribe", channel="chat.lobby", ref=2) == []
    assert client.send(type="ping", ref=3) == []
    assert client.line.failed is None
    client.guest.principal = ANA
    client.guest.undecided.pop()[1](ANA)
    assert [(reply["type"], reply["ref"]) for reply in client.heard()] == [
        ("authenticated", 1),
        ("subscribed", 2),
        ("pong", 3),
    ]


def test_commands_that_waited_are_carried_out_after_a_refused_token() -> None:
    client = stranger()
    client.send(type="auth", token="unknown key", ref=1)
    client.send(type="ping", ref=2)
    client.guest.undecided.pop()[1](InvalidToken("no"))
    assert [(reply["type"], reply["ref"]) for reply in client.heard()] == [
        ("error", 1),
        ("pong", 2),
    ]


@pytest.mark.parametrize(
    ("message", "most"),
    [(b'{"type":"ping"}', DEFERRED_MESSAGES), (b" " * 32_768, 2), (b" " * 65_537, 0)],
)
def test_the_messages_that_wait_for_a_token_are_bounded(message: bytes, most: int) -> None:
    client = stranger()
    client.send(type="auth", token="unknown key")
    for _ in range(most):
        client.session.receive(message)
    assert client.line.failed is None
    client.session.receive(message)
    assert isinstance(client.line.failed, InvalidFrame)
    assert client.line.failed.message == (
        "too much was sent while the token was being checked; expected its answer first"
    )


def test_a_token_that_is_accepted_after_the_end_is_not_answered() -> None:
    client = stranger()
    client.send(type="auth", token="unknown key")
    client.send(type="subscribe", channel="chat.lobby")
    client.session.close()
    client.guest.undecided.pop()[1](ANA)
    assert client.heard() == []
    assert not client.node.subscribers


def test_a_new_token_ends_the_subscriptions_it_does_not_allow() -> None:
    less = Principal(
        CredentialKind.TOKEN,
        "ana",
        Grants({Action.SUBSCRIBE: ["chat.side", "chat.lobby"]}),
        expires=NOW + 60_000,
    )
    client = stranger(good=ANA, less=less)
    client.send(type="auth", token="good")
    client.send(type="subscribe", channel="chat.lobby", presence=True)
    client.send(type="subscribe", channel="chat.side")
    client.send(type="subscribe", channel="chat.other")
    told = client.send(type="auth", token="less")
    gone = [
        (reply["channel"], reply["reason"]) for reply in told if reply["type"] == "unsubscribed"
    ]
    assert gone == [("chat.lobby", "forbidden"), ("chat.other", "forbidden")]
    assert client.session.channels == list(client.node.subscribers) == ["chat.side"]


def test_a_waiting_subscribe_is_answered_when_a_new_token_does_not_allow_it() -> None:
    nothing = Principal(CredentialKind.TOKEN, "ana", Grants({}), expires=NOW + 60_000)
    client = Client(prompt=False, guest=Guest(STRANGER, {"good": ANA, "nothing": nothing}))
    client.send(type="auth", token="good")
    client.send(type="subscribe", channel="chat.lobby", ref=1)
    client.send(type="subscribe", channel="chat.side")
    told = client.send(type="auth", token="nothing", ref=2)
    assert [(reply["type"], reply.get("ref"), reply.get("channel")) for reply in told] == [
        ("authenticated", 2, None),
        ("error", 1, None),
        ("unsubscribed", None, "chat.lobby"),
        ("unsubscribed", None, "chat.side"),
    ]
    assert told[1]["code"] == told[2]["reason"] == told[3]["reason"] == "forbidden"
    assert client.node.subscribers == {}


def test_a_subscribe_that_was_answered_gets_no_error_when_a_new_token_ends_it() -> None:
    nothing = Principal(CredentialKind.TOKEN, "ana", Grants({}), expires=NOW + 60_000)
    client = stranger(good=ANA, nothing=nothing)
    client.send(type="auth", token="good")
    client.send(type="subscribe", channel="chat.lobby", ref=1)
    told = client.send(type="auth", token="nothing")
    assert [reply["type"] for reply in told] == ["authenticated", "unsubscribed"]


@pytest.mark.parametrize(("expires", "left"), [(NOW + 1500, 1.5), (NOW, 0.0), (NOW - 9, 0.0)])
def test_authenticated_says_how_many_seconds_are_left(expires: int, left: float) -> None:
    client = stranger(good=Principal(CredentialKind.TOKEN, "ana", SOME, expires=expires))
    (reply,) = client.send(type="auth", token="good")
    assert reply["expires_in"] == left


def test_a_credential_without_an_end_is_answered_without_one() -> None:
    client = stranger(good=Principal(CredentialKind.TOKEN, "ana", SOME))
    (reply,) = client.send(type="auth", token="good")
    assert "expires_in" not in reply


def test_a_new_token_ends_the_subscription_of_a_member_that_it_cannot_be() -> None:
    client = stranger(good=ANA, other=replace(ANA, name="ben"))
    client.send(type="auth", token="good")
    client.send(type="subscribe", channel="chat.lobby", member="ana")
    client.send(type="subscribe", channel="chat.side")
    told = client.send(type="auth", token="other")
    assert [reply.get("channel") for reply in told] == [None, "chat.lobby"]
    assert client.session.channels == ["chat.side"]


def test_what_is_not_granted_is_not_charged() -> None:
    client = stranger(good=ANA)
    client.send(type="auth", token="good")
    client.refused(type="publish", channel="chat.side", data={"sender": "a", "text": "x"})
    assert client.guest.charged == []
