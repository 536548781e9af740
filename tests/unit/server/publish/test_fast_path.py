"""Publishes that are answered at once: which requests may be, and what they are answered with."""

import json
from typing import Any

import pytest

from eventhub.auth.grants import EVERYTHING
from eventhub.auth.principal import CredentialKind, Principal
from eventhub.events.event import Earliest
from eventhub.server.publish import fast_path
from eventhub.server.publish.batch import PART_BYTES, PART_COMMAS
from eventhub.server.publish.endpoint import EVENTS_PER_GROUP, SMALL_EVENT_BYTES
from eventhub.server.publish.fast_path import AcceptedHead
from eventhub.server.publish.response import STORED
from tests.harness.loop import in_loop
from tests.unit.server.publish.fast_path_node import EVENT, Node, code

# Heads


@in_loop
async def test_a_head_that_was_accepted_is_found_with_its_length() -> None:
    node = Node()
    request = node.request({b"content-type": b"application/json"})
    node.fast_path.remember(("head",), request, 28)
    assert node.fast_path.find(("head",)) == AcceptedHead(request, 28)
    assert node.fast_path.find(("other",)) is None


@in_loop
async def test_when_keys_change_all_heads_are_forgotten() -> None:
    node = Node()
    node.fast_path.remember(("head",), node.request())
    node.manager.authentication.generation += 1
    assert node.fast_path.find(("head",)) is None
    node.fast_path.remember(("head",), node.request())
    assert node.fast_path.find(("head",)) is not None, "the new keys are known"


@in_loop
async def test_the_oldest_head_is_forgotten_beyond_the_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fast_path, "HEADS", 2)
    node = Node()
    for name in "abc":
        node.fast_path.remember((name,), node.request())
    assert [node.fast_path.find((name,)) is not None for name in "abc"] == [False, True, True]


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({b"traceparent": b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}, b""),
        ({b"prefer": b"wait=5"}, b""),
        ({b"expect": b"100-continue"}, b""),
        ({}, b"handling=lenient"),
        ({}, b"refers=k3x9-7&relation=reaction"),
        ({b"content-type": b"application/x-ndjson"}, b""),
        (
            {b"ce-id": b"1", b"ce-source": b"s", b"ce-specversion": b"1.0", b"ce-type": b"t"},
            b"",
        ),
        ({b"content-type": b"multipart/form-data"}, b""),
    ],
)
@in_loop
async def test_an_unusual_head_is_not_remembered(headers: dict[bytes, bytes], query: bytes) -> None:
    node = Node()
    node.fast_path.remember(("head",), node.request(headers, query))
    assert node.fast_path.find(("head",)) is None


@pytest.mark.parametrize("name", [b"origin", b"if-match", b"if-none-match"])
@in_loop
async def test_a_head_whose_answer_depends_on_it_is_not_remembered(name: bytes) -> None:
    node = Node()
    request = node.request()
    request.headers = {name: b"x"}
    node.fast_path.remember(("head",), request)
    assert node.fast_path.find(("head",)) is None


# Bodies


RAW: dict[str, Any] = {"channels": {"raw": {"payload": "json"}}}


@pytest.mark.parametrize(
    ("body", "taken"),
    [
        (b"", False),
        (EVENT, True),
        (b" \r\n\t" + EVENT, True),
        (b'"text"', True),
        (b"1" * SMALL_EVENT_BYTES, True),
        (b"1" * (SMALL_EVENT_BYTES + 1), False),
        (b"{" + b" " * SMALL_EVENT_BYTES, False),
        (b"[1]", True),
        (b" \r\n\t[1]", True),
        (b"[]", False),
        (b"[1,", False),
        (b"[1]".ljust(PART_BYTES), True),
        (b"[1]".ljust(PART_BYTES + 1), False),
        (b"[[%b]]" % b",".join([b"1"] * (PART_COMMAS + 1)), True),
        (b"[[%b]]" % b",".join([b"1"] * (PART_COMMAS + 2)), False),
        (b"[%b]" % b",".join([b"1"] * EVENTS_PER_GROUP), True),
        (b"[%b]" % b",".join([b"1"] * (EVENTS_PER_GROUP + 1)), False),
    ],
    ids=range(17),
)
@in_loop
async def test_a_body_that_needs_one_turn_is_taken(body: bytes, *, taken: bool) -> None:
    node = Node(**RAW)
    response = node.try_publish(body, request=node.request(channel="raw.a"))
    assert (response is not None) is taken
    assert len(node.answered) == taken


@pytest.mark.parametrize(
    ("body", "taken"),
    [
        (EVENT.ljust(200), True),
        (EVENT.ljust(201), False),
        (b"[1]".ljust(200), True),
        (b"[1]".ljust(201), False),
    ],
    ids=range(4),
)
@in_loop
async def test_a_body_that_is_larger_than_the_setting_is_not_taken(
    body: bytes, *, taken: bool
) -> None:
    node = Node(**RAW, limits={"body_bytes": 200, "event_bytes": 200})
    response = node.try_publish(body, request=node.request(channel="raw.a"))
    assert (response is not None) is taken


