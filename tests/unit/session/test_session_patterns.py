"""Subscriptions to patterns: what is checked, and what is answered."""

from dataclasses import replace
from typing import Any

import pytest

from eventhub.auth.grants import Action, Grants
from eventhub.auth.principal import CredentialKind, Principal
from eventhub.delivery.pattern_subscriber import PatternSubscriber
from eventhub.delivery.subscriber import Subscriber
from eventhub.errors import TooManySubscriptions
from eventhub.events.channel_types import ChannelTypes
from eventhub.events.event import LATEST, Earliest, Last, Position
from tests.harness.builders import Guest
from tests.unit.session.session_client import LIMITS, TYPES, Client, Node


class PatternNode(Node):
    """A hub that has patterns, too."""

    def subscribe(self, subscriber: Subscriber, data: bytes = b"") -> None:
        if not isinstance(subscriber, PatternSubscriber):
            super().subscribe(subscriber)
            return
        self.calls.append(("subscribe", subscriber.channel))
        self.subscribers[subscriber.channel] = subscriber
        if self.prompt:
            self.begin_pattern(subscriber.channel)

    def begin_pattern(self, pattern: str) -> None:
        subscriber = self.subscribers[pattern]
        assert isinstance(subscriber, PatternSubscriber)
        begun, subscriber.begun = subscriber.begun, None
        assert begun is not None
        begun(subscriber, {"channels": 2})


def client(guest: Guest | None = None, **options: Any) -> Client:
    limits = replace(LIMITS, subscriptions=5, patterns=2)
    return Client(node=PatternNode(**options), limits=limits, guest=guest)


def refused(client: Client, channel: str, **fields: Any) -> tuple[str, str]:
    (reply,) = client.send(type="subscribe", channel=channel, **fields)
    assert reply["type"] == "error", reply
    return reply["code"], reply["message"]


def begins(since: object) -> object:
    """Where a subscriber begins that asks for this."""
    asking = client()
    asking.send(type="subscribe", channel="chat.*", since=since)
    subscriber = asking.node.subscribers["chat.*"]
    assert isinstance(subscriber, PatternSubscriber)
    return subscriber.begins


def test_a_pattern_is_subscribed_and_unsubscribed_by_its_name() -> None:
    asking = client()
    assert asking.send(type="subscribe", channel="chat.>", ref=7) == [
        {"type": "subscribed", "ref": 7, "channel": "chat.>", "channels": 2}
    ]
    assert asking.send(type="unsubscribe", channel="chat.>") == [
        {"type": "unsubscribed", "channel": "chat.>", "reason": "client"}
    ]
    assert asking.node.calls == [("subscribe", "chat.>"), ("unsubscribe", "chat.>")]


def test_the_answer_waits_until_the_channels_are_known() -> None:
    asking = client(prompt=False)
    assert asking.send(type="subscribe", channel="chat.>", ref=7) == []
    refusal, _ = asking.send(type="unsubscribe", channel="chat.>")
    assert (refusal["ref"], refusal["code"]) == (7, "not_subscribed")


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (None, LATEST),
        ("latest", LATEST),
        ("earliest", Earliest()),
        ("-3", Last(3)),
        ({}, {}),
        ({"chat.a": "k3x9-4"}, {"chat.a": Position("k3x9", 4)}),
        (
            {"chat.a": "latest", "chat.b": "earliest"},
            {"chat.a": LATEST, "chat.b": Earliest()},
        ),
    ],
)
def test_a_since_is_for_all_channels_or_for_each(since: object, expected: object) -> None:
    assert begins(since) == expected


@pytest.mark.parametrize(
    ("channel", "fields", "code", "said"),
    [
        ("chat.", {}, "invalid_channel", "expected"),
        ("chat.>.a", {}, "invalid_channel", "expected a channel pattern"),
        ("chat.a*", {}, "invalid_channel", "expected a channel pattern"),
        ("cat.*", {}, "unknown_channel", "did you mean 'chat'"),
        ("chat.*", {"member": "ana"}, "invalid_channel", "expected one channel"),
        ("chat.*", {"presence": True}, "invalid_channel", "presence may be 'count'"),
        ("chat.*", {"presence": "counts"}, "invalid_frame", "/presence: "),
        ("chat.*", {"since": "soon"}, "invalid_since", "since is 'soon'"),
        ("chat.*", {"since": {"chat.a": "soon"}}, "invalid_since", "since of 'chat.a' is 'soon'"),
        ("chat.*", {"since": {"free.a": "k-1"}}, "invalid_since", "'free.a', which does not fit"),
        ("chat.>", {"since": {"chat.*": "k-1"}}, "invalid_since", "'chat.*', which does not fit"),
        ("chat.*", {"since": {"chat.a": 1}}, "invalid_frame", "/since/chat.a: "),
        ("chat.*", {"since": 1}, "invalid_frame", "/since: "),
        ("chat.*", {"since": ["k-1"]}, "invalid_frame", "/since: "),
        ("chat.a", {"since": {"chat.a": "k-1"}}, "invalid_since", "which is for patterns"),
    ],
)
def test_what_does_not_fit_is_refused(
    channel: str, fields: dict[str, Any], code: str, said: str
) -> None:
    found, message = refused(client(), channel, **fields)
    assert found == code
    assert said in message


@pytest.mark.parametrize(
    ("first", "second"),
    [("chat.*", "chat.a"), ("chat.a", "chat.*"), ("chat.>", "chat.*"), (">", "free.a.b")],
)
def test_two_subscriptions_have_no_channel_in_common(first: str, second: str) -> None:
    asking = client()
    asking.send(type="subscribe", channel=first)
    code, message = refused(asking, second)
    assert code == "already_subscribed"
    assert repr(first) in message


