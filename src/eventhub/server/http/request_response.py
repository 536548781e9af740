"""One request and its answer: turns ASGI messages into bytes of HTTP/1.1 (RFC 9112)."""

import asyncio
from collections.abc import Callable, Iterable
from http import HTTPStatus

import structlog
from starlette.types import ASGIApp, Message, Scope

from eventhub.errors import EventHubError, Internal
from eventhub.server.http.flow_control import FlowControl
from eventhub.server.http.response_transport import ResponseTransport
from eventhub.server.messages.asgi_extensions import HALF_CLOSED
from eventhub.server.messages.problem import send_problem

BODYLESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
UNKNOWN = -1
"""The length of an answer's body is not known."""

log = structlog.get_logger("eventhub.http")


class RequestResponse:
    """The ASGI `receive` and `send` of one request.

    The head of the answer decides its framing: Content-Length, chunks, or for HTTP/1.0 the end of
    the connection. When the rest of the request's body cannot come, `receive` raises `fault`, and
    the application answers.
    """

    __slots__ = (
        "_awaits_continue", "_body_left", "_changed", "_chunked", "_default_headers", "_done",
        "_end_received", "_flow", "_half_closed", "_head_only", "_transport", "body",
        "disconnected", "fault", "keep_alive", "more_body", "response_begun", "response_complete",
        "scope",
    )  # fmt: skip

    def __init__(
        self,
        scope: Scope,
        transport: ResponseTransport,
        flow: FlowControl,
        default_headers: Iterable[tuple[bytes, bytes]],
        done: Callable[[], None],
    ) -> None:
        self.scope = scope
        self.keep_alive = False
        """The connection stays open behind the answer."""
        self.body = bytearray()
        self.more_body = True
        self.fault: EventHubError | None = None
        self.disconnected = False
        self.response_begun = False
        self.response_complete = False
        self._transport = transport
        self._flow = flow
        self._default_headers = default_headers
        self._done = done
        self._awaits_continue = False
        self._half_closed = False
        self._end_received = False  # the application has been told that the body is complete
        self._changed = asyncio.Event()
        self._head_only = scope["method"] == "HEAD"
        self._chunked = False
        self._body_left = 0  # bytes of the answer's body that must follow

    def expect_continue(self) -> None:
        """The client waits for 100 before it sends the body (RFC 9110, 10.1.1)."""
        self._awaits_continue = True

    def start(self) -> bool:
        """Whether it is answered without a task: never."""
        return False

    async def run(self, app: ASGIApp, ran: Callable[[], None]) -> None:
        """Let the application answer. If it does not, send an error or close the connection.

        `ran` is called as soon as this runs.
        """
        ran()
        try:
            await app(self.scope, self.receive, self.send)
        except Exception:
            log.exception("request_failed", path=self.scope["path"])
        finally:
            if not self.response_complete and not self.disconnected:
                await self._fail()
            self._done = _nothing  # it refers to the connection, which refers to this

    # Input: the connection

    def body_changed(self) -> None:
        """More of the body came, or its end."""
        self._changed.set()

    def half_closed(self) -> None:
        """The client sends no more. It may still read."""
        self._half_closed = True
        self._changed.set()

    def fail_body(self, fault: EventHubError) -> None:
        """The rest of the body cannot come: `receive` raises this error."""
        self.keep_alive = False
        self.fault = fault
        self._changed.set()

    def disconnect(self) -> None:
        """The connection has closed."""
        self.disconnected = not self.response_complete
        self._changed.set()

    # The application's side

    async def receive(self) -> Message:
        """The next part of the body, once its end, and then what happens to the connection.

        Raises `fault`.
        """
        if self._awaits_continue:
            self._awaits_continue = False
            # a client that has sent some of the body did not wait
            if self.more_body and not self.body and not self._transport.is_closing():
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if not self.disconnected and not self.response_complete:
            self._flow.resume_reading()
            if not self._changed.is_set():
                await self._changed.wait()
            self._changed.clear()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        if self.fault is not None:
            if not self.body:
                self._changed.set()  # the next call raises it again
                raise self.fault
            self._changed.set()
        # the end of the body comes first, even without a byte
        elif self._half_closed and self._end_received:
            self._half_closed = False
            return {"type": HALF_CLOSED}
        elif self._half_closed:
            self._changed.set()
        self._end_received = not self.more_body
        body, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: Message) -> None:
        """Send the answer's head, or a part of its body."""
        if self._flow.write_paused and not self.disconnected:
            await self._flow.drain()
        if self.disconnected:
            return
        is_head = message["type"] == "http.response.start"
        if self.response_complete or is_head is self.response_begun:
            raise RuntimeError(f"{message['type']} does not come here")
        if self.response_begun:
            self._send_body(message.get("body", b""), more=message.get("more_body", False))
        else:
            self._send_head(
                message["status"], [*self._default_headers, *message.get("headers", ())]
            )

    def _send_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.response_begun = True
        if self._awaits_continue and self.more_body and not self.body:
            # the client decides whether it sends that body or its next request
            self.keep_alive = False
        length, connection = None, b""
        lines = [STATUS_LINES[status]]
        for name, value in headers:
            if name == b"content-length":
                length = int(value)
            elif name == b"connection":
                connection = value.lower()
            lines.append(b"%b: %b\r\n" % (name, value))
        old = self.scope["http_version"] == "1.0"
        if self._head_only or status in BODYLESS:
            self._body_left = 0
        elif length is not None:
            self._body_left = length
        # HTTP/1.0 has no chunks (RFC 9112, 6.1): the end of the connection ends the answer
        elif old:
            self._body_left, self.keep_alive = UNKNOWN, False
        else:
            self._body_left, self._chunked = UNKNOWN, True
            lines.append(b"transfer-encoding: chunked\r\n")
        if b"close" in connection:
            self.keep_alive = False
        elif not self.keep_alive:
            lines.append(b"connection: close\r\n")
        elif old:
            lines.append(b"connection: keep-alive\r\n")
        head = b"".join(lines)
        if head.count(b"\n") != len(lines):
            raise RuntimeError("a header of the answer holds a line break")
        self._transport.write(head + b"\r\n")

    def _send_body(self, body: bytes, *, more: bool) -> None:
        if self._head_only:
            pass
        elif self._chunked:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            self._transport.write(chunk if more else chunk + b"0\r\n\r\n")
        else:
            if self._body_left != UNKNOWN:
                self._body_left -= len(body)
                if self._body_left < 0 or (self._body_left and not more):
                    raise RuntimeError("the answer's body has another length than its head says")
            self._transport.write(body)
        if not more:
            self.response_complete = True
            self._changed.set()
            if not self.keep_alive:
                self._transport.close()
            self._done()

    async def _fail(self) -> None:
        if self.response_begun:
            self._transport.close()
        else:
            await send_problem(self.send, Internal("a fault of the server; its log says more"))


def _nothing() -> None:
    """Do nothing: the answer is complete."""