@in_loop
async def test_an_array_with_more_events_than_the_setting_allows_is_not_taken() -> None:
    node = Node(**RAW, limits={"batch": 2})
    request = node.request(channel="raw.a")
    assert node.try_publish(b"[1,2]", request=request) is not None
    assert node.try_publish(b"[1,2,3]", request=request) is None


@in_loop
async def test_an_array_with_a_key_or_a_refused_event_is_not_taken_and_nothing_is_counted() -> None:
    node = Node()
    assert node.try_publish(b"[%b]" % EVENT, b"k") is None
    assert node.try_publish(b"[%b,1]" % EVENT) is None
    assert (node.answered, node.rejected) == ([], [])
    assert not (await node.manager.hub.history("chat.a", Earliest(), 10)).events


@in_loop
async def test_nothing_is_taken_while_publishers_wait_or_the_node_stops() -> None:
    node = Node()
    node.manager.hub.backpressure.fell_behind("chat.b")
    assert node.try_publish() is None
    node.manager.hub.backpressure.caught_up("chat.b")
    assert node.try_publish() is not None
    node.manager.hub.closing = True
    assert node.try_publish() is None


@in_loop
async def test_a_turn_of_the_loop_answers_a_bounded_number_of_requests() -> None:
    node = Node()
    request = node.request()
    assert not all(node.try_publish(request=request) for _ in range(10_000))


# Answers


@in_loop
async def test_an_event_is_stored_and_answered_with_its_id() -> None:
    node = Node()
    response = node.publish()
    (stored,) = (await node.manager.hub.history("chat.a", Earliest(), 10)).events
    assert (response.status, response.headers, stored.data) == (201, STORED, EVENT)
    answer = json.loads(response.body)
    assert (answer["id"], answer["channel"]) == (str(stored.position), "chat.a")
    assert (node.answered, node.rejected) == (["chat.a"], [])


@in_loop
async def test_a_repeated_key_is_answered_as_replayed_and_stored_once() -> None:
    node = Node()
    first, again = node.publish(key=b"k"), node.publish(key=b"k")
    other = node.publish(key=b"k2")
    assert first.body == again.body != other.body
    names = [{name for name, _ in response.headers} for response in (first, again)]
    assert [b"idempotent-replayed" in found for found in names] == [False, True]


@pytest.mark.parametrize(
    ("body", "key", "expected"),
    [
        (b"{}", None, (422, "invalid_event")),
        (b"{", None, (400, "invalid_json")),
        (EVENT, b"a b", (400, "invalid_request")),
    ],
)
@in_loop
async def test_a_refused_event_is_answered_with_a_problem_and_counted_once(
    body: bytes, key: bytes | None, expected: tuple[int, str]
) -> None:
    node = Node()
    response = node.publish(body, key)
    assert code(response) == expected
    assert b"content-length" not in dict(response.headers)
    assert dict(response.headers)[b"content-type"] == b"application/problem+json"
    assert node.rejected == [("chat.a", expected[1])]
    assert node.answered == ["chat.a"]


@in_loop
async def test_a_key_that_is_used_for_other_data_is_a_conflict() -> None:
    node = Node()
    node.publish(key=b"k")
    conflict = node.publish(b'{"sender":"ben","text":"oi"}', b"k")
    assert code(conflict) == (422, "idempotency_conflict")
    assert node.rejected == [("chat.a", "idempotency_conflict")]


@in_loop
async def test_an_expired_principal_is_refused() -> None:
    node = Node()
    expired = Principal(CredentialKind.TOKEN, "ana", EVERYTHING, expires=1)
    response = node.publish(request=node.request(principal=expired))
    assert code(response) == (401, "token_expired")
    assert node.rejected == [("chat.a", "token_expired")]


@in_loop
async def test_an_event_is_charged_even_if_it_is_refused() -> None:
    node = Node()
    slow = Principal(CredentialKind.TOKEN, "ana", EVERYTHING, rate=1)
    request = node.request(principal=slow)
    answers = [node.publish(b"{}", request=request).status for _ in range(50)]
    assert answers[0] == 422
    assert answers[-1] == 429


@in_loop
async def test_an_unexpected_error_is_noted_and_answered_as_internal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = Node()

    def fault(_: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(node.manager.hub, "publish_now", fault)
    assert code(node.publish()) == (500, "internal")
    assert node.rejected == [("chat.a", "internal")]
    assert node.manager.hub.faults.counts == {"publish": 1}


@in_loop
async def test_an_event_of_a_type_with_keys_is_stored_with_its_key() -> None:
    node = Node(channels={"orders": {"payload": "json", "key": "/id"}})
    node.publish(b'{"id":"x"}', request=node.request({b"ce-source": b"/a"}, channel="orders.a"))
    (event,) = (await node.manager.hub.history("orders.a", Earliest(), 10)).events
    assert event.attributes == {"source": "/a", "key": "x"}


@in_loop
async def test_it_is_told_how_long_a_publish_took() -> None:
    node, told = Node(), list[float]()
    hub: Any = node.manager.hub
    hub.answered = lambda _, seconds: told.append(seconds)
    node.publish()
    assert [0 <= seconds < 60 for seconds in told] == [True]
