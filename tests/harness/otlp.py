"""A collector for tests: takes OTLP over HTTP and reads it with the protocol's own messages
(opentelemetry-proto).
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.harness.eventually import SECONDS


@dataclass(frozen=True, slots=True)
class Span:
    """What was received of one. Ids are lower-case hex, `resource` and `attributes` plain values,
    times nanoseconds.
    """

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    begin: int
    end: int
    failed: bool
    attributes: dict[str, Any]
    resource: dict[str, Any] = field(repr=False)


class Collector:
    """Listens on a port of its own. `status` other than 200 refuses; `gate` holds requests back
    while it is clear.
    """

    def __init__(self) -> None:
        self.status = 200
        self.gate = threading.Event()
        self.gate.set()
        self.requests = 0
        self.raw = b""
        self._spans: list[Span] = []
        self._heard = threading.Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.gate.wait(SECONDS)
                collector._take(self.path, self.headers["content-type"], body)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(collector.status)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def until(self, enough: Callable[[list[Span]], bool]) -> list[Span]:
        """All spans received, once there are enough."""
        with self._heard:
            assert self._heard.wait_for(lambda: enough(self._spans), SECONDS), (
                f"waited {SECONDS} s for spans; received: {self._spans}"
            )
            return list(self._spans)

    def trace(self, trace_id: str, count: int) -> list[Span]:
        """The spans of one trace, once there are so many."""
        found = self.until(lambda spans: sum(span.trace_id == trace_id for span in spans) >= count)
        return [span for span in found if span.trace_id == trace_id]

    def _take(self, path: str, media_type: str, body: bytes) -> None:
        assert (path, media_type) == ("/v1/traces", "application/x-protobuf")
        with self._heard:
            self.requests += 1
            self.raw += body
            if self.status == 200:
                self._spans += _spans(ExportTraceServiceRequest.FromString(body))
            self._heard.notify_all()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()


def _spans(request: Any) -> list[Span]:
    return [
        Span(
            span.name, span.kind, span.trace_id.hex(), span.span_id.hex(),
            span.parent_span_id.hex(), span.start_time_unix_nano,
            span.end_time_unix_nano, span.status.code == 2, _plain(span.attributes),
            _plain(of.resource.attributes),
        )
        for of in request.resource_spans
        for scope in of.scope_spans
        for span in scope.spans
    ]  # fmt: skip


def _plain(attributes: Any) -> dict[str, Any]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in attributes}
