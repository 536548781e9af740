"""The commands `subscribe` and `unsubscribe`."""

import pytest

from eventhub.delivery.encoding import EVENT_STREAM
from eventhub.errors import (
    ShuttingDown,
    UnknownChannel,
)
from eventhub.events.event import Age, Earliest, Last, Latest, Position, Since
from eventhub.session.commands import Subscribe
from eventhub.session.session import Session
from tests.harness.builders import Guest, Nowhere
from tests.unit.session.session_client import LIMITS, Client, Line, Node


def test_subscribed_says_where_the_subscription_begins() -> None:
    client = Client()
    assert client.send(type="subscribe", channel="chat.lobby", ref=1) == [
        {
            "type": "subscribed",
            "ref": 1,
            "channel": "chat.lobby",
            "position": "k3x9-41",
            "head": "k3x9-99",
            "recovered": True,
        }
    ]


def test_subscribed_is_sent_once_history_was_read_and_says_if_events_are_missing() -> None:
    client = Client(prompt=False)
    assert client.send(type="subscribe", channel="chat.lobby", ref="s") == []
    assert client.send(type="ping") == [{"type": "pong"}]
    client.node.begin("chat.lobby", recovered=False)
    (reply,) = client.heard()
    assert (reply["type"], reply["ref"], reply["recovered"]) == ("subscribed", "s", False)


@pytest.mark.parametrize(
    ("text", "since"),
    [
        (None, Latest()),
        ("latest", Latest()),
        ("earliest", Earliest()),
        ("-20", Last(20)),
        ("10m", Age(600_000)),
        ("a-1", Position("a", 1)),
    ],
)
def test_every_form_of_since_reaches_the_hub(text: str | None, since: Since) -> None:
    client = Client()
    client.send(type="subscribe", channel="chat", since=text)
    assert client.node.subscribers["chat"].since == since


@pytest.mark.parametrize("since", ["", "yesterday", "-0", "k3x9", "chat@k3x9-1,logs@k3x9-2"])
def test_a_malformed_since_is_refused_and_the_channel_stays_free(since: str) -> None:
    client = Client()
    assert client.refused(type="subscribe", channel="chat", since=since)["code"] == "invalid_since"
    assert client.send(type="subscribe", channel="chat")[0]["type"] == "subscribed"


def test_the_subscription_is_for_this_writer_and_names_its_session() -> None:
    client = Client()
    client.send(type="subscribe", channel="chat")
    subscriber = client.node.subscribers["chat"]
    assert subscriber.writer is client.line
    assert subscriber.session == client.session.id == client.guest.id


def test_a_subscription_with_a_member_id_is_a_member() -> None:
    client = Client()
    client.send(type="subscribe", channel="chat.a", member="ana")
    client.send(type="subscribe", channel="chat.b")
    client.send(type="subscribe", channel="chat.c", member="x" * 64)
    members = [
        client.node.subscribers[channel].member for channel in ("chat.a", "chat.b", "chat.c")
    ]
    assert members == ["ana", "", "x" * 64]


def test_only_subscriptions_that_ask_for_presence_get_the_members() -> None:
    client = Client()
    (quiet,) = client.send(type="subscribe", channel="chat.a")
    (asking,) = client.send(type="subscribe", channel="chat.b", presence=True, member="bob")
    assert not {"members", "count"} & quiet.keys()
    assert (asking["channel"], asking["position"]) == ("chat.b", "k3x9-41")
    assert asking["count"] == 2
    assert asking["members"] == [{"id": "ana"}, {"id": "bob"}]
    assert [call for call in client.node.calls if call[0] == "watch"] == [("watch", "chat.b")]


def test_a_channel_is_subscribed_once() -> None:
    client = Client()
    client.send(type="subscribe", channel="chat")
    reply = client.refused(type="subscribe", channel="chat", since="-1", ref=2)
    assert (reply["code"], reply["ref"]) == ("already_subscribed", 2)
    assert reply["message"] == (
        "this connection is subscribed to 'chat'; unsubscribe first to begin elsewhere"
    )
    assert client.node.calls == [("subscribe", "chat")]


def test_a_subscription_that_has_not_begun_counts() -> None:
    client = Client(prompt=False)
    client.send(type="subscribe", channel="chat")
    assert client.refused(type="subscribe", channel="chat")["code"] == "already_subscribed"


