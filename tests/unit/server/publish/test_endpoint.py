"""server/publish/endpoint.py with a broker that fails. A real server is tested in
integration/test_publish.py.
"""

import asyncio
import gc
import json
import tracemalloc
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from eventhub.brokers.memory import MemoryBroker
from eventhub.config.loader import channel_types
from eventhub.config.settings import Settings
from eventhub.errors import BrokerUnavailable, EventHubError, InvalidEvent
from eventhub.events import schema, validation_errors
from eventhub.events.channel_types import Retention
from eventhub.events.event import Event, NewEvent, Receipt
from eventhub.hub.hub import Hub
from eventhub.observability.metrics import Metrics
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.publish.endpoint import EVENTS_PER_GROUP, PublishEndpoint
from eventhub.server.publish.handling import DETAILED_REFUSALS
from eventhub.server.publish.ndjson import LINES_PER_GROUP
from eventhub.server.publish.request import PublishRequest
from eventhub.server.security.authentication import Authentication

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
EVENT = '{"sender":"ana","text":"oi"}'


class FaultyBroker(MemoryBroker):
    """A memory broker that raises what a test tells it to."""

    fault: Exception | None = None
    good = 0
    """How many calls succeed before the fault."""

    async def publish(self, events: Sequence[NewEvent]) -> Sequence[Receipt | EventHubError]:
        self.good -= 1
        if self.fault is not None and self.good < 0:
            raise self.fault
        return await super().publish(events)


class FakeSpan:
    """The span of one publish. It notes what happens to it."""

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self.attributes = {**attributes, "traceparent": TRACEPARENT}
        self.notes: list[str] = []

    def stored(self, begin: int, error: EventHubError | None) -> None:
        self.notes.append(f"store {error.code if error is not None else 'good'}")

    def end(self, outcomes: Sequence[Receipt | EventHubError]) -> None:
        self.notes.append(
            "end "
            + " ".join(one.code if isinstance(one, EventHubError) else "good" for one in outcomes)
        )


class FakeTracing:
    """Tracing that samples every publish."""

    def __init__(self) -> None:
        self.publishes: list[FakeSpan] = []

    def publish(
        self, channel: str, attributes: Mapping[str, str] | None, transport: str
    ) -> FakeSpan:
        self.publishes.append(FakeSpan(attributes or {}))
        return self.publishes[-1]

    def fanned_out(
        self, channel: str, events: Sequence[Event], seconds: float, subscribers: int
    ) -> None: ...


class Node:
    """An endpoint over a faulty broker, without a server."""

    def __init__(self) -> None:
        channels: Any = {"chat": {"payload": "chat", "refused": False}}  # no hub runs, which keeps
        settings = Settings(channels=channels)
        types = channel_types(settings, Path())
        self.broker = FaultyBroker(lambda channel: types.resolve(channel).retention, Hub.now)
        self.notes = FakeTracing()
        hub = Hub(types, self.broker, Metrics(kind.name for kind in types), self.notes)
        self._manager = ConnectionManager(
            settings, hub, Authentication(settings.auth, Path(), Hub.now)
        )
        self._endpoint = PublishEndpoint(self._manager)

    def post(self, content: str | AsyncIterator[bytes] = EVENT, **headers: str) -> httpx.Response:
        async def post() -> httpx.Response:
            self._manager.__dict__.pop("fair_queue", None)  # that of the last loop
            transport = httpx.ASGITransport(self._endpoint)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.post("/v1/channels/chat.a", content=content, headers=headers)

        return asyncio.run(post())


def test_an_unexpected_error_is_a_problem_document_and_its_log_line_names_channel_and_trace() -> (
    None
):
    node = Node()
    node.broker.fault = RuntimeError("a bug that shows a payload")
    with structlog.testing.capture_logs() as lines:
        answer = node.post(traceparent=TRACEPARENT)
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.json()["code"] == "internal"
    assert "payload" not in answer.text
    assert [(line["where"], line["channel"], line["trace_id"]) for line in lines] == [
        ("publish", "chat.a", TRACE)
    ]


