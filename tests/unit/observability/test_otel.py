"""observability/otel.py: which spans are made, what they say, what becomes of them when nobody
takes them. The collector is a real one.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog

from eventhub.config.sections import TracingSettings
from eventhub.errors import BrokerUnavailable, EventHubError, InvalidEvent
from eventhub.events.event import Event, Position, Receipt
from eventhub.observability import otel as module
from eventhub.observability.otel import TRACES, Telemetry
from eventhub.observability.span_export import BATCH_SPANS, QUEUE_SPANS
from eventhub.observability.tracing import PublishSpan
from tests.harness.eventually import SECONDS
from tests.harness.otlp import Collector

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
FOLLOWED, UNSAMPLED = (
    {"traceparent": f"00-{TRACE}-{SPAN}-{flags}", "source": "s"} for flags in ("01", "00")
)
INTERNAL, SERVER, PRODUCER, CONSUMER = 1, 2, 4, 5


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no fault."""
    monkeypatch.setattr(module, "EXPORT_SECONDS", SECONDS)
    monkeypatch.setattr(module, "FLUSH_SECONDS", SECONDS)


class Node:
    """A node's telemetry. `chance` is what the dice show; `dropped` adds up."""

    def __init__(self, endpoint: str, sample: float = 0.5) -> None:
        self.chance = 0.0
        self.dropped = 0
        self._lock = threading.Lock()
        self.telemetry = Telemetry(
            TracingSettings(endpoint=endpoint, sample=sample), self._drop, lambda: self.chance
        )
        self.telemetry.start("n1")

    def _drop(self, count: int) -> None:
        with self._lock:
            self.dropped += count

    def publish(
        self, attributes: dict[str, str] | None = None, channel: str = "chat.lobby"
    ) -> PublishSpan:
        trace = self.telemetry.publish(channel, attributes, "http")
        assert trace is not None
        return trace

    def stop(self) -> None:
        asyncio.run(self.telemetry.stop())


@contextmanager
def traced(sample: float = 0.5) -> Iterator[tuple[Node, Collector]]:
    with Collector() as collector:
        node = Node(collector.url, sample)
        yield node, collector
        node.stop()


def receipt(offset: int = 1) -> Receipt:
    return Receipt(Position("a", offset), 0)


def event(offset: int, attributes: dict[str, str] | None = None) -> Event:
    return Event("chat.lobby", "a", offset, offset - 1, 0, b'"a payload"', attributes)


def test_a_sampled_producer_is_followed_and_its_context_passed_on_unchanged() -> None:
    with traced(sample=0) as (node, collector):
        trace = node.publish(FOLLOWED)
        assert trace.attributes == FOLLOWED
        begin = time.time_ns()
        trace.stored(begin, None)
        trace.end((receipt(7),))
        node.stop()
        store, publish = collector.trace(TRACE, 2)
        assert (publish.name, publish.kind, publish.parent_id) == ("publish chat.>", SERVER, SPAN)
        assert (store.name, store.kind, store.parent_id) == ("store", INTERNAL, publish.span_id)
        assert publish.begin <= begin == store.begin <= store.end <= publish.end
        assert publish.attributes == {
            "messaging.system": "eventhub", "messaging.operation.name": "publish",
            "messaging.operation.type": "send", "messaging.destination.name": "chat.lobby",
            "messaging.destination.template": "chat.>", "messaging.message.id": "a-7",
            "network.protocol.name": "http",
        }  # fmt: skip
        assert {key: publish.resource[key] for key in ("service.name", "service.instance.id")} == {
            "service.name": "eventhub", "service.instance.id": "n1",
        }  # fmt: skip


@pytest.mark.parametrize(
    "attributes", [None, {"source": "s"}, {"source": "s", "traceparent": "nonsense"}]
)
def test_a_publish_without_a_context_is_given_one_if_it_is_sampled(
    attributes: dict[str, str] | None,
) -> None:
    with traced() as (node, collector):
        trace = node.publish(attributes)
        trace.end((receipt(),))
        node.stop()
        (span,) = collector.until(bool)
        assert (span.kind, span.parent_id) == (PRODUCER, "")
        version, trace_id, span_id, flags = trace.attributes["traceparent"].split("-")
        assert (version, trace_id, span_id, int(flags, 16) & 1) == (
            "00",
            span.trace_id,
            span.span_id,
            1,
        )
        assert {**trace.attributes, "traceparent": ""} == {**(attributes or {}), "traceparent": ""}


def test_the_switch_of_opentelemetry_turns_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with traced() as (node, _):
        assert node.telemetry.publish("chat.lobby", None, "http") is None
        assert node.telemetry.publish("chat.lobby", FOLLOWED, "http") is None


def test_what_is_not_sampled_is_not_traced_and_costs_no_span() -> None:
    with traced(sample=0.25) as (node, collector):
        node.chance = 0.25
        assert node.telemetry.publish("chat.a", None, "http") is None
        node.chance = 0.0
        assert node.telemetry.publish("chat.a", UNSAMPLED, "http") is None, (
            "its producer has decided"
        )
        node.telemetry.fanned_out(
            "chat.a", [event(1), event(2, UNSAMPLED), event(3, {"traceparent": "x"})], 0.1, 5
        )
        node.stop()
        assert collector.requests == 0
    assert node.dropped == 0


def test_a_share_of_none_and_of_all() -> None:
    with traced(sample=0) as (node, _):
        assert node.telemetry.publish("chat.a", None, "http") is None
    with traced(sample=1) as (node, _):
        node.chance = 0.999
        node.publish().end(())


