"""The fast lane's HTTP side: uvicorn's protocol with bounds, connections counted, and WebSocket upgrades handed over whole."""

import asyncio
from functools import partial
from typing import Any, NoReturn, cast

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from eventhub.addresses import canonical
from eventhub.errors import EventHubError, HeadTooLarge, InvalidRequest, NodeFull, RequestTimeout
from eventhub.server.admission import COUNTED, Place, Watcher
from eventhub.server.gateway import ABORT, Gateway
from eventhub.server.handshake import refusal
from eventhub.server.liveness import outgoing
from eventhub.server.refusal import LINGER_SECONDS, Refusal
from eventhub.server.wire import WebSocketProtocol

HEAD_BYTES = 32 * 1024
PIPELINE = 16
"""Requests that may wait behind one another on a connection."""
LAST_CALL = 1.0
"""Seconds that a kept connection has for another request when the server stops: closed at once, it might cross one on its way."""
WATCHED = (b"/livez", b"/metrics")
"""What a full node still answers. Not /readyz: it wants no more clients."""
WATCHER_SECONDS = 1.0
"""A connection to a full node has so long to ask."""
UNREAD_SECONDS = 2.0
"""Then its connection ends, whether it has read the answer or not."""
BODY_MOMENT = 1.0
"""Seconds that the rest of a body has once its request was answered. What comes is thrown away; the connection is kept if that was all."""


