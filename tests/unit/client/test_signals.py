"""Signals in the client, without I/O: sent once, and left out of `follow` unless asked for."""

import json

import pytest

from eventhub_client.attempts import Rules
from eventhub_client.errors import Forbidden, HubError, Unavailable
from eventhub_client.following import Follower
from eventhub_client.items import Event, Gap, Signal, moment
from eventhub_client.members import Rosters
from eventhub_client.payloads import item_of
from eventhub_client.positions import Subscription
from eventhub_client.publishing import send_signal
from eventhub_client.steps import (
    Answer,
    CallStep,
    Connect,
    Deliver,
    FollowStep,
    Receive,
    RenewToken,
    Reply,
    Request,
    Store,
    Unreachable,
)
from tests.unit.client.shells import Time, answered, connected, event, subscribed, until_starved

TIME = "2026-11-22T20:06:00.123Z"
SIGNAL = {"type": "signal", "channel": "a.b", "time": TIME, "data": {"n": 1}, "by": "ana"}
SENT = Answer(202, {"results": [{"channel": "a.b", "signal": True}]})


def follow(*, signals: bool) -> list[FollowStep]:
    subscription = Subscription(("a.b",), "latest", {}, signals=signals)
    steps = Follower(subscription, Time(), lambda: 0.5).steps()
    replies = connected(subscribed("k-1"), SIGNAL, event("k-2"), SIGNAL)
    return until_starved(steps, replies, (Connect, Receive))


@pytest.mark.parametrize(
    ("signals", "types"), [(False, ["event"]), (True, ["signal", "event", "signal"])]
)
def test_a_follower_gets_signals_if_it_asks_for_them(signals: bool, types: list[str]) -> None:  # noqa: FBT001  # of parametrize
    taken = follow(signals=signals)
    assert [step.message["type"] for step in taken if isinstance(step, Deliver)] == types
    assert [step for step in taken if isinstance(step, Store)] == [
        Store({"a.b": "k-1"}),
        Store({"a.b": "k-2"}),
    ], "no position is that of a signal"


def test_a_message_becomes_an_item_of_its_kind() -> None:
    assert item_of(SIGNAL, None, Rosters()) == Signal("a.b", moment(TIME), {"n": 1}, {}, "ana")
    assert isinstance(item_of(event("k-1"), None, Rosters()), Event)
    gap = {"type": "gap", "channel": "a.b", "reason": "expired", "position": "k-1"}
    assert isinstance(item_of(gap, None, Rosters()), Gap)
    assert isinstance(item_of(SIGNAL, lambda data: 1 / 0, Rosters()), Signal), (
        "models are for events"
    )


def send(
    *replies: Reply,
    data: object = 1,
    attributes: dict[str, str] | None = None,
    renewable: bool = False,
) -> list[CallStep]:
    left = list(replies)
    clock = Time()
    steps = send_signal("a.b", data, attributes, 5.0, Rules(renewable=renewable, clock=clock))
    return answered(steps, clock, lambda step: left.pop(0) if isinstance(step, Request) else None)[
        1
    ]


def test_a_signal_is_one_item_of_a_publish_without_a_key() -> None:
    (post,) = send(SENT, data=[1, "\u00e9"], attributes={"subject": "s"})
    assert isinstance(post, Request)
    assert json.loads(post.body) == [
        {"channel": "a.b", "signal": True, "attributes": {"subject": "s"}, "data": [1, "\u00e9"]}
    ]
    assert (post.path, post.seconds) == ("/v1/events", 5.0)
    assert post.headers == {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Unreachable("no route"), Unavailable),
        (Answer(503, {"code": "broker_unavailable", "detail": "away"}), Unavailable),
        (
            Answer(503, {"results": [{"error": {"code": "broker_unavailable", "message": "a"}}]}),
            HubError,
        ),
        (Answer(422, {"results": [{"error": {"code": "forbidden", "message": "no"}}]}), Forbidden),
        (Answer(202, {}), HubError),
        (Answer(200, {}), HubError),
        (Answer(202, {"results": []}), HubError),
    ],
)
def test_a_signal_that_fails_is_not_sent_again(reply: Reply, kind: type[HubError]) -> None:
    with pytest.raises(kind):
        send(reply)  # a second Request would find no reply


def test_with_a_token_that_has_expired_it_was_not_sent_and_is_sent_with_a_new_one() -> None:
    expired = Answer(401, {"code": "token_expired", "detail": "old"})
    assert [type(step) for step in send(expired, SENT, renewable=True)] == [
        Request,
        RenewToken,
        Request,
    ]
    with pytest.raises(HubError):
        send(expired)