def test_patterns_and_channels_that_have_none_in_common_go_together() -> None:
    asking = client()
    for channel in ("chat.*", "free.>", "chat.a.b", "logs"):
        (reply,) = asking.send(type="subscribe", channel=channel)
        assert reply["type"] == "subscribed"


def test_a_connection_has_a_number_of_patterns_at_most() -> None:
    asking = client()
    asking.send(type="subscribe", channel="chat.*")
    asking.send(type="subscribe", channel="free.*")
    assert refused(asking, "logs.*") == (
        "too_many_subscriptions",
        "this connection is subscribed to 2 patterns; at most that many are allowed "
        "(limits.patterns)",
    )


def test_channels_take_no_place_of_patterns_and_the_limit_is_named() -> None:
    asking = client()
    for channel in ("chat.a", "chat.b", "free.*", "logs.*"):
        assert asking.send(type="subscribe", channel=channel)[0]["type"] == "subscribed"
    with pytest.raises(TooManySubscriptions) as caught:
        asking.session._subscriptions.check_new("named.*", 5, 2)
    assert caught.value.limit == "patterns"


@pytest.mark.parametrize("channel", ["free.a", "free.*"])
def test_a_filter_is_that_of_the_subscription(channel: str) -> None:
    asking = client()
    asking.send(type="subscribe", channel=channel, where="data.n > 1")
    filtered = asking.node.subscribers[channel].filtered
    assert filtered is not None
    assert filtered.filter is asking.node.filters.get("data.n > 1")
    plain = client()
    plain.send(type="subscribe", channel=channel)
    assert plain.node.subscribers[channel].filtered is None


def principal(*patterns: str) -> Principal:
    return Principal(CredentialKind.TOKEN, "ana", Grants({Action.SUBSCRIBE: patterns}))


@pytest.mark.parametrize(
    ("patterns", "channel", "allowed"),
    [
        (["chat.>"], "chat.*", True),
        (["chat.*"], "chat.>", False),
        (["chat.a"], "chat.*", False),
        (["chat.>"], ">", False),
        (["chat.*"], "chat.a", True),
    ],
)
def test_the_grants_cover_the_whole_pattern(
    patterns: list[str], channel: str, *, allowed: bool
) -> None:
    asking = client()
    asking.guest.principal = principal(*patterns)
    (reply,) = asking.send(type="subscribe", channel=channel)
    assert reply["type"] == ("subscribed" if allowed else "error")
    assert reply.get("code") == (None if allowed else "forbidden")


def test_what_a_type_allows_to_everybody_holds_for_its_patterns() -> None:
    open_chat = replace(TYPES.named("chat"), anonymous=frozenset({Action.SUBSCRIBE}))
    asking = client(types=ChannelTypes({"chat": open_chat, "free": TYPES.named("free")}))
    asking.guest.principal = Principal(CredentialKind.ANONYMOUS, "", Grants({}))
    (reply,) = asking.send(type="subscribe", channel="chat.*")
    assert reply["type"] == "subscribed"
    assert refused(asking, "*")[0] == "unauthorized"


def test_a_new_credential_ends_a_pattern_that_it_does_not_cover() -> None:
    asking = client(Guest(known={"narrow": principal("chat.a"), "wide": principal(">")}))
    asking.send(type="subscribe", channel="chat.*")
    assert [reply["type"] for reply in asking.send(type="auth", token="wide")] == ["authenticated"]
    _, ended = asking.send(type="auth", token="narrow")
    assert ended == {"type": "unsubscribed", "channel": "chat.*", "reason": "forbidden"}


def test_positions_may_come_in_parts_of_which_the_last_is_answered() -> None:
    asking = client()
    assert asking.send(type="subscribe", channel="chat.*", since={"chat.a": "k-1"}, more=True) == []
    (reply,) = asking.send(type="subscribe", channel="chat.*", since={"chat.b": "k-2"}, ref=7)
    assert (reply["type"], reply["ref"]) == ("subscribed", 7)
    subscriber = asking.node.subscribers["chat.*"]
    assert isinstance(subscriber, PatternSubscriber)
    assert subscriber.begins == {"chat.a": Position("k", 1), "chat.b": Position("k", 2)}


def test_a_part_is_kept_for_those_only_who_may_subscribe() -> None:
    guest = Guest(Principal(CredentialKind.TOKEN, "ana", Grants({Action.SUBSCRIBE: ["chat.a"]})))
    asking = client(guest)
    fields = {"since": {"chat.a": "k-1"}, "more": True}
    assert refused(asking, "chat.*", **fields)[0] == "forbidden"


def test_the_number_of_members_of_a_pattern_needs_the_grant_presence_for_all_of_it() -> None:
    def granted(*patterns: str) -> Grants:
        return Grants({Action.SUBSCRIBE: ("chat.>",), Action.PRESENCE: patterns})

    ana = Principal(CredentialKind.TOKEN, "ana", granted("chat.>"))
    guest = Guest(ana)
    asking = client(guest)
    (reply,) = asking.send(type="subscribe", channel="chat.*", presence="count")
    assert reply["type"] == "subscribed"
    assert asking.node.subscribers["chat.*"].watching == "count"
    few = client(Guest(replace(ana, grants=granted("chat.a"))))
    assert refused(few, "chat.*", presence="count")[0] == "forbidden"
    guest.known["less"] = replace(ana, grants=granted("chat.a"))
    (_, ended) = asking.send(type="auth", token="less")
    assert (ended["type"], ended["reason"]) == ("unsubscribed", "forbidden")