class Joining:
    """A transport for HTTP: a response's head waits for what follows in the same turn of the loop, so that both are one write.

    uvicorn writes them apart and uvloop sends each at once, which is a system call and a wake-up of the client too many.

    Closed while a body is `unread` it lingers (RFC 9112, 9.6): bytes that nobody has read would make the kernel reset the connection, and
    the client would not see the answer.
    """

    __slots__ = ("_head", "_lingers", "_loop", "raw", "unread")

    def __init__(self, raw: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.raw = raw
        self.unread = False
        """A request's body is under way."""
        self._loop = loop
        self._head = b""
        self._lingers = False

    def write(self, data: bytes) -> None:
        if self._lingers:
            return  # its end has been sent
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 ") and data.endswith(b"\r\n\r\n"):
            self._head = data
            self._loop.call_soon(self._flush)
            return
        self.raw.write(data)

    def close(self) -> None:
        self._flush()
        if self.unread and not self.is_closing():
            self._lingers = True
            if self.raw.can_write_eof():
                self.raw.write_eof()
            self._loop.call_later(LINGER_SECONDS, self.raw.close)
        elif not self._lingers:
            self.raw.close()

    def is_closing(self) -> bool:
        return self._lingers or self.raw.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            if not self.is_closing():
                self.raw.write(head)


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with sockets set for streaming, bounded request heads, and upgrades handed to WebSocketProtocol.

    Whatever it waits for has a time: a head `limits.head_seconds`, a body that of whoever reads it, the rest of a body that nobody reads
    BODY_MOMENT, the next request uvicorn's keep-alive. Only the beginning of a request ends that last wait: line breaks between requests,
    or what follows a request for an upgrade that there is not, would otherwise hold a connection for ever.
    """

    gateway: Gateway  # set on a subclass by `protocol_for`, as are
    refusals: set[Refusal]
    _place: Place | None
    _joining: Joining  # the transport
    _extensions: dict[str, Any]
    _head = 0  # bytes of the header fields so far
    _received = 0  # bytes received while the head was not complete
    _began = False  # a request began in the bytes being parsed
    _full: NodeFull | None = None  # the node is: this connection may ask WATCHED, once
    _watcher: Watcher | None = None  # then, too
    _fault: EventHubError | None = None  # why the parser was stopped
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        self.client = _address(transport, "peername")
        admission = self.gateway.admission
        try:
            self._place = admission.connect(self.client[0] if self.client else None)
        except NodeFull as error:
            self._place, self._full = None, error
            self._watcher = admission.watchers.enter(self.client[0] if self.client else "", self._give_way)
            if self._watcher is None:
                self._refuse(transport, error)
                return
        except EventHubError as error:
            self._refuse(transport, error)
            return
        self.connections.add(self)  # all as in uvicorn, whose way to the addresses takes longer than the rest of a handshake
        self._joining = Joining(transport, self.loop)
        self.transport = cast(asyncio.Transport, self._joining)
        self.flow = FlowControl(transport)
        self.server = _address(transport, "sockname")
        self._extensions = {ABORT: {"abort": transport.abort, "outgoing": partial(outgoing, transport)}}
        if self._place is not None:
            self._extensions[COUNTED] = {}
        self.scheme = "https" if transport.get_extra_info("sslcontext") else "http"
        if self.scheme == "https":
            transport.set_write_buffer_limits(HIGH_WATER_LIMIT)  # for TLS, uvloop's own is eight times as much
        seconds = WATCHER_SECONDS if self._full else self.gateway.settings.limits.head_seconds
        self._head_timer = self.loop.call_later(seconds, self._head_is_late)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._began = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            if len(self.pipeline) > PIPELINE:
                self.transport.abort()  # an answer to each would cost more than the request
                return
            self._fail(self._fault or InvalidRequest("this is not an HTTP request"))
        else:
            if self._head_timer is not None and not self._began:  # the head is not complete: what came belongs to it
                self._received += len(data)
                if self._received > HEAD_BYTES:
                    self._fail(_head_too_large())

    def connection_lost(self, exc: Exception | None) -> None:
        if self._full:
            self._stop_watching()
        else:
            self.gateway.admission.disconnect(self._place)
        self._head_is_complete()
        self.pipeline.clear()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._unset_keepalive_if_required()
        if len(self.pipeline) > PIPELINE:
            raise ValueError("too many")  # ends the parser: one read can hold two thousand requests
        super().on_message_begin()
        self.scope["extensions"] = self._extensions
        self._head = self._received = 0
        self._began = True
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.gateway.settings.limits.head_seconds, self._head_is_late)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head += len(name) + len(value)
        if self._head > HEAD_BYTES:
            self._stop(_head_too_large())
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_is_complete()
        self._head = 0
        if len(dict(self.headers)) != len(self.headers) and sum(name == b"host" for name, _ in self.headers) > 1:
            self._stop(InvalidRequest("more than one header Host was sent; expected one"))  # RFC 9112, 3.2
        if self._full and not self._busy and (self.parser.should_upgrade() or self.url.partition(b"?")[0] not in WATCHED):
            self._stop(self._full)
        self._joining.unread = True
        super().on_headers_complete()
        if self._watcher:
            self._watcher.asked = True
            self.cycle.keep_alive = False
        if self.gateway.hub.draining:
            self.last_call()

    def last_call(self) -> bool:
        """The server is about to stop: close behind the answer that is due, or soon. False when none is due."""
        if self._busy:
            self.cycle.keep_alive = False  # which the answer says (RFC 9112, 9.6), unless it has begun
            return True
        if self.timeout_keep_alive_task is not None:
            self._keep_alive(LAST_CALL)
        return False

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._joining.unread = False
        if self.timeout_keep_alive_task is not None:  # the rest of a body whose request was answered
            self._keep_alive(self.timeout_keep_alive)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._joining.unread and not self._joining.raw.is_closing():
            self.flow.resume_reading()
        if self._watcher:
            self.loop.call_soon(self.gateway.admission.watchers.answered, self._watcher)  # by then what the kernel takes is written
            self._head_is_complete()  # one behind this: there will be no other
            self._head_timer = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)
        if self.timeout_keep_alive_task is None:
            return
        if self._head_timer is not None:  # the next request has begun
            self._unset_keepalive_if_required()
        elif self._joining.unread:
            self._keep_alive(BODY_MOMENT)

    def _keep_alive(self, seconds: float) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _stop(self, fault: EventHubError) -> NoReturn:
        """End the parser; `data_received` answers."""
        self._fault = fault
        raise ValueError(fault.code)

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
        if self.transport.is_closing():
            return
        if self._full and not self._busy:
            self._turn_away(self._full)
        else:
            self.gateway.hub.refused(error)
            if not self._busy and not self._joining.unread:  # what is wrong in the rest of a body whose request was answered has no answer
                self.transport.write(refusal(error))
            self.transport.close()

    def _give_way(self) -> None:
        """Another wants to watch."""
        if self.transport.is_closing():
            self.transport.abort()  # answered, and slow to read that
        elif self._full:
            self._turn_away(self._full)

    def _stop_watching(self) -> None:
        if self._watcher:
            self.gateway.admission.watchers.leave(self._watcher)
            self._watcher = None  # it knows us

    def _turn_away(self, error: NodeFull) -> None:
        """It is not one that watches: its place is another's, however long it stays."""
        self._stop_watching()
        self._head_is_complete()
        self.connections.discard(self)
        self._refuse(self._joining.raw, error)

    def _refuse(self, transport: asyncio.Transport, error: EventHubError) -> None:
        self.gateway.hub.refused(error)
        self.parser = None  # type: ignore[assignment]  # it knows us: together we would wait for the garbage collector
        transport.set_protocol(Refusal(transport, error, self.refusals))

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
        self.parser = None  # type: ignore[assignment]  # as in `_refuse`
        transport = self._joining.raw
        websocket = WebSocketProtocol(self.gateway, transport, self.server_state.connections, self._place)
        transport.set_protocol(websocket)
        websocket.handshake(self.scope["method"], self.url, self.headers, tail)


def _head_too_large() -> HeadTooLarge:
    return HeadTooLarge(f"the request's head has more than {HEAD_BYTES} bytes, which is the limit")


def _address(transport: asyncio.Transport, name: str) -> tuple[str, int] | None:
    address = transport.get_extra_info(name)
    return (canonical(address[0]), address[1]) if isinstance(address, tuple) else None


def protocol_for(gateway: Gateway) -> type[HttpProtocol]:
    """The class to give to uvicorn, which builds protocols without arguments of ours."""
    return type("BoundHttpProtocol", (HttpProtocol,), {"gateway": gateway, "refusals": set()})
