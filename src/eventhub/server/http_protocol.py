"""The fast lane's HTTP side: uvicorn's protocol with bounds, connections counted, and WebSocket upgrades handed over whole."""

import asyncio
from typing import Any, cast

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from eventhub.errors import EventHubError, HeadTooLarge, InvalidRequest, RequestTimeout
from eventhub.server.admission import COUNTED, Place
from eventhub.server.gateway import ABORT, Gateway
from eventhub.server.handshake import refusal
from eventhub.server.refusal import Refusal
from eventhub.server.wire import WebSocketProtocol

HEAD_BYTES = 32 * 1024
PIPELINE = 16
"""Requests that may wait behind one another on a connection."""


class Joining:
    """A transport for HTTP: a response's head waits for what follows in the same turn of the loop, so that both are one write.

    uvicorn writes them apart and uvloop sends each at once, which is a system call and a wake-up of the client too many.
    """

    __slots__ = ("_head", "_loop", "raw")

    def __init__(self, raw: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.raw = raw
        self._loop = loop
        self._head = b""

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 ") and data.endswith(b"\r\n\r\n"):
            self._head = data
            self._loop.call_soon(self._flush)
            return
        self.raw.write(data)

    def close(self) -> None:
        self._flush()
        self.raw.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            if not self.raw.is_closing():
                self.raw.write(head)


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with sockets set for streaming, bounded request heads, and upgrades handed to WebSocketProtocol."""

    gateway: Gateway  # set on a subclass by `protocol_for`, as are
    refusals: set[Refusal]
    _place: Place | None
    _extensions: dict[str, Any]
    _head = 0  # bytes of the header fields so far
    _received = 0  # bytes received while the head was not complete
    _began = False  # a request began in the bytes being parsed
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        self.client = _address(transport, "peername")
        try:
            self._place = self.gateway.admission.connect(self.client[0] if self.client else None)
        except EventHubError as error:
            self.gateway.hub.refused(error)
            self.parser = None  # type: ignore[assignment]  # it knows us: together we would wait for the garbage collector
            transport.set_protocol(Refusal(transport, error, self.refusals))
            return
        self.connections.add(self)  # all as in uvicorn, whose way to the addresses takes longer than the rest of a handshake
        self.transport = cast(asyncio.Transport, Joining(transport, self.loop))
        self.flow = FlowControl(transport)
        self.server = _address(transport, "sockname")
        self._extensions = {ABORT: {"abort": self.transport.abort}, **({} if self._place is None else {COUNTED: {}})}
        self.scheme = "https" if transport.get_extra_info("sslcontext") else "http"
        self._head_timer = self.loop.call_later(self.gateway.settings.limits.head_seconds, self._head_is_late)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._began = False
        try:
            self._unset_keepalive_if_required()
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            if self._head > HEAD_BYTES:
                self._fail(HeadTooLarge(f"the request's head has more than {HEAD_BYTES} bytes, which is the limit"))
            else:
                self._fail(InvalidRequest("this is not an HTTP request"))
        else:
            if len(self.pipeline) > PIPELINE:
                self.transport.abort()  # an answer to each would cost more than the request
            elif self._head_timer is not None and not self._began:  # the head is not complete: what came belongs to it
                self._received += len(data)
                if self._received > HEAD_BYTES:
                    self._fail(HeadTooLarge(f"the request's head has more than {HEAD_BYTES} bytes, which is the limit"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.gateway.admission.disconnect(self._place)
        self._head_is_complete()
        self.pipeline.clear()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = self._extensions
        self._head = self._received = 0
        self._began = True
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.gateway.settings.limits.head_seconds, self._head_is_late)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head += len(name) + len(value)
        if self._head > HEAD_BYTES:
            raise ValueError("too large")  # ends the parser; `data_received` answers
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_is_complete()
        self._head = 0
        super().on_headers_complete()

    def _head_is_complete(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        seconds = self.gateway.settings.limits.head_seconds
        self._fail(RequestTimeout(f"no complete request came within {seconds:g} seconds (limits.head_seconds)").by("head_seconds"))

    def _fail(self, error: EventHubError) -> None:
        """Answer what never became a request, unless the answer to an earlier one is under way."""
        if not self.transport.is_closing():
            self.gateway.hub.refused(error)
            if not self._busy:
                self.transport.write(refusal(error))
            self.transport.close()

    @property
    def _busy(self) -> bool:
        return bool(self.pipeline) or not getattr(self.cycle, "response_complete", True)

    def _should_upgrade_to_ws(self) -> bool:
        return True

    def _upgrade(self, tail: bytes) -> None:
        if self._busy:
            self._fail(InvalidRequest("an upgrade behind an unanswered request"))
            return
        self.connections.discard(self)
        self.parser = None  # type: ignore[assignment]  # as in `connection_made`
        transport = cast(Joining, self.transport).raw
        websocket = WebSocketProtocol(self.gateway, transport, self.server_state.connections, self._place)
        transport.set_protocol(websocket)
        websocket.handshake(self.scope["method"], self.url, self.headers, tail)


def _address(transport: asyncio.Transport, name: str) -> tuple[str, int] | None:
    address = transport.get_extra_info(name)
    return (address[0], address[1]) if isinstance(address, tuple) else None


def protocol_for(gateway: Gateway) -> type[HttpProtocol]:
    """The class to give to uvicorn, which builds protocols without arguments of ours."""
    return type("BoundHttpProtocol", (HttpProtocol,), {"gateway": gateway, "refusals": set()})