@pytest.mark.parametrize(
    ("content", "fault", "notes"),
    [
        (EVENT, None, ["store good", "end good"]),
        (f"[{EVENT},{EVENT}]", None, ["store good", "end good good"]),
        (f"[{EVENT},1]", None, ["store good", "end good invalid_event"]),
        ("[1]", None, ["end invalid_event"]),
        ("1", None, ["end invalid_event"]),
        (EVENT, BrokerUnavailable("away"), ["store broker_unavailable", "end broker_unavailable"]),
        (EVENT, RuntimeError("a bug"), ["store internal", "end internal"]),
    ],
)
def test_the_span_of_a_publish_is_ended_once(
    content: str, fault: Exception | None, notes: list[str]
) -> None:
    node = Node()
    node.broker.fault = fault
    node.post(content)
    (span,) = node.notes.publishes
    assert span.notes == notes


def test_events_have_the_attributes_of_the_span() -> None:
    node = Node()
    answers: list[Any] = [node.post(content).json() for content in (EVENT, f"[{EVENT}]")]
    assert answers
    log = node.broker._logs["chat.a"].events
    assert [log[index].attributes for index in range(len(log))] == [
        {"traceparent": TRACEPARENT}
    ] * 2


NDJSON = {"content-type": "application/x-ndjson"}


async def pieces(text: str) -> AsyncIterator[bytes]:
    yield text.encode()


@pytest.mark.parametrize("known", [True, False])
def test_a_stream_that_fails_before_its_first_line_is_decided_is_a_problem(*, known: bool) -> None:
    node = Node()
    node.broker.fault = BrokerUnavailable("away", retry_after=7)
    content = f"{EVENT}\nnope\n"
    answer = node.post(content if known else pieces(content), **NDJSON)
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert (answer.json()["code"], answer.headers["retry-after"]) == ("broker_unavailable", "7")


@pytest.mark.parametrize("handling", ["strict", "lenient"])
def test_a_stream_of_known_length_that_ends_early_has_the_error_s_status_and_its_progress(
    handling: str,
) -> None:
    node = Node()
    node.broker.fault, node.broker.good = BrokerUnavailable("away"), 1
    content = "nope\n" + f"{EVENT}\n" * LINES_PER_GROUP
    answer = node.post(content, prefer=f"handling={handling}", **NDJSON)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    problem = answer.json()
    assert (problem["code"], [refusal["line"] for refusal in problem["refused"]]) == (
        "broker_unavailable",
        [1],
    )
    progress = problem["progress"]
    assert 1 < progress["line"] <= LINES_PER_GROUP
    assert progress | {"id": ""} == {
        "line": progress["line"],
        "accepted": progress["line"] - 1,
        "rejected": 1,
        "id": "",
    }


def test_a_stream_of_unknown_length_that_ends_early_says_so_in_the_last_line() -> None:
    node = Node()
    node.broker.fault, node.broker.good = BrokerUnavailable("away"), 1
    answer = node.post(pieces(f"{EVENT}\n" * (LINES_PER_GROUP + 1)), **NDJSON)
    final = json.loads(answer.text.splitlines()[-1])
    assert (answer.status_code, final["done"]) == (200, False)
    assert 0 < final["line"] == final["accepted"] <= LINES_PER_GROUP


def test_a_repeated_stream_of_known_length_is_marked_as_replayed() -> None:
    node = Node()
    first, again = (node.post(f"{EVENT}\n", **NDJSON, **{"idempotency-key": "k"}) for _ in range(2))
    assert (first.headers.get("idempotent-replayed"), again.headers.get("idempotent-replayed")) == (
        None,
        "true",
    )


