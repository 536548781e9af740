"""Publishes that are answered at once have the spans of all others."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from eventhub.config.sections import LogSettings
from eventhub.errors import EventHubError
from eventhub.events.event import Earliest, Event, NewEvent, Receipt
from eventhub.observability.tracing import Attributes, GuardedTracing
from eventhub.server.connections.access_log import AccessLog
from eventhub.server.publish.fast_path import PublishFastPath
from tests.harness.loop import in_loop
from tests.unit.server.publish.fast_path_node import EVENT, Node

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CONTEXT = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}


class Span:
    """Notes what it is told."""

    attributes: Mapping[str, str] = CONTEXT

    def __init__(self) -> None:
        self.told: list[str] = []

    def stored(self, begin: int, error: EventHubError | None) -> None:
        assert begin > 0
        self.told.append(f"stored {error.code if error else 'good'}")

    def end(self, outcomes: Sequence[Receipt | EventHubError]) -> None:
        words = [one.code if isinstance(one, EventHubError) else "good" for one in outcomes]
        self.told.append(f"end {' '.join(words)}")


class Spans:
    """Tracing that samples while it is `on`, and counts how often it is asked."""

    def __init__(self) -> None:
        self.on = True
        self.asked: list[tuple[str, Attributes, str]] = []
        self.spans: list[Span] = []

    def publish(self, channel: str, attributes: Attributes, transport: str) -> Span | None:
        self.asked.append((channel, attributes, transport))
        if not self.on:
            return None
        self.spans.append(Span())
        return self.spans[-1]

    def fanned_out(
        self, channel: str, events: Sequence[Event], seconds: float, subscribers: int
    ) -> None: ...

    @property
    def told(self) -> list[list[str]]:
        return [span.told for span in self.spans]


class Traced(Node):
    """A node with tracing."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.tracing = Spans()
        hub = self.manager.hub
        hub.tracing = GuardedTracing(self.tracing, hub.faults)
        self.fast_path = PublishFastPath(self.manager)

    async def attributes(self) -> list[Attributes]:
        page = await self.manager.hub.history("chat.a", Earliest(), 100)
        return [event.attributes for event in page.events]


@in_loop
async def test_a_sampled_event_has_the_context_and_its_spans() -> None:
    node = Traced()
    assert node.publish().status == 201
    assert node.tracing.asked == [("chat.a", None, "http")]
    assert node.tracing.told == [["stored good", "end good"]]
    assert await node.attributes() == [CONTEXT]


@in_loop
async def test_an_event_that_is_not_sampled_has_none_even_with_the_same_request() -> None:
    node = Traced()
    request = node.request()
    node.publish(request=request)
    node.tracing.on = False
    node.publish(request=request)
    assert len(node.tracing.asked) == 2
    assert node.tracing.told == [["stored good", "end good"]]
    assert await node.attributes() == [CONTEXT, None]
    assert not request.is_traced


@in_loop
async def test_an_array_is_one_publish_with_an_outcome_for_each_event() -> None:
    node = Traced()
    assert node.publish(b"[%b,%b]" % (EVENT, EVENT)).status == 201
    assert node.tracing.told == [["stored good", "end good good"]]
    assert await node.attributes() == [CONTEXT, CONTEXT]


@in_loop
async def test_a_refused_event_ends_the_span_with_its_error_and_was_not_stored() -> None:
    node = Traced()
    assert node.publish(b"{").status == 400
    assert node.tracing.told == [["end invalid_json"]]


@in_loop
async def test_an_array_that_goes_another_way_is_asked_about_there_alone() -> None:
    node = Traced()
    assert node.try_publish(b'[%b,{"no":1}]' % EVENT) is None
    assert node.tracing.asked == []


@in_loop
async def test_what_the_broker_refuses_is_the_outcome() -> None:
    node = Traced()
    node.publish(key=b'"k"')
    assert node.publish(b'{"sender":"ana","text":"other"}', b'"k"').status == 422
    assert node.tracing.told[1:] == [["stored good", "end idempotency_conflict"]]


@in_loop
async def test_a_fault_of_the_broker_ends_both_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Traced()

    def broken(_: NewEvent) -> Receipt:
        raise ZeroDivisionError

    monkeypatch.setattr(node.manager.hub, "publish_now", broken)
    with capture_logs() as lines:
        assert node.publish().status == 500
    assert node.tracing.told == [["stored internal", "end internal"]]
    assert [line["trace_id"] for line in lines if "trace_id" in line] == [TRACE]


@in_loop
async def test_a_line_of_the_access_log_names_the_trace_if_there_is_one() -> None:
    node = Traced()
    node.manager.access_log = AccessLog(LogSettings(access=True))
    node.fast_path = PublishFastPath(node.manager)
    with capture_logs() as lines:
        node.publish()
        node.tracing.on = False
        node.publish()
    assert [line.get("trace_id") for line in lines] == [TRACE, None]
