"""Spans, exported over OTLP/HTTP: the one module that knows the OpenTelemetry SDK, and is imported only where tracing is configured.

Names and kinds follow OpenTelemetry's semantic conventions for messaging spans. No span holds a payload.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from eventhub import __version__
from eventhub.common.daemon_thread import run_in_daemon_thread
from eventhub.config.sections import TracingSettings
from eventhub.errors import EventHubError
from eventhub.events.event import Event, Receipt
from eventhub.observability.tracing import (
    TRACEPARENT,
    Attributes,
    TraceParent,
    may_be_sampled,
    parent_of,
)

QUEUE_SPANS = 2048
"""Spans waiting for the collector. When it is full, new ones are dropped and counted."""
BATCH_SPANS = 512
EXPORT_SECONDS = 5
"""For one batch, with what it is tried again."""
FLUSH_SECONDS = 2.0
"""At shutdown, for what is left."""
TRACES = 32
"""Told apart in one fan-out: beyond it spans are dropped and counted, as making them holds the
loop.
"""

log = structlog.get_logger("eventhub.tracing")

Dropped = Callable[[int], None]
"""Called from any thread with a number of spans."""


class Exporter(SpanExporter):
    """Tells once that a collector does not take spans, and once that it does again, where the SDK would with each batch."""

    def __init__(self, exporter: SpanExporter, endpoint: str, dropped: Dropped) -> None:
        self._exporter, self._endpoint, self._dropped = exporter, endpoint, dropped
        self._failing = False
        self._context = (
            copy_context()
        )  # of the process, whose lines may have fields of its own; threads begin without
        self.taken = 0
        """Spans that left the queue."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """In the SDK's thread."""
        self.taken += len(spans)
        result = self._exporter.export(spans)
        if failed := result is not SpanExportResult.SUCCESS:
            self._dropped(len(spans))
        if failed != self._failing:
            self._failing = failed
            if failed:
                self._context.run(log.warning, "spans_not_taken", endpoint=self._endpoint)
            else:
                self._context.run(log.info, "spans_taken", endpoint=self._endpoint)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


class BoundedSpanQueue(SpanProcessor):
    """The SDK's queue and thread. What is dropped is counted, which it would only log; only the loop's thread gives it spans."""

    def __init__(self, exporter: Exporter, dropped: Dropped) -> None:
        self._exporter, self._dropped = exporter, dropped
        self._queue = BatchSpanProcessor(exporter, QUEUE_SPANS, max_export_batch_size=BATCH_SPANS)
        self._given = 0

    @property
    def full(self) -> bool:
        """It takes no more."""
        return self._given - self._exporter.taken >= QUEUE_SPANS

    def on_end(self, span: ReadableSpan) -> None:
        if self.full:
            self._dropped(1)
            return
        self._given += 1
        self._queue.on_end(span)

    def shutdown(self) -> None:
        """Send what is left, however long it takes."""
        self._queue.shutdown()  # type: ignore[no-untyped-call]  # the SDK has no annotation there


