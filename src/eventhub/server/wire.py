"""The fast lane: uvicorn protocols of our own. Frames are built once and written straight to the transport.

`HttpProtocol` is uvicorn's, but hands over a WebSocket upgrade whole, with the bytes that came right behind it. `WebSocketProtocol` is one
slotted object per connection; it is its session's writer.
"""

import asyncio
from http import HTTPStatus
from typing import Any, cast

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from eventhub.auth.tokens import UnknownKey
from eventhub.encoding import BINARY, CLOSE, DEFLATE, PING, PONG, TEXT, WEBSOCKET, WebSocketEncoding, frame
from eventhub.errors import (
    EventHubError,
    HeadTooLarge,
    InvalidRequest,
    PingTimeout,
    RequestTimeout,
    ShuttingDown,
    SlowConsumer,
    UnsupportedMediaType,
)
from eventhub.event import NewEvent
from eventhub.server.admission import COUNTED, Place
from eventhub.server.frames import NO_STATUS, SERVICE_RESTART, Parser, TooLong, Violation, check_utf8, close_code, close_payload
from eventhub.server.gateway import ABORT, Gateway, Wanted, log_access, too_large
from eventhub.server.handshake import agree, refusal
from eventhub.server.outbox import CLOSE_SECONDS
from eventhub.server.refusal import Refusal
from eventhub.server.submissions import Submissions
from eventhub.session import Ref, Session
from eventhub.writes import Closable, Pipe, Write

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
        self._fail(RequestTimeout(f"no complete request came within {self.gateway.settings.limits.head_seconds:g} seconds"))

    def _fail(self, error: EventHubError) -> None:
        """Answer what never became a request, unless the answer to an earlier one is under way."""
        if not self.transport.is_closing():
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
        transport = cast(Joining, self.transport).raw
        websocket = WebSocketProtocol(self.gateway, transport, self.server_state.connections, self._place)
        transport.set_protocol(websocket)
        websocket.handshake(self.scope["method"], self.url, self.headers, tail)


def _address(transport: asyncio.Transport, name: str) -> tuple[str, int] | None:
    address = transport.get_extra_info(name)
    return (address[0], address[1]) if isinstance(address, tuple) else None


def pipe(transport: asyncio.Transport) -> Closable | None:
    """A way out past the transport where there can be one. Under TLS there cannot."""
    sock = transport.get_extra_info("socket")
    if Pipe is None or sock is None or transport.get_extra_info("sslcontext") is not None:
        return None
    return Pipe(transport, sock.fileno())


def protocol_for(gateway: Gateway) -> type[HttpProtocol]:
    """The class to give to uvicorn, which builds protocols without arguments of ours."""
    return type("BoundHttpProtocol", (HttpProtocol,), {"gateway": gateway, "refusals": set()})


