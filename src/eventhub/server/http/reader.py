"""The reading side of an HTTP connection: parses requests, within limits of bytes and CPU time.

It finds where requests begin and end. `request_handler.py` handles them.
"""

from collections.abc import Callable
from time import thread_time
from typing import Any, Protocol

import httptools

from eventhub.common.faults import internal
from eventhub.errors import EventHubError, MethodNotAllowed
from eventhub.server.connections.fair_queue import SLICE_SECONDS
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.http.flow_control import HeldFlowControl
from eventhub.server.http.head import HEAD_BYTES, IncomingHead, head_too_large
from eventhub.server.http.malformed import malformed
from eventhub.server.http.request_queue import RequestQueue
from eventhub.server.http.response_transport import ResponseTransport
from eventhub.server.messages import request_head

PIECE_BYTES = 8 * 1024
"""Bytes of a chunked body that are parsed before the clock is read: a chunk may have one byte."""
DISCARDED_BYTES = 1024 * 1024
"""Bytes that a client may send after a malformed request before it is cut off."""
NO_HEAD = IncomingHead()


class RequestReceiver(Protocol):
    """The connection whose requests are read. An exception that it raises stops the parser."""

    @property
    def parses(self) -> bool:
        """More bytes may be parsed."""
        ...

    def data_received(self, data: bytes) -> None:
        """Bytes that were held are due."""
        ...

    def request_begun(self) -> None:
        """The first byte of a request came."""
        ...

    def head_received(
        self, method: str, version: str, head: IncomingHead, *, keep_alive: bool
    ) -> None:
        """A request's head is complete."""
        ...

    def body_received(self, body: bytes) -> None:
        """A part of the request's body came."""
        ...

    def request_complete(self, *, keep_alive: bool) -> None:
        """The request is complete."""
        ...

    def fed(self) -> None:
        """All that was read is parsed, or waits for a later turn."""
        ...

    def upgrade(self, head: IncomingHead, tail: bytes) -> None:
        """The request asks for a WebSocket. `tail`: the bytes behind it."""
        ...

    def fail(self, error: EventHubError) -> None:
        """The bytes are no request, or no body."""
        ...

    def contain(self, act: Callable[[], None]) -> Callable[[], None]:
        """A callback for later: a fault in it ends this connection only."""
        ...