class Telemetry:
    """The traces of this node. `node` is its id, `share` of publishes begin a trace of their own; nothing is traced before `start`."""

    def __init__(
        self,
        settings: TracingSettings,
        dropped: Dropped,
        chance: Callable[[], float] = random.random,
    ) -> None:
        assert settings.endpoint is not None
        self._endpoint = settings.endpoint.rstrip("/") + "/v1/traces"
        self._share = settings.sample
        self._dropped, self._chance = dropped, chance
        self._tracer: Tracer | None = None
        self._queue: BoundedSpanQueue | None = None

    def start(self, node: str) -> None:
        """Begin. It starts a thread, so not before a fork."""
        exporter = Exporter(
            OTLPSpanExporter(self._endpoint, timeout=EXPORT_SECONDS), self._endpoint, self._dropped
        )
        for name in (
            "opentelemetry",
            "urllib3",
        ):  # which log each failed batch, and each connection
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._queue = BoundedSpanQueue(exporter, self._dropped)
        own = Resource(
            {
                "service.name": "eventhub",
                "service.version": __version__,
                "service.instance.id": node,
            }
        )
        provider = TracerProvider(
            ALWAYS_ON, own.merge(OTELResourceDetector().detect()), shutdown_on_exit=False
        )
        provider.add_span_processor(self._queue)
        self._tracer = provider.get_tracer("eventhub", __version__)

    async def stop(self) -> None:
        """Send what is left, for FLUSH_SECONDS at most."""
        if (queue := self._queue) is None:
            return
        self._tracer = self._queue = None
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await asyncio.wrap_future(run_in_daemon_thread(queue.shutdown, "spans"))
        except TimeoutError:
            log.warning(
                "spans_not_sent",
                reason=f"the collector did not take them within {FLUSH_SECONDS:g} seconds",
            )

    def publish(
        self, channel: str, attributes: Attributes, transport: str
    ) -> "TracedPublish | None":
        """Follow a sampled parent; without a parent, begin a share of traces."""
        lucky = self._chance() < self._share
        if not lucky and not may_be_sampled(attributes):
            return None
        parent = parent_of(attributes)
        if not (lucky if parent is None else parent.sampled):
            return None
        if self._tracer is None or self._full():
            return None
        kind = (
            SpanKind.SERVER if parent is not None else SpanKind.PRODUCER
        )  # PRODUCER: events carry its context
        span = self._span("publish", "send", kind, channel, 0, parent)
        if not span.is_recording():  # OTEL_SDK_DISABLED
            return None
        span.set_attribute("network.protocol.name", transport)
        return TracedPublish(self._tracer, span, attributes or {}, parent)

    def fanned_out(
        self, channel: str, events: Sequence[Event], seconds: float, subscribers: int
    ) -> None:
        """A span for each trace among the events."""
        traced: dict[TraceParent, list[Event]] = {}
        for event in events:
            if (
                may_be_sampled(event.attributes)
                and (parent := parent_of(event.attributes)) is not None
                and parent.sampled
            ):
                traced.setdefault(parent, []).append(event)
        if not traced or self._tracer is None:
            return
        if len(traced) > TRACES:
            self._dropped(len(traced) - TRACES)
        begin = time.time_ns() - round(seconds * 1e9)
        for parent, own in list(traced.items())[:TRACES]:
            if self._full():
                return
            span = self._span("deliver", "process", SpanKind.CONSUMER, channel, begin, parent)
            span.set_attributes({**_counted(own), "eventhub.subscribers": subscribers})
            span.end()

    def _full(self) -> bool:
        """There is no room: no span is made that would be dropped."""
        if self._queue is not None and self._queue.full:
            self._dropped(1)
            return True
        return False

    def _span(
        self,
        name: str,
        kind_of_operation: str,
        kind: SpanKind,
        channel: str,
        begin: int,
        parent: TraceParent | None,
    ) -> Span:
        assert self._tracer is not None
        template = f"{channel.partition('.')[0]}.>"
        attributes: dict[str, AttributeValue] = {
            "messaging.system": "eventhub",
            "messaging.operation.name": name,
            "messaging.operation.type": kind_of_operation,
            "messaging.destination.name": channel,
            "messaging.destination.template": template,
        }
        context = (
            set_span_in_context(NonRecordingSpan(_context_of(parent)))
            if parent is not None
            else None
        )
        return self._tracer.start_span(
            f"{name} {template}", context, kind, attributes, start_time=begin or None
        )


class TracedPublish:
    """A publish with its span."""

    __slots__ = ("_span", "_tracer", "attributes")

    def __init__(
        self, tracer: Tracer, span: Span, attributes: Mapping[str, str], parent: TraceParent | None
    ) -> None:
        self._tracer, self._span = tracer, span
        self.attributes = (
            attributes
            if parent is not None
            else {**attributes, TRACEPARENT: _text_of(span.get_span_context())}
        )

    def stored(self, begin: int, error: EventHubError | None) -> None:
        context = set_span_in_context(self._span)
        span = self._tracer.start_span("store", context, SpanKind.INTERNAL, start_time=begin)
        if error is not None:
            _fail(span, error)
        span.end()

    def end(self, outcomes: Sequence[Receipt | EventHubError]) -> None:
        receipts = [outcome for outcome in outcomes if isinstance(outcome, Receipt)]
        if len(outcomes) != 1:
            self._span.set_attribute("messaging.batch.message_count", len(outcomes))
        elif receipts:
            self._span.set_attribute("messaging.message.id", str(receipts[0].position))
        error = next((outcome for outcome in outcomes if isinstance(outcome, EventHubError)), None)
        if error is not None and not receipts:
            _fail(self._span, error)
        elif error is not None:
            self._span.set_attribute("eventhub.rejected", len(outcomes) - len(receipts))
        self._span.end()


def _counted(events: Sequence[Event]) -> dict[str, AttributeValue]:
    if len(events) == 1:
        return {"messaging.message.id": str(events[0].position)}
    return {"messaging.batch.message_count": len(events)}


def _fail(span: Span, error: EventHubError) -> None:
    span.set_attribute("error.type", error.code)
    span.set_status(
        Status(StatusCode.ERROR)
    )  # without the message, which may show a stranger's words


def _context_of(parent: TraceParent) -> SpanContext:
    return SpanContext(
        int(parent.trace_id, 16),
        int(parent.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(parent.flags),
    )


def _text_of(context: SpanContext) -> str:
    """A traceparent of version 00 (W3C Trace Context, 3.2.2)."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
