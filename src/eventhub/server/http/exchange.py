"""One request and its answer: what an ASGI application receives and sends, as bytes on the connection."""

import asyncio
from collections.abc import Callable, Iterable
from http import HTTPStatus

import structlog
from starlette.types import ASGIApp, Message, Scope

from eventhub.errors import EventHubError, Internal
from eventhub.server.http.coalescing_transport import CoalescingTransport
from eventhub.server.http.flow_control import FlowControl
from eventhub.server.messages.asgi_extensions import HALF_CLOSED
from eventhub.server.messages.problem import send_problem

BODYLESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
UNKNOWN = -1
"""Length of an answer's body that nobody has said."""

log = structlog.get_logger("eventhub.http")


class Exchange:
    """The answer's framing is decided when it begins: its Content-Length, chunks, or for HTTP/1.0 the end of the connection.

    `receive` raises `fault`, an EventHubError, where the rest of the body cannot come: what is said of it is up to the application.
    """

    __slots__ = (
        "_chunked", "_date", "_done", "_ended", "_expects", "_flow", "_half_closed", "_head_only", "_left", "_news", "_transport",
        "begun", "body", "complete", "disconnected", "fault", "keep_alive", "more_body", "scope",
    )  # fmt: skip

    def __init__(
        self,
        scope: Scope,
        transport: CoalescingTransport,
        flow: FlowControl,
        date: Iterable[tuple[bytes, bytes]],
        done: Callable[[], None],
    ) -> None:
        self.scope = scope
        self.keep_alive = False
        """The connection goes on behind the answer."""
        self.body = bytearray()
        self.more_body = True
        self.fault: EventHubError | None = None
        self.disconnected = False
        self.begun = False
        self.complete = False
        self._transport = transport
        self._flow = flow
        self._date = date
        self._done = done
        self._expects = False
        self._half_closed = False
        self._ended = False  # the application has been told that the body is complete
        self._news = asyncio.Event()
        self._head_only = scope["method"] == "HEAD"
        self._chunked = False
        self._left = 0  # bytes of the answer's body that must follow

    def expect(self) -> None:
        """The client waits for 100 before it sends the body (RFC 9110, 10.1.1)."""
        self._expects = True

    async def run(self, app: ASGIApp, ran: Callable[[], None]) -> None:
        """Let the application answer. Whatever it does, the client gets an answer or the end of its connection.

        `ran` is called first: it runs.
        """
        ran()
        try:
            await app(self.scope, self.receive, self.send)
        except Exception:
            log.exception("request_failed", path=self.scope["path"])
        finally:
            if not self.complete and not self.disconnected:
                await self._fail()
            self._done = _nothing  # it knows us

    # Input: the connection

    def arrived(self) -> None:
        """More of the body, or its end."""
        self._news.set()

    def half_closed(self) -> None:
        """The client will send no more; it may read on."""
        self._half_closed = True
        self._news.set()

    def spoil(self, fault: EventHubError) -> None:
        """The rest of the body cannot come."""
        self.keep_alive = False
        self.fault = fault
        self._news.set()

    def disconnect(self) -> None:
        """The client is gone."""
        self.disconnected = not self.complete
        self._news.set()

    # The application's side

    async def receive(self) -> Message:
        """A piece of the body, to its end, which comes once; then what becomes of the connection. Raises `fault`."""
        if self._expects:
            self._expects = False
            if (
                self.more_body and not self.body and not self._transport.is_closing()
            ):  # otherwise it has not waited
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if not self.disconnected and not self.complete:
            self._flow.resume_reading()
            if not self._news.is_set():
                await self._news.wait()
            self._news.clear()
        if self.disconnected or self.complete:
            return {"type": "http.disconnect"}
        if self.fault is not None:
            if not self.body:
                self._news.set()  # whoever asks again is told again
                raise self.fault
            self._news.set()
        elif (
            self._half_closed and self._ended
        ):  # not before: the body's end may come without a byte of it
            self._half_closed = False
            return {"type": HALF_CLOSED}
        elif self._half_closed:
            self._news.set()
        self._ended = not self.more_body
        body, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: Message) -> None:
        """The answer's head, or a piece of its body."""
        if self._flow.write_paused and not self.disconnected:
            await self._flow.drain()
        if self.disconnected:
            return
        if self.complete or (message["type"] == "http.response.start") is self.begun:
            raise RuntimeError(f"{message['type']} does not come here")
        if self.begun:
            self._send_body(message.get("body", b""), more=message.get("more_body", False))
        else:
            self._send_head(message["status"], [*self._date, *message.get("headers", ())])

    def _send_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.begun = True
        if self._expects and self.more_body and not self.body:
            # what comes next could be that body, or another request: it is up to the client
            self.keep_alive = False
        length, said = None, b""
        lines = [STATUS_LINES[status]]
        for name, value in headers:
            if name == b"content-length":
                length = int(value)
            elif name == b"connection":
                said = value.lower()
            lines.append(b"%b: %b\r\n" % (name, value))
        old = self.scope["http_version"] == "1.0"
        if self._head_only or status in BODYLESS:
            self._left = 0
        elif length is not None:
            self._left = length
        # which knows no chunks (RFC 9112, 6.1): the end of the connection is the end of the answer
        elif old:
            self._left, self.keep_alive = UNKNOWN, False
        else:
            self._left, self._chunked = UNKNOWN, True
            lines.append(b"transfer-encoding: chunked\r\n")
        if b"close" in said:
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
            if self._left != UNKNOWN:
                self._left -= len(body)
                if self._left < 0 or (self._left and not more):
                    raise RuntimeError("the answer's body has another length than its head says")
            self._transport.write(body)
        if not more:
            self.complete = True
            self._news.set()
            if not self.keep_alive:
                self._transport.close()
            self._done()

    async def _fail(self) -> None:
        if self.begun:
            self._transport.close()
        else:
            await send_problem(self.send, Internal("a fault of the server; its log says more"))


def _nothing() -> None:
    """Nobody waits for the end of this exchange any more."""
