"""Sends spans to the collector from a bounded queue, and counts the spans that are lost.

Imported only where tracing is configured, because it needs the OpenTelemetry SDK.
"""

from collections.abc import Callable, Sequence
from contextvars import copy_context

import structlog
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

QUEUE_SPANS = 2048
"""Spans waiting for the collector. When the queue is full, new spans are dropped and counted."""
BATCH_SPANS = 512

log = structlog.get_logger("eventhub.tracing")

Dropped = Callable[[int], None]
"""Called from any thread with a number of lost spans."""


class CountingExporter(SpanExporter):
    """Counts spans that the collector refuses.

    It logs once when the collector stops taking spans and once when it takes them again. The SDK
    would log every batch.
    """

    def __init__(self, exporter: SpanExporter, endpoint: str, dropped: Dropped) -> None:
        self._exporter, self._endpoint, self._dropped = exporter, endpoint, dropped
        self._failing = False
        # Log lines may use context variables of the process, which a new thread does not have.
        self._context = copy_context()
        self.exported = 0
        """Spans that left the queue."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch. Called in the SDK's thread."""
        self.exported += len(spans)
        result = self._exporter.export(spans)
        failed = result is not SpanExportResult.SUCCESS
        if failed:
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
    """The SDK's queue and thread. Counts dropped spans, which the SDK would only log.

    Spans are added from the event loop's thread only.
    """

    def __init__(self, exporter: CountingExporter, dropped: Dropped) -> None:
        self._exporter, self._dropped = exporter, dropped
        self._queue = BatchSpanProcessor(exporter, QUEUE_SPANS, max_export_batch_size=BATCH_SPANS)
        self._added = 0

    @property
    def full(self) -> bool:
        """Whether the queue takes no more spans."""
        return self._added - self._exporter.exported >= QUEUE_SPANS

    def on_end(self, span: ReadableSpan) -> None:
        if self.full:
            self._dropped(1)
            return
        self._added += 1
        self._queue.on_end(span)

    def shutdown(self) -> None:
        """Send the remaining spans, however long it takes."""
        self._queue.shutdown()  # type: ignore[no-untyped-call]  # the SDK has no annotation there