def test_a_lenient_body_that_is_not_json_is_logged_now_and_then_for_each_channel_type() -> None:
    node = Node()
    with structlog.testing.capture_logs() as lines:
        for content in ("s3cret", "[s3cret]", "1", EVENT):
            assert node.post(content, prefer="handling=lenient").status_code == 200
        node.post("s3cret")
    (line,) = lines
    with structlog.testing.capture_logs() as of_lines:
        Node().post("s3cret\ns3cret\n", prefer="handling=lenient", **NDJSON)
        Node().post(f"s3cret\n{EVENT}\n", prefer="handling=lenient", **NDJSON)
        Node().post("s3cret\n", **NDJSON)
    assert [each["event"] for each in of_lines] == ["lenient_body_refused"], "where no line is good"
    assert (line["event"], line["log_level"], line["type"], line["channel"]) == (
        "lenient_body_refused",
        "warning",
        "chat",
        "chat.a",
    )
    assert "s3cret" not in line["reason"]


REFUSED = [
    "[" + ",".join(["1"] * 500) + "]",
    "1",
    "[1,}",
    "[" * 900 + "]" * 900,
    "[" + EVENT + ",[]]",
    "x" * 70_000,
]


def errors_alive() -> set[int]:
    return {id(each) for each in gc.get_objects() if isinstance(each, EventHubError)}


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("headers", [{}, NDJSON, {"prefer": "handling=lenient"}])
def test_errors_are_freed_after_the_response_without_a_garbage_collection(
    headers: dict[str, str], *, away: bool
) -> None:
    """An error that is kept by a frame of its own traceback stays, with the batch in that frame,
    until a full collection.
    """
    node = Node()
    gc.collect()
    before = errors_alive()
    gc.disable()
    try:
        for body in [*REFUSED, EVENT, f"[{EVENT}]"]:
            node.broker.fault = BrokerUnavailable("away") if away else None
            node.post(body, **headers)
        node.broker.fault = None
        assert not errors_alive() - before
    finally:
        gc.enable()


def test_the_first_refusals_of_an_array_have_details_and_all_have_a_result() -> None:
    item = "{" + ",".join(f'"a{number:02}":1' for number in range(40)) + "}"
    answer = Node().post(f"[{EVENT}," + ",".join([item] * 1000) + "]")
    errors = [result["error"] for result in answer.json()["results"][1:]]
    assert [len(error.get("details", ())) for error in errors] == [20] * DETAILED_REFUSALS + [0] * (
        1000 - DETAILED_REFUSALS
    )
    assert {error["code"] for error in errors} == {"invalid_event"}
    assert {error["message"] for error in errors[:DETAILED_REFUSALS]} == {
        "the event does not fit its channel type: 42 faults, at most 20 are listed; its schema is"
        " at /v1/types/chat"
    }
    assert {error["message"] for error in errors[DETAILED_REFUSALS:]} == {
        "the event does not fit its channel type; its schema is at /v1/types/chat"
    }
    assert answer.json()["rejected"] == 1000


def test_beyond_the_first_refused_lines_no_faults_are_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listed: list[Any] = []
    explain = validation_errors.explain

    def counted(*about: Any) -> InvalidEvent:
        listed.append(about)
        return explain(*about)

    monkeypatch.setattr(schema, "explain", counted)
    answer = Node().post("[]\n" * (DETAILED_REFUSALS + 50) + "{\n" * 50 + EVENT, **NDJSON)
    counts = json.loads(answer.text.splitlines()[-1])
    assert (counts["accepted"], counts["rejected"]) == (1, DETAILED_REFUSALS + 100)
    assert len(listed) == DETAILED_REFUSALS