def test_subscriptions_are_limited_and_leaving_one_makes_room() -> None:
    client = Client()
    for name in "abc":
        client.send(type="subscribe", channel=f"chat.{name}")
    assert client.refused(type="subscribe", channel="chat.d")["code"] == "too_many_subscriptions"
    client.send(type="unsubscribe", channel="chat.a")
    assert client.send(type="subscribe", channel="chat.d")[0]["type"] == "subscribed"


@pytest.mark.parametrize(
    ("channel", "code"),
    [("zzz.a", "unknown_channel"), ("", "invalid_channel"), ("chat..a", "invalid_channel")],
)
def test_a_subscription_that_the_hub_refuses_does_not_count(channel: str, code: str) -> None:
    client = Client()
    for _ in range(5):
        assert client.refused(type="subscribe", channel=channel)["code"] == code
    assert client.refused(type="unsubscribe", channel=channel)["code"] == "not_subscribed"


def test_a_hub_about_to_stop_refuses_subscriptions() -> None:
    client = Client()
    client.node.refusal = ShuttingDown("soon")
    assert client.refused(type="subscribe", channel="chat")["code"] == "shutting_down"


def test_nothing_is_kept_of_a_subscription_that_the_hub_refuses() -> None:
    client = Client()
    client.node.refusal = ShuttingDown("soon")
    client.refused(type="subscribe", channel="chat.a")
    client.node.refusal = None
    assert client.refused(type="unsubscribe", channel="chat.a")["code"] == "not_subscribed"
    assert client.session.channels == []
    assert client.send(type="subscribe", channel="chat.a")[0]["type"] == "subscribed"


def test_transports_subscribe_without_a_message_and_get_errors_raised() -> None:
    client = Client()
    client.session.subscribe(Subscribe(type="subscribe", channel="chat", member="ana"), Last(5))
    assert client.node.subscribers["chat"].since == Last(5)
    with pytest.raises(UnknownChannel):
        client.session.subscribe(Subscribe(type="subscribe", channel="zzz"), Latest())


def test_the_position_reaches_encodings_that_need_it() -> None:
    line = Line(EVENT_STREAM)
    session = Session(Node(), line, LIMITS, Nowhere(), Guest())
    session.subscribe(Subscribe(type="subscribe", channel="chat"), Latest())
    assert line.data.endswith(b"}\nid: k3x9-41\n\n")


def test_an_unanswered_subscribe_gets_an_error_when_its_channel_is_unsubscribed() -> None:
    client = Client(prompt=False)
    assert client.send(type="subscribe", channel="chat.a", ref=1) == []
    refusal, farewell = client.send(type="unsubscribe", channel="chat.a", ref=2)
    assert (refusal["type"], refusal["ref"], refusal["code"]) == ("error", 1, "not_subscribed")
    assert refusal["message"] == "unsubscribed from 'chat.a' before the subscription had begun"
    assert (farewell["type"], farewell["ref"]) == ("unsubscribed", 2)
    client.send(type="subscribe", channel="chat.a")
    assert [reply["type"] for reply in client.send(type="unsubscribe", channel="chat.a")] == [
        "unsubscribed"
    ], "nobody can await it"


def test_a_subscribe_that_was_answered_gets_no_error_when_its_channel_is_unsubscribed() -> None:
    client = Client(prompt=False)
    client.send(type="subscribe", channel="chat.a", ref=1)
    client.node.begin("chat.a")
    assert [reply["type"] for reply in client.heard()] == ["subscribed"]
    answers = client.send(type="unsubscribe", channel="chat.a", ref=2)
    assert [(reply["type"], reply["ref"]) for reply in answers] == [("unsubscribed", 2)]


def test_unsubscribing_is_answered_with_the_reason() -> None:
    client = Client()
    client.send(type="subscribe", channel="chat")
    answer = {"type": "unsubscribed", "ref": 2, "channel": "chat", "reason": "client"}
    assert client.send(type="unsubscribe", channel="chat", ref=2) == [answer]
    assert client.node.calls == [("subscribe", "chat"), ("unsubscribe", "chat")]
    assert client.refused(type="unsubscribe", channel="chat")["code"] == "not_subscribed"


def test_a_channel_can_be_subscribed_again() -> None:
    client = Client()
    for _ in range(3):
        assert client.send(type="subscribe", channel="chat")[0]["type"] == "subscribed"
        assert client.send(type="unsubscribe", channel="chat")[0]["type"] == "unsubscribed"


def test_the_error_for_a_long_name_is_short() -> None:
    assert len(Client().refused(type="unsubscribe", channel="x" * 60_000)["message"]) < 400