class RequestReader:
    """The requests of one connection, until `stop`. It is the target of httptools' callbacks.

    Bytes that are neither head nor body (line breaks between requests, the framing of chunks,
    trailers) are ignored, at most HEAD_BYTES of them in a row.
    """

    __slots__ = (
        "_chunked", "_connection", "_flow", "_held", "_ignored", "_manager", "_parser",
        "_requests", "_transport", "head",
    )  # fmt: skip

    def __init__(
        self,
        manager: ConnectionManager,
        transport: ResponseTransport,
        flow: HeldFlowControl,
        requests: RequestQueue,
        connection: RequestReceiver,
    ) -> None:
        self._manager = manager
        self._transport = transport
        self._flow = flow
        self._requests = requests
        self._connection = connection
        self._parser: Any = self._new_parser()  # None once stopped
        self.head = NO_HEAD
        self._chunked = False  # the newest request's body comes in chunks
        self._held = b""  # bytes that wait for a later turn
        self._ignored = 0  # bytes since something came of them

    # Input

    def feed(self, data: bytes) -> None:
        """Parse bytes from the client, now or in a later turn."""
        if self._held:
            self._held += data  # little: only what TLS had decrypted already
            return
        begin = thread_time() if len(data) > PIECE_BYTES else 0.0
        try:
            while data:
                whole = self._transport.unread and not self._chunked
                piece = data if whole else data[:PIECE_BYTES]
                data = data[len(piece) :]
                self._ignored += len(piece)
                self._parse(piece, data)
                if self._parser is None or not self._connection.parses:
                    return
                if data and self._chunked and (seconds := thread_time() - begin) >= SLICE_SECONDS:
                    self._hold(data, seconds)
                    break
        except httptools.HttpParserError as error:
            self._connection.fail(self._error_of(error, piece))
        else:
            if self._ignored > HEAD_BYTES:
                self._connection.fail(head_too_large())
            else:
                self._connection.fed()

    @property
    def holds(self) -> bool:
        """Bytes wait for a later turn: what comes now is parsed behind them."""
        return bool(self._held)

    def flush(self) -> None:
        """Parse the bytes that wait for a later turn: the client sends no more."""
        while self._held:
            self._go_on()

    def discard(self, size: int) -> None:
        """Ignore this many bytes, and cut off a client that sends too many."""
        self._ignored += size
        if self._ignored > DISCARDED_BYTES:
            self._transport.raw.abort()

    def end(self) -> None:
        """From now on bytes are discarded."""
        self._ignored = 0

    def stop(self) -> None:
        """Parse no more, and read the socket for another protocol."""
        if self._parser is None:
            return
        self._parser = None
        del self._connection  # the two refer to each other, and would wait for garbage collection
        if self._held:
            self._held, self._flow.held = b"", False
            if not self._transport.raw.is_closing():
                self._flow.resume_reading()

    def forget(self) -> None:
        """The newest request is answered: keep nothing of it while the connection is idle."""
        self.head = NO_HEAD

    # Input: httptools

    def on_message_begin(self) -> None:
        self._connection.request_begun()
        self.head = IncomingHead()
        self._ignored = 0

    def on_url(self, url: bytes) -> None:
        self.head.add_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.head.add_field(name, value)

    def on_headers_complete(self) -> None:
        head, parser = self.head, self._parser
        head.finish()
        self._ignored = 0
        self._chunked = any(name == b"transfer-encoding" for name, _ in head.headers)
        version = parser.get_http_version()
        request_head.check(version, head.headers)
        if not parser.should_upgrade():  # otherwise `_parse` decides
            method = parser.get_method().decode("ascii")
            keep_alive = parser.should_keep_alive()
            self._connection.head_received(method, version, head, keep_alive=keep_alive)

    def on_body(self, body: bytes) -> None:
        self._ignored = 0
        self._connection.body_received(body)

    def on_message_complete(self) -> None:
        if not self._parser.should_upgrade():
            self._connection.request_complete(keep_alive=self._parser.should_keep_alive())

    # Private

    def _parse(self, data: bytes, behind: bytes) -> None:
        """Parse. `behind`: what is parsed next. Raises HttpParserError."""
        while data:
            try:
                self._parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]  # the parser takes no body of such a request
            method, version = self._parser.get_method(), self._parser.get_http_version()
            head = self.head
            if method == b"CONNECT":
                error = MethodNotAllowed("this server is no proxy, and has no method CONNECT")
                self._connection.fail(error)
                return
            if request_head.wants_websocket(method, version, head.headers):
                self._connection.upgrade(head, data + behind)
                return
            data = request_head.without_upgrade(method, head.url, version, head.headers) + data
            self._parser = self._new_parser()

    def _new_parser(self) -> Any:
        parser = httptools.HttpRequestParser(self)
        # bytes behind a request that says Connection: close
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def _error_of(self, error: httptools.HttpParserError, data: bytes) -> EventHubError:
        """The exception of a callback, or the error of the parser."""
        cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else None
        if isinstance(cause, EventHubError):
            return cause.without_traceback()
        if isinstance(cause, Exception):
            self._manager.hub.faults.note("http", cause)
            return internal()
        in_body = self._transport.unread
        return malformed(error, data, self._parser, self.head, in_body=in_body)

    def _hold(self, data: bytes, seconds: float) -> None:
        """Parse the rest in a later turn. `seconds` of CPU time were used in this one."""
        self._held, self._flow.held = data, True
        self._flow.pause_reading()
        fair_queue = self._manager.fair_queue
        fair_queue.spend(seconds)
        go_on = self._connection.contain(self._go_on)
        fair_queue.later(go_on, fair_queue.advanced_position(0.0, seconds), len(data))

    def _go_on(self) -> None:
        if not self._held:
            return
        data, self._held = self._held, b""
        self._flow.held = False
        self._connection.data_received(data)
        if not self._requests.backlogged and not self._transport.raw.is_closing():
            self._flow.resume_reading()
