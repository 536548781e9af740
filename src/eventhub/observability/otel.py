"""Makes spans and exports them over OTLP/HTTP.

Imported only where tracing is configured, because it needs the OpenTelemetry SDK. Names and kinds
follow OpenTelemetry's semantic conventions for messaging spans. No span holds a payload.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    TraceFlags,
    Tracer,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from eventhub import __version__
from eventhub.common.daemon_thread import run_in_daemon_thread
from eventhub.config.sections import TracingSettings
from eventhub.events.event import Event
from eventhub.observability.publish_span import TracedPublish
from eventhub.observability.span_export import BoundedSpanQueue, CountingExporter, Dropped
from eventhub.observability.tracing import (
    Attributes,
    TraceParent,
    may_be_sampled,
    parent_of,
)

EXPORT_SECONDS = 5
"""Seconds for one batch, including retries."""
FLUSH_SECONDS = 2.0
"""Seconds at shutdown for the remaining spans."""
TRACES = 32
"""Most spans of one fan-out, one for each trace. More would block the event loop, so they are
dropped and counted.
"""

log = structlog.get_logger("eventhub.tracing")


class Telemetry:
    """The traces of this node. Nothing is traced before `start`.

    `dropped` counts lost spans. `chance` returns numbers from 0 to 1; the setting `sample` is the
    share of publishes that begin a trace of their own.
    """

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
        """Begin to trace as this node. Starts a thread, so it must not be called before a fork."""
        exporter = CountingExporter(
            OTLPSpanExporter(self._endpoint, timeout=EXPORT_SECONDS), self._endpoint, self._dropped
        )
        # These log each failed batch and each connection.
        for name in ("opentelemetry", "urllib3"):
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
        """Send the remaining spans, for FLUSH_SECONDS at most."""
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

    def publish(self, channel: str, attributes: Attributes, transport: str) -> TracedPublish | None:
        """Continue the trace of a sampled parent. Without a parent, begin a share of traces."""
        chosen = self._chance() < self._share
        if not chosen and not may_be_sampled(attributes):
            return None
        parent = parent_of(attributes)
        if not (chosen if parent is None else parent.sampled):
            return None
        if self._tracer is None or self._count_if_full():
            return None
        # PRODUCER: the events carry the context of this span.
        kind = SpanKind.SERVER if parent is not None else SpanKind.PRODUCER
        span = self._start_span("publish", "send", kind, channel, 0, parent)
        if not span.is_recording():  # OTEL_SDK_DISABLED
            return None
        span.set_attribute("network.protocol.name", transport)
        return TracedPublish(self._tracer, span, attributes or {}, parent)

    def fanned_out(
        self, channel: str, events: Sequence[Event], seconds: float, subscribers: int
    ) -> None:
        """Make a span for each trace among the events."""
        traces = _by_trace(events)
        if not traces or self._tracer is None:
            return
        if len(traces) > TRACES:
            self._dropped(len(traces) - TRACES)
        begin = time.time_ns() - round(seconds * 1e9)
        for parent, own in list(traces.items())[:TRACES]:
            if self._count_if_full():
                return
            span = self._start_span("deliver", "process", SpanKind.CONSUMER, channel, begin, parent)
            span.set_attributes({**_event_attributes(own), "eventhub.subscribers": subscribers})
            span.end()

    def _count_if_full(self) -> bool:
        """If the queue is full, count a dropped span instead of making one."""
        if self._queue is not None and self._queue.full:
            self._dropped(1)
            return True
        return False

    def _start_span(
        self,
        name: str,
        operation_type: str,
        kind: SpanKind,
        channel: str,
        begin: int,
        parent: TraceParent | None,
    ) -> Span:
        """Start a span. `begin` is in nanoseconds since the Unix epoch; 0 means now."""
        assert self._tracer is not None
        template = f"{channel.partition('.')[0]}.>"
        attributes: dict[str, AttributeValue] = {
            "messaging.system": "eventhub",
            "messaging.operation.name": name,
            "messaging.operation.type": operation_type,
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


def _by_trace(events: Sequence[Event]) -> dict[TraceParent, list[Event]]:
    """Return the sampled events by their trace context."""
    traces: dict[TraceParent, list[Event]] = {}
    for event in events:
        if not may_be_sampled(event.attributes):
            continue
        if (parent := parent_of(event.attributes)) is not None and parent.sampled:
            traces.setdefault(parent, []).append(event)
    return traces


def _event_attributes(events: Sequence[Event]) -> dict[str, AttributeValue]:
    if len(events) == 1:
        return {"messaging.message.id": str(events[0].position)}
    return {"messaging.batch.message_count": len(events)}


def _context_of(parent: TraceParent) -> SpanContext:
    return SpanContext(
        int(parent.trace_id, 16),
        int(parent.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(parent.flags),
    )
