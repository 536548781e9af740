"""Arrays that are answered at once."""

import json
from typing import Any

import pytest

from eventhub.auth.grants import EVERYTHING
from eventhub.auth.principal import CredentialKind, Principal
from eventhub.brokers.base import OnStored
from eventhub.errors import BrokerUnavailable, RateLimited
from eventhub.events.event import Earliest, NewEvent, Position, Receipt
from eventhub.server.publish.response import PublishResponse
from eventhub.server.publish.waiting_publish import WaitingPublish
from tests.harness.loop import in_loop
from tests.unit.server.publish.fast_path_node import EVENT, Node, code


@in_loop
async def test_the_events_of_an_array_are_stored_in_order_with_the_attributes_of_the_request() -> (
    None
):
    node = Node()
    other = b'{"sender":"ben","text":"hi"}'
    response = node.publish(
        b"[%b,%b]" % (EVENT, other), request=node.request({b"ce-source": b"/a"})
    )
    stored = (await node.manager.hub.history("chat.a", Earliest(), 10)).events
    assert [event.data for event in stored] == [EVENT, other]
    assert [event.attributes for event in stored] == [{"source": "/a"}] * 2
    answer = json.loads(response.body)
    assert (response.status, answer["accepted"], answer["rejected"]) == (201, 2, 0)
    assert [result["id"] for result in answer["results"]] == [str(one.position) for one in stored]
    assert (node.answered, node.rejected) == (["chat.a"], [])


@in_loop
async def test_an_array_for_one_channel_too_many_is_refused_event_by_event() -> None:
    node = Node()
    node.manager.hub._broker._max_channels = 0  # type: ignore[attr-defined]  # the memory broker's
    response = node.publish(b"[%b,%b]" % (EVENT, EVENT))
    answer = json.loads(response.body)
    assert (response.status, answer["rejected"], node.answered) == (503, 2, ["chat.a"])
    assert node.rejected == [("chat.a", answer["results"][0]["error"]["code"])] * 2


@in_loop
async def test_each_event_of_an_array_is_charged_and_one_over_the_rate_is_refused() -> None:
    node = Node()
    slow = Principal(CredentialKind.TOKEN, "ana", EVERYTHING, rate=1)
    request = node.request(principal=slow)
    body = b"[%b]" % b",".join([EVENT] * 10)
    answers = [node.publish(body, request=request) for _ in range(3)]
    assert [answer.status for answer in answers] == [201, 429, 429]
    assert node.rejected == [("chat.a", "rate_limited")] * 2


@in_loop
async def test_an_array_of_an_expired_principal_is_refused() -> None:
    node = Node()
    expired = Principal(CredentialKind.TOKEN, "ana", EVERYTHING, expires=1)
    response = node.publish(b"[%b]" % EVENT, request=node.request(principal=expired))
    assert code(response) == (401, "token_expired")


@in_loop
async def test_an_unexpected_error_of_an_array_is_noted_and_answered_as_internal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = Node()

    def fault(_: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(node.manager.hub, "publish_all_now", fault)
    assert code(node.publish(b"[%b]" % EVENT)) == (500, "internal")
    assert node.manager.hub.faults.counts == {"publish": 1}


@in_loop
async def test_white_space_may_stand_before_an_array() -> None:
    response = Node().publish(b" \r\n\t[%b,%b]" % (EVENT, EVENT))
    assert (response.status, json.loads(response.body)["accepted"]) == (201, 2)


@in_loop
async def test_an_array_of_a_type_with_keys_is_not_taken() -> None:
    node = Node(channels={"orders": {"payload": "json", "key": "/id"}})
    request = node.request(channel="orders.a")
    assert node.try_publish(b'[{"id":"x"}]', request=request) is None
    assert node.try_publish(b'{"id":"x"}', request=request) is not None


class Charge:
    """Notes what is paid. `refusal` is raised by `check`."""

    def __init__(self, refusal: RateLimited | None = None) -> None:
        self.calls: list[object] = []
        self.refusal = refusal

    def check(self) -> None:
        self.calls.append("check")
        if self.refusal is not None:
            raise self.refusal

    def take(self, count: int) -> None:
        self.calls.append(count)


@pytest.mark.parametrize(
    ("body", "calls"),
    [
        (EVENT, [1]),
        (b"[%b]" % EVENT, ["check", 1]),
        (b"[%b]" % b",".join([EVENT] * 7), ["check", 7]),
        (b"[%b,1]" % EVENT, ["check"]),
    ],
)
@in_loop
async def test_each_event_is_paid_for_once_it_is_known_how_many_there_are(
    body: bytes, calls: list[object]
) -> None:
    node, charge = Node(), Charge()
    request = node.request()
    request.charge = charge  # type: ignore[assignment]
    node.try_publish(body, request=request)
    assert charge.calls == calls


@in_loop
async def test_who_is_over_the_rate_makes_the_node_read_no_array() -> None:
    node, charge = Node(), Charge(RateLimited("too fast", retry_after=1))
    request = node.request()
    request.charge = charge  # type: ignore[assignment]
    assert code(node.publish(b"[nonsense]", request=request)) == (429, "rate_limited")
    assert charge.calls == ["check"]


@pytest.mark.parametrize(
    ("body", "answer"),
    [(EVENT, {"id": "e-1"}), (b"[%b,%b]" % (EVENT, EVENT), {"accepted": 1, "rejected": 1})],
)
@in_loop
async def test_a_broker_that_answers_later_answers_events_and_arrays(
    body: bytes, answer: dict[str, object]
) -> None:
    node = Node()
    asked: list[tuple[list[NewEvent], OnStored]] = []
    hub: Any = node.manager.hub
    hub._publishes_now, hub._publishes_later = False, True
    hub.publish_later = lambda events, done: asked.append((list(events), done))
    waiting = node.try_publish(body, request=node.request({b"ce-source": b"/a"}))
    assert isinstance(waiting, WaitingPublish)
    responses: list[PublishResponse] = []
    waiting.respond = responses.append
    ((events, done),) = asked
    assert [(event.data, event.attributes) for event in events] == [
        (EVENT, {"source": "/a"})
    ] * len(events)
    outcomes = (Receipt(Position("e", 1), 0), BrokerUnavailable("away"))
    done(outcomes[: len(events)])
    (response,) = responses
    assert json.loads(response.body).items() >= answer.items()
    assert node.answered == ["chat.a"]