@pytest.mark.parametrize(
    ("outcomes", "failed", "attributes"),
    [
        ((InvalidEvent("no"),), True, {"error.type": "invalid_event"}),
        ((receipt(), receipt(2)), False, {"messaging.batch.message_count": 2}),
        (
            (receipt(), InvalidEvent("no")),
            False,
            {"messaging.batch.message_count": 2, "eventhub.rejected": 1},
        ),
        (
            (InvalidEvent("no"), InvalidEvent("no")),
            True,
            {"messaging.batch.message_count": 2, "error.type": "invalid_event"},
        ),
    ],
)
def test_a_publish_says_what_became_of_its_events(
    *, outcomes: tuple[Receipt | EventHubError, ...], failed: bool, attributes: dict[str, object]
) -> None:
    with traced() as (node, collector):
        node.publish().end(outcomes)
        node.stop()
        (span,) = collector.until(bool)
        assert span.failed == failed
        said = {
            key: value
            for key, value in span.attributes.items()
            if key not in ("network.protocol.name", "messaging.system")
        }
        assert {
            key: value
            for key, value in said.items()
            if not key.startswith(("messaging.op", "messaging.dest"))
        } == attributes


def test_a_broker_that_is_away_shows_in_the_store_span() -> None:
    with traced() as (node, collector):
        trace = node.publish()
        error = BrokerUnavailable("away")
        trace.stored(time.time_ns(), error)
        trace.end((error,))
        node.stop()
        assert [
            (span.failed, span.attributes["error.type"])
            for span in collector.until(lambda spans: len(spans) == 2)
        ] == [
            (True, "broker_unavailable"),
            (True, "broker_unavailable"),
        ]


def test_a_fan_out_is_a_span_for_each_trace_among_its_events() -> None:
    other = {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"}
    with traced() as (node, collector):
        node.telemetry.fanned_out(
            "chat.lobby",
            [event(1, FOLLOWED), event(2), event(3, other), event(4, FOLLOWED)],
            0.25,
            5,
        )
        node.stop()
        first, second = collector.until(lambda spans: len(spans) == 2)
        assert (first.name, first.kind, first.trace_id, first.parent_id) == (
            "deliver chat.>",
            CONSUMER,
            TRACE,
            SPAN,
        )
        assert (
            first.attributes["messaging.batch.message_count"],
            first.attributes["eventhub.subscribers"],
        ) == (2, 5)
        assert (second.trace_id, second.attributes["messaging.message.id"]) == ("1" * 32, "a-3")
        assert first.end - first.begin >= 250_000_000


def test_the_spans_of_one_fan_out_are_bounded_and_the_rest_is_counted() -> None:
    with traced() as (node, collector):
        events = [
            event(number, {"traceparent": f"00-{number:032x}-{SPAN}-01"})
            for number in range(1, TRACES + 11)
        ]
        node.telemetry.fanned_out("chat.lobby", events, 0, 1)
        node.stop()
        assert len(collector.until(bool)) == TRACES
    assert node.dropped == 10


def test_no_span_holds_a_payload() -> None:
    with traced() as (node, collector):
        trace = node.publish(FOLLOWED)
        trace.end((InvalidEvent("shows 'a payload'", [{"pointer": "", "message": "a payload"}]),))
        node.telemetry.fanned_out("chat.lobby", [event(1, FOLLOWED)], 0, 1)
        node.stop()
        collector.until(lambda spans: len(spans) == 2)
        assert b"payload" not in collector.raw


# A collector that does not take them


def test_a_queue_that_is_full_drops_and_counts_and_nobody_waits() -> None:
    with Collector() as collector:
        collector.gate.clear()
        node = Node(collector.url)
        for _ in range(QUEUE_SPANS + 1000):
            if (trace := node.telemetry.publish("chat.a", None, "http")) is not None:
                trace.end((receipt(),))
        made = QUEUE_SPANS + 1000 - node.dropped
        assert QUEUE_SPANS <= made <= QUEUE_SPANS + BATCH_SPANS, (
            "what is being sent has left the queue"
        )
        collector.gate.set()
        node.stop()
        assert len(collector.until(lambda spans: len(spans) == made)) == made


def test_a_collector_that_refuses_is_told_of_once_and_its_return_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exporter_batches: list[int] = []
    with Collector() as collector, structlog.testing.capture_logs() as lines:
        collector.status = 400  # which is not tried again
        node = Node(collector.url)
        for _ in range(3):
            node.publish().end((receipt(),))
            node.telemetry._queue._queue.force_flush()  # type: ignore[union-attr]
            exporter_batches.append(collector.requests)
        collector.status = 200
        node.publish().end((receipt(),))
        node.stop()
    assert exporter_batches == [1, 2, 3]
    assert node.dropped == 3
    assert [line["event"] for line in lines] == ["spans_not_taken", "spans_taken"]


def test_a_collector_that_is_not_there_holds_the_end_up_for_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FLUSH_SECONDS", 0.3)
    with Collector() as collector, structlog.testing.capture_logs() as lines:
        collector.gate.clear()
        node = Node(collector.url)
        node.publish().end((receipt(),))
        node.stop()
        assert node.telemetry.publish("chat.a", None, "http") is None, (
            "nothing is traced after the end"
        )
    assert [line["event"] for line in lines] == ["spans_not_sent"]


def test_nothing_is_traced_and_no_thread_runs_before_the_start() -> None:
    before = set(threading.enumerate())
    telemetry = Telemetry(
        TracingSettings(endpoint="http://127.0.0.1:9"), lambda count: None, lambda: 0.0
    )
    assert telemetry.publish("chat.a", None, "http") is None
    telemetry.fanned_out("chat.a", [event(1, FOLLOWED)], 0, 1)
    asyncio.run(telemetry.stop())
    assert set(threading.enumerate()) <= before
