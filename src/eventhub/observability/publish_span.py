"""The spans of one traced publish.

Imported only where tracing is configured, because it needs the OpenTelemetry SDK.
"""

from collections.abc import Mapping, Sequence

from opentelemetry.trace import (
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    set_span_in_context,
)

from eventhub.errors import EventHubError
from eventhub.events.event import Receipt
from eventhub.observability.tracing import TRACEPARENT, TraceParent


class TracedPublish:
    """Implements PublishSpan with a span of OpenTelemetry."""

    __slots__ = ("_span", "_tracer", "attributes")

    def __init__(
        self, tracer: Tracer, span: Span, attributes: Mapping[str, str], parent: TraceParent | None
    ) -> None:
        self._tracer, self._span = tracer, span
        self.attributes = (
            attributes
            if parent is not None
            else {**attributes, TRACEPARENT: _traceparent_of(span.get_span_context())}
        )

    def stored(self, begin: int, error: EventHubError | None) -> None:
        context = set_span_in_context(self._span)
        span = self._tracer.start_span("store", context, SpanKind.INTERNAL, start_time=begin)
        if error is not None:
            _set_error(span, error)
        span.end()

    def end(self, outcomes: Sequence[Receipt | EventHubError]) -> None:
        receipts = [outcome for outcome in outcomes if isinstance(outcome, Receipt)]
        if len(outcomes) != 1:
            self._span.set_attribute("messaging.batch.message_count", len(outcomes))
        elif receipts:
            self._span.set_attribute("messaging.message.id", str(receipts[0].position))
        error = next((outcome for outcome in outcomes if isinstance(outcome, EventHubError)), None)
        if error is not None and not receipts:
            _set_error(self._span, error)
        elif error is not None:
            self._span.set_attribute("eventhub.rejected", len(outcomes) - len(receipts))
        self._span.end()


def _set_error(span: Span, error: EventHubError) -> None:
    """Mark the span as failed. It does not get the message, which may quote a client's input."""
    span.set_attribute("error.type", error.code)
    span.set_status(Status(StatusCode.ERROR))


def _traceparent_of(context: SpanContext) -> str:
    """Return a traceparent of version 00 (W3C Trace Context, 3.2.2)."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