class WebSocketProtocol(asyncio.Protocol):
    """One WebSocket connection: RFC 6455 on the outside, a session inside."""

    __slots__ = (
        "_alive", "_closing", "_gateway", "_loop", "_parser", "_peers", "_pipe", "_place", "_session", "_submissions",
        "_transport", "encoding", "full", "write",
    )  # fmt: skip
    transport = "websocket"

    def __init__(self, gateway: Gateway, transport: asyncio.Transport, peers: set[Any], place: Place | None) -> None:
        self._gateway = gateway
        self._place = place
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._peers = peers
        self._parser: Parser | None = None
        self._session: Session | None = None
        self._submissions: Submissions | None = None
        self._closing: asyncio.TimerHandle | None = None
        self._alive = True
        self.encoding: WebSocketEncoding = WEBSOCKET
        self.full = False
        self._pipe = pipe(transport) if gateway.settings.native else None
        self.write: Write = self._pipe or transport.write
        peers.add(self)

    # Construction: the handshake, RFC 6455, 4.2

    def handshake(self, method: str, url: bytes, headers: list[tuple[bytes, bytes]], tail: bytes, *, looked: bool = False) -> None:
        """Answer an upgrade request. `tail` is what the client sent right behind it, `looked`: unknown keys have been asked for."""
        gateway = self._gateway
        try:
            agreement = agree(gateway, method, url, headers)
            client = self._client(headers)
            if self._place is None:
                self._place = gateway.admission.session(client)
            visit = gateway.visits.enter(agreement.principal, client)
            session = gateway.session(self, self._submit, visit)
            gateway.opened(self, visit, session)
        except UnknownKey as unknown:
            if looked:
                self._refuse(gateway.guard.unknown(unknown), method, url, headers)
                return
            self._transport.pause_reading()
            gateway.hub.spawn(self._handshake_with_keys(unknown, method, url, headers, tail))
            return
        except EventHubError as error:
            self._refuse(error, method, url, headers)
            return
        self._log_access(method, url, HTTPStatus.SWITCHING_PROTOCOLS, headers)
        bound = gateway.settings.limits.buffer_bytes
        self._transport.set_write_buffer_limits(high=bound, low=bound // 4)
        self.write(agreement.answer)
        if agreement.deflate:
            self.encoding = DEFLATE
        self._parser = Parser(gateway.session_limits.message_bytes, deflate=agreement.deflate)
        self._session = session
        session.hello()
        try:
            Wanted(agreement.query).subscribe(session)
        except EventHubError as error:
            self.fail(error)
        if tail:
            self.data_received(tail)

    async def _handshake_with_keys(
        self, unknown: UnknownKey, method: str, url: bytes, headers: list[tuple[bytes, bytes]], tail: bytes
    ) -> None:
        """Once more, with the key that the token names, if it can be had. Nothing is read from the client meanwhile."""
        try:
            await self._gateway.guard.refresh(unknown)
        except EventHubError as error:
            self._refuse(error, method, url, headers)
            return
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self.handshake(method, url, headers, tail, looked=True)

    def _refuse(self, error: EventHubError, method: str, url: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        if self._transport.is_closing():  # the client has gone while a key was looked for
            return
        self._log_access(method, url, error.status, headers)
        self.write(refusal(error))
        self._transport.close()

    # Input: asyncio's protocol

    def data_received(self, data: bytes) -> None:
        self._alive = True
        if self._parser is None:
            return  # refused
        try:
            for opcode, payload in self._parser.feed(data):
                self._receive(opcode, payload)
                if self._parser is None:
                    return
        except Violation as violation:
            self._close(violation.code, violation.reason)
            self._give_up_reading()
        except TooLong:
            self.fail(too_large("the message is larger", "event_bytes", self._gateway.session_limits.message_bytes))
            self._give_up_reading()

    def eof_received(self) -> bool:
        return False  # half-closed is closed (RFC 6455, 7.1.5 has no half-open WebSockets)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._pipe is not None:
            self._pipe.close()
        self._peers.discard(self)
        self._gateway.admission.disconnect(self._place)
        self._gateway.closed(self)
        self._end()
        self._parser = None
        if self._closing is not None:
            self._closing.cancel()

    def pause_writing(self) -> None:
        """The outgoing buffer is at its bound. Comes from inside `write`, so nothing else may be done here."""
        self.full = True
        self._loop.call_soon(self._congested)

    def resume_writing(self) -> None:
        """It has drained to a quarter."""
        self.full = False
        self._loop.call_soon(self._drained)

    def shutdown(self) -> None:
        """Uvicorn stops. Whoever is still here did not go after goodbye."""
        self._transport.close()

    # Input: the node

    def buffered(self) -> int:
        return self._transport.get_write_buffer_size()

    def beat(self) -> None:
        if not self._alive:
            self.fail(PingTimeout(f"nothing came from the client for {2 * self._gateway.settings.heartbeat:g} seconds"))
            return
        self._alive = False
        if self._closing is None:
            self.write(frame(b"", PING))

    def goodbye(self, error: ShuttingDown, reconnect_in: float) -> None:
        if self._session is not None and self._closing is None:
            self._session.goodbye(error, reconnect_in)
            self._close(SERVICE_RESTART, error.code)

    def fail(self, error: EventHubError) -> None:
        """End the connection: feeds' and our own way out. It is told why where there is room for it."""
        if self._session is not None and not self.full and not isinstance(error, SlowConsumer):
            self._session.error(error)
        self._close(error.close_code, error.code)

    def abort(self) -> None:
        self._transport.abort()

    # Private

    def _log_access(self, method: str, url: bytes, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        if self._gateway.settings.log.access:
            log_access(method, url.partition(b"?")[0].decode("latin-1"), status, self._client(headers))

    def _client(self, headers: list[tuple[bytes, bytes]]) -> str:
        peer = self._transport.get_extra_info("peername") or ("",)
        return self._gateway.proxies.client(peer[0], headers)

    def _receive(self, opcode: int, payload: bytes) -> None:
        if opcode == CLOSE:
            self._closed_by_peer(payload)
        elif self._closing is not None:
            return  # only the peer's close matters now (7.1.1)
        elif opcode == TEXT:
            check_utf8(payload)
            if self._session is not None:
                self._session.receive(payload)
        elif opcode == PING:
            if not self.full:  # the answer to the latest is enough (5.5.3)
                self.write(frame(payload, PONG))
        elif opcode == BINARY:
            self.fail(UnsupportedMediaType("the message is binary; expected JSON in text frames"))

    def _closed_by_peer(self, payload: bytes) -> None:
        code = close_code(payload)
        self._end()
        if self._closing is None:
            self.write(frame(b"" if code == NO_STATUS else close_payload(code, ""), CLOSE))
        self._parser = None
        self._transport.close()

    def _close(self, code: int, reason: str) -> None:
        """Send a close frame behind what is buffered, then wait for the peer's, but not for long."""
        if self._closing is not None:
            return
        self._end()
        self.write(frame(close_payload(code, reason), CLOSE))
        self._closing = self._loop.call_later(CLOSE_SECONDS, self._transport.abort)

    def _give_up_reading(self) -> None:
        """What follows cannot be understood, not even the peer's close: end our half, and let the peer end its own."""
        self._parser = None
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()

    def _end(self) -> None:
        """The session is over: feeds know this writer no more."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _regulate(self) -> None:
        """Read no commands while their answers would find no room, or while publishes wait."""
        if self._transport.is_closing():
            return
        if self.full or (self._submissions is not None and not self._submissions.roomy):
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _congested(self) -> None:
        self._regulate()
        if self.full and self._session is not None:
            self._session.congested()

    def _drained(self) -> None:
        self._regulate()
        if not self.full and self._session is not None:
            self._session.drained()

    def _submit(self, ref: Ref, event: NewEvent) -> None:
        if self._submissions is None:
            self._submissions = Submissions(self._gateway.hub, self._published)
        if not self._submissions.add(ref, event):
            self._regulate()

    def _published(self, ref: Ref, channel: str, outcome: Any) -> None:
        if self._session is not None:
            self._session.published(ref, channel, outcome)
        self._regulate()