def test_refused_items_take_a_small_multiple_of_their_size_in_memory() -> None:
    node = Node()
    body = (
        "["
        + ",".join(["{" + ",".join(f'"a{number:02}":1' for number in range(40)) + "}"] * 1500)
        + "]"
    )
    node.post(body)
    tracemalloc.start()
    try:
        node.post(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * len(body)


class GroupNotingBroker(FaultyBroker):
    """Notes the size of each group, and has somebody else publish after each."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.sizes: list[int] = []

    async def publish(self, events: Sequence[NewEvent]) -> Sequence[Receipt | EventHubError]:
        self.sizes.append(len(events))
        found = await super().publish(events)
        asyncio.get_running_loop().call_soon(
            self._store, events[0].channel, [NewEvent(events[0].channel, b'"other"', 0)]
        )
        return found


def grouped() -> tuple[Node, GroupNotingBroker]:
    node = Node()
    broker = GroupNotingBroker(lambda _: Retention(10_000, None), Hub.now)
    node.broker = node._manager.hub.publisher._broker = broker
    return node, broker


def test_a_long_array_is_stored_in_order_in_groups_between_which_others_publish() -> None:
    node, broker = grouped()
    texts = [str(number) for number in range(2 * EVENTS_PER_GROUP + 7)]
    answer = node.post(
        json.dumps([{"sender": "ana", "text": text} for text in texts]), **{"idempotency-key": "k"}
    )
    assert (answer.status_code, broker.sizes) == (201, [EVENTS_PER_GROUP, EVENTS_PER_GROUP, 7])
    log = {
        str(event.position): event.data
        for event in (broker._logs["chat.a"].events[index] for index in range(len(texts) + 2))
    }
    assert [json.loads(log[result["id"]])["text"] for result in answer.json()["results"]] == texts
    assert list(log.values()).index(b'"other"') == EVENTS_PER_GROUP


def test_an_array_that_is_stored_in_part_has_all_results_and_its_key_stores_the_rest() -> None:
    node, broker = grouped()
    body = json.dumps([json.loads(EVENT)] * (3 * EVENTS_PER_GROUP))
    broker.fault, broker.good = BrokerUnavailable("away"), 1
    key = {"idempotency-key": "k"}
    answer = node.post(body, **key)
    results = answer.json()["results"]
    assert (answer.status_code, answer.json()["accepted"]) == (207, EVENTS_PER_GROUP)
    assert [result.get("error", {}).get("code") for result in results] == [
        None
    ] * EVENTS_PER_GROUP + ["broker_unavailable"] * 2 * EVENTS_PER_GROUP
    assert broker.sizes == [EVENTS_PER_GROUP, EVENTS_PER_GROUP]
    broker.fault = None
    again = node.post(body, **key).json()
    assert (again["accepted"], again["results"][:EVENTS_PER_GROUP]) == (
        3 * EVENTS_PER_GROUP,
        results[:EVENTS_PER_GROUP],
    )


def test_an_array_of_which_nothing_is_stored_is_refused_as_a_whole() -> None:
    node, broker = grouped()
    broker.fault = BrokerUnavailable("away")
    assert node.post(json.dumps([json.loads(EVENT)] * (2 * EVENTS_PER_GROUP))).status_code == 503
    assert broker.sizes == [EVENTS_PER_GROUP]


@pytest.mark.parametrize(
    ("content", "events"),
    [
        (EVENT, [1]),
        ("1", [1]),
        (f"[{EVENT},1,{EVENT},{{}}]", [4]),
        ("[1,2]", [2]),
        ("[]", [0]),
        ("[1,}", []),
    ],
)
def test_a_producer_pays_for_each_event_whether_it_is_stored_or_refused(
    content: str, events: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    paid: list[int] = []
    monkeypatch.setattr(PublishRequest, "pay", lambda _, count: paid.append(count))
    Node().post(content)
    assert paid == events


def test_in_an_array_with_refused_items_each_result_is_that_of_its_item() -> None:
    node = Node()
    items = [EVENT if number % 3 else "1" for number in range(9)]
    key = {"idempotency-key": "k"}
    first, again = (node.post(f"[{','.join(items)}]", **key).json() for _ in range(2))
    codes = [result.get("error", {}).get("code") for result in first["results"]]
    assert codes == [None if number % 3 else "invalid_event" for number in range(9)]
    assert (first["accepted"], first["rejected"]) == (6, 3)
    assert again["results"] == first["results"], "a retry stores nothing again"
    assert len(node.broker._logs["chat.a"].events) == 6
