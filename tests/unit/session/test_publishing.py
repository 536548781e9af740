"""session/publishing.py: signals that a client sends. (Events: test_session_publishing.py.)"""

from dataclasses import replace
from typing import Any

import pytest

from eventhub.auth.grants import EVERYTHING, Action, Grants
from eventhub.auth.principal import CredentialKind, Principal
from eventhub.errors import BrokerUnavailable, RateLimited
from eventhub.events.channel_types import ChannelTypes, PublisherKind, SenderRule, SignalRules
from eventhub.events.event import Position, Receipt
from eventhub.events.schema import AnySchema
from eventhub.events.signal import Signal
from tests.harness.builders import Guest
from tests.unit.session.session_client import LIMITS, NOW, TYPES, Client

FROM_CLIENTS = SignalRules(frozenset({PublisherKind.CLIENT}))
WRITER = Principal(CredentialKind.TOKEN, "ana", EVERYTHING)


def client(guest: Guest | None = None) -> Client:
    """A client of types that take signals from clients, but for `logs`."""
    found = Client(guest=guest, limits=replace(LIMITS, signal_bytes=50))
    types = {kind.name: replace(kind, signals=FROM_CLIENTS) for kind in TYPES}
    types["logs"] = replace(types["logs"], signals=SignalRules(frozenset({PublisherKind.PRODUCER})))
    types["named"] = replace(types["free"], name="named", sender=SenderRule.PRINCIPAL)
    types["own"] = replace(
        types["chat"], name="own", signals=replace(FROM_CLIENTS, schema=AnySchema())
    )
    found.node.types = ChannelTypes(types)
    return found


def send(sender: Client, channel: str = "free.a", data: Any = 1, **fields: Any) -> Any:
    return sender.send(type="publish", signal=True, channel=channel, data=data, **fields)


def test_a_signal_goes_to_the_hub_canonical_with_its_author_and_is_not_published() -> None:
    ana = client(Guest(WRITER))
    assert send(ana, data={"a": 1.5}, attributes={"subject": "s"}) == []
    assert ana.node.signals == [Signal("free.a", b'{"a":1.5}', NOW, {"subject": "s", "by": "ana"})]
    assert ana.submitted == []
    assert ana.guest.charged == ["signals of free"]


def test_without_a_credential_and_attributes_it_has_neither() -> None:
    ana = client()
    send(ana)
    assert ana.node.signals == [Signal("free.a", b"1", NOW)]


def test_it_is_answered_only_if_it_has_a_ref() -> None:
    assert send(client(), ref=7) == [{"type": "signaled", "ref": 7, "channel": "free.a"}]
    assert send(client(), ref=None) == []


def test_a_publish_that_says_it_is_no_signal_is_an_event() -> None:
    ana = client()
    ana.send(type="publish", signal=False, channel="free.a", data=1)
    assert (len(ana.submitted), ana.node.signals) == (1, [])


@pytest.mark.parametrize(
    ("channel", "fields", "code", "part"),
    [
        ("chat.a", {"data": {"sender": ""}}, "invalid_event", "/v1/types/chat"),
        ("own.a", {"data": "x" * 49}, "payload_too_large", "51 bytes; at most 50"),
        (
            "logs.a",
            {},
            "forbidden",
            "takes signals from producer, not from a client",
        ),
        ("named.a", {"data": {"sender": "rui"}}, "invalid_event", "sender is missing, or somebody"),
        ("free.a", {"key": "k"}, "invalid_frame", "expected no key"),
        ("free.a", {"signal": "yes"}, "invalid_frame", "signal"),
        ("nope.a", {}, "unknown_channel", "nope"),
        ("free..a", {}, "invalid_channel", "free..a"),
    ],
)
def test_a_signal_that_is_refused_says_why(
    channel: str, fields: dict[str, Any], code: str, part: str
) -> None:
    ana = client(Guest(WRITER))
    message = {"type": "publish", "signal": True, "channel": channel, "data": 1, **fields}
    (answer,) = ana.send(**message, ref=1)
    assert (answer["type"], answer["code"], answer["ref"]) == ("error", code, 1)
    assert part in answer["message"]
    assert ana.node.signals == []
    if code != "invalid_frame" or "key" in fields:
        assert ana.node.calls == [("signal rejected", f"{channel} {code}")]


def test_a_type_has_rules_of_its_own_for_signals() -> None:
    ana = client()
    assert send(ana, "own.a", {"typing": True}) == []
    assert send(ana, "chat.a", {"sender": "ana", "text": "oi"}) == []
    assert len(ana.node.signals) == 2


def test_a_type_takes_no_signals_unless_it_says_so() -> None:
    (answer,) = Client().send(type="publish", signal=True, channel="free.a", data=1)
    assert answer["code"] == "forbidden"
    assert "takes signals from nobody" in answer["message"]


@pytest.mark.parametrize(
    ("granted", "allowed"),
    [(Action.SIGNAL, True), (Action.PUBLISH, True), (Action.SUBSCRIBE, False)],
)
def test_a_signal_needs_the_grant_signal_or_publish(granted: Action, *, allowed: bool) -> None:
    some = Principal(CredentialKind.TOKEN, "ana", Grants({granted: ["free.*"]}))
    ana = client(Guest(some))
    answers = send(ana)
    assert [answer["code"] for answer in answers] == ([] if allowed else ["forbidden"])
    assert len(ana.node.signals) == allowed


def test_the_grant_signal_is_no_grant_to_publish() -> None:
    some = Principal(CredentialKind.TOKEN, "ana", Grants({Action.SIGNAL: [">"]}))
    ana = client(Guest(some))
    (answer,) = ana.send(type="publish", channel="free.a", data=1)
    assert answer["code"] == "forbidden"
    assert ana.submitted == []


@pytest.mark.parametrize("where", ["rate", "hub"])
def test_a_signal_over_the_rate_and_one_that_the_hub_refuses_are_answered(where: str) -> None:
    ana = client()
    if where == "rate":
        ana.guest.refusal = RateLimited("too many")
    else:
        ana.node.refusal = BrokerUnavailable("away")
    (answer,) = send(ana, ref=3)
    expected = "rate_limited" if where == "rate" else "broker_unavailable"
    assert (answer["code"], answer["ref"]) == (expected, 3)


def test_a_signal_does_not_wait_for_the_events_before_it() -> None:
    ana = client()
    ana.send(type="publish", channel="free.a", data="event", ref=1)
    send(ana)
    assert len(ana.node.signals) == 1
    ana.session.published(1, "free.a", Receipt(Position("e", 1), NOW))
    assert [answer["type"] for answer in ana.heard()] == ["published"]
