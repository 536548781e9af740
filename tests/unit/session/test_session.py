"""A session's greeting, the order of its answers, its writer and its end."""

from typing import Any

import orjson
import pytest

from eventhub import __version__
from eventhub.delivery.subscriber import SubscriberState
from eventhub.errors import (
    ShuttingDown,
    SlowConsumer,
)
from eventhub.events.event import Position, Receipt
from tests.unit.session.session_client import (
    NOW,
    Client,
)


def test_hello_names_the_session_the_version_and_the_limits() -> None:
    client = Client()
    client.session.hello()
    assert client.heard() == [
        {
            "type": "hello",
            "session": "session",
            "version": __version__,
            "limits": {"message_bytes": 65536, "subscriptions": 3, "heartbeat": 25.0},
        }
    ]


def test_nothing_is_written_before_hello() -> None:
    assert Client().heard() == []


def test_ping_is_answered_with_pong() -> None:
    assert Client().send(type="ping") == [{"type": "pong"}]
    assert Client().send(type="ping", ref=7) == [{"type": "pong", "ref": 7}]


def test_commands_are_carried_out_and_answered_in_order() -> None:
    client = Client()
    for number, message in enumerate(
        [
            {"type": "ping"},
            {"type": "subscribe", "channel": "chat"},
            {"type": "nonsense"},
            {"type": "unsubscribe", "channel": "chat"},
            {"type": "unsubscribe", "channel": "chat"},
            {"type": "ping"},
        ]
    ):
        client.session.receive(orjson.dumps({**message, "ref": number}))
    replies = client.heard()
    assert [reply["ref"] for reply in replies] == list(range(6))
    assert [reply["type"] for reply in replies] == [
        "pong",
        "subscribed",
        "error",
        "unsubscribed",
        "error",
        "pong",
    ]


def test_publishes_are_submitted_in_order() -> None:
    client = Client()
    for number in range(5):
        client.send(type="publish", channel="free", data=number, ref=number)
    assert [(ref, event.data) for ref, event in client.submitted] == [
        (n, b"%d" % n) for n in range(5)
    ]


def test_a_full_and_a_drained_writer_are_passed_on_for_every_subscription() -> None:
    client = Client()
    client.send(type="subscribe", channel="chat.a")
    client.send(type="subscribe", channel="chat.b")
    client.session.congested()
    client.session.drained()
    assert client.node.calls[2:] == [
        ("congested", "chat.a"),
        ("congested", "chat.b"),
        ("drained", "chat.a"),
        ("drained", "chat.b"),
    ]


def test_a_full_writer_is_not_passed_on_for_an_ended_subscription() -> None:
    client = Client()
    client.send(type="subscribe", channel="chat.a")
    client.send(type="subscribe", channel="chat.b")
    client.send(type="unsubscribe", channel="chat.a")
    client.session.congested()
    assert client.node.calls[-1] == ("congested", "chat.b")
    assert ("congested", "chat.a") not in client.node.calls


def test_goodbye_says_why_and_when_to_come_back() -> None:
    client = Client()
    client.session.goodbye(ShuttingDown("soon", retry_after=1.23456))
    assert client.heard() == [
        {"type": "goodbye", "code": "shutting_down", "message": "soon", "reconnect_in": 1.235}
    ]


def test_after_goodbye_the_member_is_not_announced_as_leaving() -> None:
    client = Client()
    client.send(type="subscribe", channel="chat.a", member="ana")
    subscriber = client.node.subscribers["chat.a"]
    assert subscriber.member == "ana"
    client.session.goodbye(ShuttingDown("soon", retry_after=1))
    client.session.close()
    assert subscriber.member == "", "which the hub takes out of no channel"
    assert client.node.calls[-1] == ("unsubscribe", "chat.a")


def test_an_error_of_the_connection_has_no_ref() -> None:
    client = Client()
    client.session.error(SlowConsumer("slow"))
    assert client.heard() == [{"type": "error", "code": "slow_consumer", "message": "slow"}]
    assert client.node.errors == ["slow_consumer"], "for the metrics"


def test_an_expiring_credential_is_announced() -> None:
    client = Client()
    client.session.expiring(29.1239)
    assert client.heard() == [{"type": "expiring", "expires_in": 29.124}]


def test_closing_leaves_every_channel_once() -> None:
    client = Client()
    for name in "abc":
        client.send(type="subscribe", channel=f"chat.{name}")
    client.session.close()
    client.session.close()
    assert sorted(call for call in client.node.calls if call[0] == "unsubscribe") == [
        ("unsubscribe", f"chat.{name}") for name in "abc"
    ]
    assert client.node.subscribers == {}
    client.session.congested()
    client.session.drained()
    assert all(call[0] not in ("congested", "drained") for call in client.node.calls)


def test_closing_may_take_several_calls_and_writes_nothing_from_the_first_on() -> None:
    client = Client()
    for name in "abc":
        client.send(type="subscribe", channel=f"chat.{name}")
    subscribers = list(client.node.subscribers.values())
    assert not client.session.close(lambda: True)
    assert client.send(type="ping") == []
    assert {subscriber.state for subscriber in subscribers} == {SubscriberState.GONE}, (
        "no feed does anything for it"
    )
    for left in (2, 1):
        enough = iter((False, True))
        assert not client.session.close(lambda: next(enough))  # noqa: B023
        assert len(client.node.subscribers) == left
    assert client.session.close()
    assert client.node.subscribers == {}


def test_closing_before_anything_is_harmless() -> None:
    client = Client()
    client.session.close()
    assert client.heard() == []


def test_nothing_is_written_after_close_not_even_the_answer_to_a_publish_under_way() -> None:
    client = Client()
    client.send(type="publish", channel="free", data=1, ref=1)
    client.session.close()
    client.session.published(1, "free", Receipt(Position("k3x9", 1), NOW))
    client.session.published(2, "free", ShuttingDown("soon"))
    assert client.heard() == []


@pytest.mark.parametrize(
    "message", [{"type": "ping"}, {"type": "subscribe", "channel": "chat"}, {"type": "nonsense"}]
)
def test_messages_after_close_are_neither_answered_nor_carried_out(message: dict[str, Any]) -> None:
    client = Client()
    client.session.close()
    assert client.send(**message) == []
    assert client.node.calls == [], "a subscription made now would never end"
