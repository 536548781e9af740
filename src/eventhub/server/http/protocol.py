"""The fast lane's HTTP side: requests are parsed, bounded and answered in order; WebSocket upgrades are handed over whole."""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from time import thread_time
from typing import Any, NoReturn
from urllib.parse import unquote

import httptools
import uvicorn
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.server import ServerState

from eventhub.common.addresses import canonical
from eventhub.common.faults import internal
from eventhub.errors import (
    EventHubError,
    HeadTooLarge,
    InvalidRequest,
    MethodNotAllowed,
    NodeFull,
    RateLimited,
    RequestTimeout,
)
from eventhub.server.connections.liveness import outgoing
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.connections.rejected_connection import RejectedConnection
from eventhub.server.connections.turns import SLICE_SECONDS
from eventhub.server.http.coalescing_transport import CoalescingTransport
from eventhub.server.http.exchange import Exchange
from eventhub.server.messages import request_head
from eventhub.server.messages.asgi_extensions import ABORT, COUNTED
from eventhub.server.messages.problem import encode_problem
from eventhub.server.security.connection_limits import HealthProbe, Slot
from eventhub.server.websocket.protocol import WebSocketProtocol
from eventhub.server.websocket.upgrade import Upgrade, UpgradeRequest

ASGI = {"version": "3.0", "spec_version": "2.3"}
HEAD_BYTES = 32 * 1024
"""Of a request's head, its address among them."""
HEAD_FIELDS = 256
"""Header fields of a request. More of them, however small, cost more to look at than their bytes
do.
"""
PIECE_BYTES = 8 * 1024
"""Of a body in chunks that are parsed before the clock is looked at: chunks of one byte are a
thousand and more.
"""
TLS = b"\x16\x03"
"""How a client's first TLS record begins: a handshake, of version 3 (RFC 8446, 5.1)."""
PIPELINE = 16
"""Requests that may wait behind one another on a connection."""
LAST_CALL = 1.0
"""Seconds that a kept connection has for another request when the server stops: closed at once, it
might cross one on its way.
"""
PROBED_PATHS = (b"/livez", b"/metrics")
"""What a full node still answers. Not /readyz: it wants no more clients."""
HEALTH_PROBE_SECONDS = 1.0
"""A connection to a full node has so long to ask."""
UNREAD_SECONDS = 2.0
"""Then its connection ends, whether it has read the answer or not."""
DEAF_BYTES = 1024 * 1024
"""What a client may send while answers to what came before are due, once nothing more is looked at."""
BODY_MOMENT = 1.0
"""Seconds that the rest of a body has once its request was answered. What comes is thrown away; the
connection is kept if that was all.
"""


class HeldFlowControl(FlowControl):
    """Nothing is read while what was read before waits to be parsed."""

    held = False

    def resume_reading(self) -> None:
        """Unless held."""
        if not self.held:
            super().resume_reading()


class HttpProtocol(asyncio.Protocol):
    """One connection: a request after another, each an Exchange. Built by uvicorn's server, with uvicorn's arguments.

    Whatever it waits for has a time: a head `limits.head_seconds`, a body that of whoever reads it, the rest of a body that nobody reads
    BODY_MOMENT, the next request `limits.keep_alive_seconds`. Only the beginning of a request ends that last wait: line breaks between
    requests would otherwise hold a connection for ever. What the client sends that is neither head nor body (the framing of chunks, fields
    behind the body) is ignored, and at most HEAD_BYTES of it may come in a row.

    A client that ends its half of the connection gets what is due, then the connection ends. After bytes that are no request nothing more
    is read; what came before is answered, then this.
    """

    manager: ConnectionManager  # set on a subclass by `protocol_for`, as is
    refusals: set[RejectedConnection]

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.loop = loop or asyncio.get_running_loop()
        self._app = config.loaded_app
        self._state = app_state
        self._server_state = server_state
        self._peers: set[Any] = server_state.connections
        self._exchanges: deque[Exchange] = (
            deque()
        )  # not answered yet: the first is being, the others wait
        self._exchange: Exchange | None = None  # the newest, answered or not
        self._place: Slot | None = None
        self._full: NodeFull | None = None  # the node is: this connection may ask WATCHED, once
        self._health_probe: HealthProbe | None = None  # then, too
        self._head_timer: asyncio.TimerHandle | None = None
        self._end_timer: asyncio.TimerHandle | None = None  # of a wait for anything else
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._in_head = False  # a request has begun whose head is not complete
        self._expects = False  # it asks for 100 Continue
        self._head_bytes = 0  # of address and header fields so far
        self._head_fields = 0
        self._idle_bytes = 0  # received since something came of it
        self._chunked = False  # the newest request's body comes in chunks
        self._rest = b""  # received, and to be parsed in a turn to come: of a body in chunks
        self._fault: EventHubError | None = None  # why the parser was stopped
        self._last_words = b""  # what is to be said to it, behind the answers that are due
        self._deaf = False  # nothing that comes is looked at any more
        self._idle = False  # it waits for the next request
        self._counted = False  # it is one of the connections of this node

    # Input: asyncio's protocol

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        self.client = _address(transport, "peername")
        connection_limits = self.manager.connection_limits
        try:
            self._place = connection_limits.connect(self.client[0] if self.client else None)
        except NodeFull as error:
            self._full = error.detached()
            self._health_probe = connection_limits.health_probes.enter(
                self.client[0] if self.client else "", self._give_way
            )
            if self._health_probe is None:
                self.manager.hub.refused(error)
                self._refuse(transport, encode_problem(error))
                return
        except EventHubError as error:
            self.manager.hub.refused(error)
            self._refuse(transport, encode_problem(error))
            return
        self._counted = self._full is None
        self._peers.add(self)
        self.transport = CoalescingTransport(transport, self.loop)
        self._flow = HeldFlowControl(transport)
        self._server = _address(transport, "sockname")
        self._extensions: dict[str, Any] = {
            ABORT: {"abort": transport.abort, "outgoing": partial(outgoing, transport)}
        }
        if self._place is not None:
            self._extensions[COUNTED] = {}
        self._secure = transport.get_extra_info("sslcontext") is not None
        if self._secure:
            transport.set_write_buffer_limits(
                HIGH_WATER_LIMIT
            )  # for TLS, uvloop's own is eight times as much
        self._parser = self._new_parser()
        seconds = HEALTH_PROBE_SECONDS if self._full else self.manager.settings.limits.head_seconds
        self._head_timer = self.loop.call_later(seconds, self._contained, self._head_is_late)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._rest:
            self._rest += data  # not much: nothing more is read, but what TLS had read already
            return
        if self._deaf:
            self._idle_bytes += len(data)
            if self._idle_bytes > DEAF_BYTES:
                self.transport.abort()
            return
        begin = thread_time() if len(data) > PIECE_BYTES else 0.0
        try:
            while data:
                piece = data if self.transport.unread and not self._chunked else data[:PIECE_BYTES]
                data = data[len(piece) :]
                self._idle_bytes += len(piece)
                self._feed(piece, data)
                if not self._listens:
                    return
                if data and self._chunked and (seconds := thread_time() - begin) >= SLICE_SECONDS:
                    self._hold(data, seconds)
                    break
        except httptools.HttpParserError as error:
            self._fail(self._fault or self._unforeseen(error) or self._malformed(error, piece))
        else:
            if self._idle_bytes > HEAD_BYTES:
                self._fail(_head_too_large())

    def eof_received(self) -> bool:
        """The client ended its half. Under TLS there are no halves."""
        while self._rest:
            self._go_on()
        if self._secure or self.transport.is_closing():
            return False
        self._deaf = True
        self._head_is_complete()
        exchange = self._exchange
        if exchange is not None and self.transport.unread:
            self.transport.unread = False  # no more of it comes
            if exchange.complete:
                return False
            exchange.spoil(
                InvalidRequest(
                    "the connection's half ended before the body did; nothing of an unfinished event is stored"
                )
            )
            return True
        if self._busy:
            self._exchanges[-1].keep_alive = False
            for each in self._exchanges:
                each.half_closed()
            return True
        if self._in_head:
            self.transport.write(
                encode_problem(
                    InvalidRequest("the connection's half ended before the request's head did")
                )
            )
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest = b""
        self._peers.discard(self)
        self._stop_waiting()
        self._head_is_complete()
        self._stop_watching()
        self._count_out()
        for exchange in self._exchanges:
            exchange.disconnect()
        self._exchanges.clear()
        self._flow.resume_writing()
        self._forget_parser()

    def pause_writing(self) -> None:
        self._flow.pause_writing()

    def resume_writing(self) -> None:
        self._flow.resume_writing()

    # Input: the parser

    def on_message_begin(self) -> None:
        self._stop_waiting()
        if len(self._exchanges) > PIPELINE:  # one read can hold two thousand requests
            self._stop(
                RateLimited(
                    f"{PIPELINE} requests wait on this connection, which is the limit; expected answers to be read first"
                )
            )
        self._url = b""
        self._headers = []
        self._in_head, self._expects = True, False
        self._head_bytes = self._head_fields = self._idle_bytes = 0
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(
                self.manager.settings.limits.head_seconds, self._contained, self._head_is_late
            )

    def on_url(self, url: bytes) -> None:
        self._count_head(len(url))
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_head(len(name) + len(value) + 4)
        self._head_fields += 1
        if self._head_fields > HEAD_FIELDS:
            self._stop(
                HeadTooLarge(
                    f"the request has more than {HEAD_FIELDS} header fields, which is the limit"
                )
            )
        if not self._in_head:
            return  # a trailer: fields behind the body are no part of the head (RFC 9110, 6.5.1)
        name = name.lower()
        value = value.rstrip(request_head.SPACE)  # the parser takes away what is in front
        if name == b"expect" and value.lower() == b"100-continue":
            self._expects = True
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._head_is_complete()
        self._in_head = False
        self._chunked = any(name == b"transfer-encoding" for name, _ in self._headers)
        self._head_bytes = self._head_fields = self._idle_bytes = 0
        version = self._parser.get_http_version()
        try:
            request_head.check(version, self._headers)
        except InvalidRequest as error:
            self._stop(error)
        if not self._parser.should_upgrade():  # otherwise `_feed` decides
            self._begin(version)

    def on_body(self, body: bytes) -> None:
        self._idle_bytes = 0
        exchange = self._exchange
        if exchange is None or exchange.complete:
            return
        exchange.body += body
        if len(exchange.body) > HIGH_WATER_LIMIT:
            self._flow.pause_reading()
        exchange.arrived()

    def on_message_complete(self) -> None:
        exchange = self._exchange
        if exchange is None or self._parser.should_upgrade():
            return
        self.transport.unread = False
        exchange.more_body = False
        if (
            exchange.keep_alive and not self._parser.should_keep_alive()
        ):  # a trailer said so: the parser looks at nothing more
            exchange.keep_alive = False
            if exchange.complete:
                self.transport.close()
                return
        if not exchange.complete:
            exchange.arrived()
        elif self._end_timer is not None:  # the rest of a body whose request was answered
            self._wait()

    # Input: the node

    def last_call(self) -> bool:
        """The server is about to stop: close behind the answer that is due, or soon. False when none is due."""
        if self._busy:
            self._exchanges[
                -1
            ].keep_alive = False  # which the answer says (RFC 9112, 9.6), unless it has begun
            return True
        if self._waits:
            self._stop_waiting()
            self._end_timer = self.loop.call_later(LAST_CALL, self.transport.close)
        return False

    def shutdown(self) -> None:
        """Uvicorn stops."""
        if self._busy:
            self._exchanges[-1].keep_alive = False
        else:
            self.transport.close()

    def retire(self) -> None:
        """It has waited long enough for a request.

        One that crosses the end of the connection is not looked at, and is met by no reset: nothing was done, the client can send it again.
        """
        self._contained(self._retire)  # others make way with it, or want its place

    def _retire(self) -> None:
        self._stop_waiting()
        self._count_out()
        self._leave(b"")

    # Private: requests

    def _hold(self, data: bytes, seconds: float) -> None:
        """The rest is parsed in a turn to come; it has had so much CPU time."""
        self._rest, self._flow.held = data, True
        self._flow.pause_reading()
        turns = self.manager.turns
        turns.spend(seconds)
        turns.later(partial(self._contained, self._go_on), turns.served(0.0, seconds), len(data))

    def _go_on(self) -> None:
        if self._rest:
            data, self._rest = self._rest, b""
            self._flow.held = False
            self.data_received(data)
            full = len(self._exchanges) > 1 or (
                self._exchange is not None and len(self._exchange.body) > HIGH_WATER_LIMIT
            )
            if not full and not self.transport.raw.is_closing():
                self._flow.resume_reading()

    def _feed(self, data: bytes, behind: bytes) -> None:
        """Parse. `behind`: what is to be parsed next. Raises HttpParserError."""
        while data:
            try:
                self._parser.feed_data(data)
                return
            except (
                httptools.HttpParserUpgrade
            ) as upgrade:  # the parser takes no body of a request with an Upgrade
                data = data[upgrade.args[0] :]
            method, version = self._parser.get_method(), self._parser.get_http_version()
            if method == b"CONNECT":
                self._fail(MethodNotAllowed("this server is no proxy, and has no method CONNECT"))
                return
            if request_head.wants_websocket(method, version, self._headers):
                self._upgrade(data + behind)
                return
            data = request_head.without_upgrade(method, self._url, version, self._headers) + data
            self._parser = self._new_parser()

    def _begin(self, version: str) -> None:
        """A request's head is complete."""
        try:
            url = httptools.parse_url(self._url)
            raw_path = url.path or b"/"
            path = raw_path.decode("ascii")
        except (httptools.HttpParserError, UnicodeDecodeError):
            self._stop(InvalidRequest("the address is not a URL"))
        if self._full and not self._busy and raw_path not in PROBED_PATHS:
            self._stop(self._full)
        scope = {
            "type": "http",
            "asgi": ASGI,
            "http_version": version,
            "server": self._server,
            "client": self.client,
            "scheme": "https" if self._secure else "http",
            "method": self._parser.get_method().decode("ascii"),
            "root_path": "",
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": url.query or b"",
            "headers": self._headers,
            "state": self._state.copy(),
            "extensions": self._extensions,
        }
        exchange = Exchange(
            scope, self.transport, self._flow, self._server_state.default_headers, self._answered
        )
        exchange.keep_alive = (
            self._parser.should_keep_alive()
            and self._health_probe is None
            and not self.manager.hub.draining
        )
        if self._expects and version != "1.0":
            exchange.expect()
        self.transport.unread = True
        if self._health_probe:
            self._health_probe.asked = True
        self._exchange = exchange
        self._exchanges.append(exchange)
        if len(self._exchanges) == 1:
            self._start(exchange)
        else:
            self._flow.pause_reading()

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES:
            self._stop(_head_too_large())

    def _start(self, exchange: Exchange) -> None:
        self.manager.request_starts.start(partial(self._run, exchange))

    def _run(self, exchange: Exchange) -> None:
        task = self.loop.create_task(exchange.run(self._app, self.manager.request_starts.ran))
        task.add_done_callback(self._server_state.tasks.discard)
        self._server_state.tasks.add(task)

    def _answered(self) -> None:
        """The first exchange's answer is complete."""
        if self._exchanges:
            self._exchanges.popleft()
        if self._health_probe:
            self.loop.call_soon(
                self.manager.connection_limits.health_probes.answered, self._health_probe
            )  # by then what the kernel takes is written
            self._head_is_complete()  # one behind this: there will be no other
            self._head_timer = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)
        if self.transport.raw.is_closing():
            return
        self._flow.resume_reading()
        if self.transport.is_closing():
            return
        if self._exchanges:
            self._start(self._exchanges[0])
        elif self._last_words:
            self._say_last_words()
        elif self._head_timer is None:  # otherwise the next request has begun
            self._wait()

    def _upgrade(self, tail: bytes) -> None:
        if self._full and not self._busy:
            self._fail(self._full)
        elif self._busy:
            self._fail(InvalidRequest("an upgrade behind an unanswered request"))
        elif request_head.has_body(self._headers):
            self._fail(InvalidRequest("the handshake of a WebSocket has a body; expected none"))
        else:
            self._peers.discard(self)
            self._forget_parser()
            transport = self.transport.raw
            websocket = WebSocketProtocol(self.manager, transport, self._peers, self._place)
            transport.set_protocol(websocket)
            request = UpgradeRequest("GET", self._url, self._headers, tail)
            Upgrade(self.manager, transport, websocket, request).answer()

    def _unforeseen(self, error: httptools.HttpParserError) -> EventHubError | None:
        """What a callback of ours raised, which the parser hands on, is no fault of the client."""
        cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else None
        if not isinstance(cause, Exception):
            return None
        self.manager.hub.faults.note("http", cause)
        return internal()

    def _contained(self, act: Callable[[], None]) -> None:
        """What a timer does: a fault ends this connection."""
        try:
            act()
        except Exception as error:
            self.manager.hub.faults.note("http", error)
            self.transport.abort()

    @property
    def _listens(self) -> bool:
        """More of what was received may be parsed, and here."""
        return not self._deaf and self._parser is not None and not self.transport.is_closing()

    @property
    def _busy(self) -> bool:
        return bool(self._exchanges)

    # Private: waiting

    @property
    def _waits(self) -> bool:
        """Nothing is under way but the wait for the next request, or for the rest of a body."""
        return self._idle or self._end_timer is not None

    def _wait(self) -> None:
        """For the next request, or for the rest of a body that nobody reads."""
        self._stop_waiting()
        if self.transport.unread:
            self._end_timer = self.loop.call_later(BODY_MOMENT, self.transport.close)
        else:
            self._idle = True
            self._exchange, self._headers = None, []
            self.manager.connection_limits.idle.enter(self, self._place, self.loop)

    def _stop_waiting(self) -> None:
        if self._idle:
            self._idle = False
            self.manager.connection_limits.idle.leave(self, self._place)
        elif self._end_timer is not None:
            self._end_timer.cancel()
            self._end_timer = None

    def _head_is_complete(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _malformed(self, error: httptools.HttpParserError, data: bytes) -> InvalidRequest:
        if self.transport.unread:
            return InvalidRequest(f"the framing of the body is malformed: {error}")
        if self._parser.get_method() == b"PRI":
            return InvalidRequest("this is the preface of HTTP/2; expected HTTP/1.1")
        if self._in_head and self._url:
            return InvalidRequest(
                f"the head of the request is malformed: {error}; expected HTTP/1.1 (RFC 9112)"
            )
        if data.startswith(TLS):
            return InvalidRequest(
                "this is the beginning of TLS, and this port does not speak it; expected http:// or ws://"
            )
        return InvalidRequest(f"this is not an HTTP request: {error}; expected HTTP/1.1")

    def _head_is_late(self) -> None:
        self._head_timer = None
        seconds = self.manager.settings.limits.head_seconds
        self._fail(
            RequestTimeout(
                f"no complete request came within {seconds:g} seconds (limits.head_seconds)"
            ).with_limit("head_seconds")
        )

    # Private: ends

    def _stop(self, fault: EventHubError) -> NoReturn:
        """End the parser; `data_received` answers."""
        self._fault = fault
        raise ValueError(fault.code)

    def _fail(self, error: EventHubError) -> None:
        """What comes is no request, or no body: read no more. It is answered behind what came before it."""
        if self.transport.is_closing() or self._deaf:
            return
        self._head_is_complete()
        self._stop_waiting()
        if self._full and not self._busy:
            self._turn_away(self._full)
            return
        self._deaf = True
        self._idle_bytes = 0
        exchange = self._exchange
        if (
            exchange is not None and self.transport.unread
        ):  # what is wrong with a body is for whoever reads it
            exchange.spoil(error)
            if exchange.complete:
                self.transport.close()
            return
        self.manager.hub.refused(error)
        self._last_words = encode_problem(error)
        if not self._busy:
            self._say_last_words()

    def _say_last_words(self) -> None:
        self.transport.write(self._last_words)
        # whatever more is sent shall not reset the connection before the client has read this
        self.transport.unread = True
        self.transport.close()

    def _count_out(self) -> None:
        if self._counted:
            self._counted = False
            self.manager.connection_limits.disconnect(self._place)

    def _give_way(self) -> None:
        """Another wants to watch."""
        if self.transport.is_closing():
            self.transport.abort()  # answered, and slow to read that
        elif self._full:
            self._turn_away(self._full)

    def _stop_watching(self) -> None:
        if self._health_probe:
            self.manager.connection_limits.health_probes.leave(self._health_probe)
            self._health_probe = None  # it knows us

    def _turn_away(self, error: NodeFull) -> None:
        """It is not one that watches: its place is another's, however long it stays."""
        self._stop_watching()
        self._head_is_complete()
        self.manager.hub.refused(error)
        self._leave(encode_problem(error))

    def _leave(self, said: bytes) -> None:
        """This is no connection of the node any more."""
        self._peers.discard(self)
        self._refuse(self.transport.raw, said)

    def _refuse(self, transport: asyncio.Transport, said: bytes) -> None:
        self._forget_parser()
        transport.set_protocol(RejectedConnection(transport, said, self.refusals))

    def _new_parser(self) -> Any:
        parser = httptools.HttpRequestParser(self)
        parser.set_dangerous_leniencies(
            lenient_data_after_close=True
        )  # behind a request that says Connection: close
        return parser

    def _forget_parser(self) -> None:
        """It knows us: together we would wait for the garbage collector."""
        self._parser = None
        if self._rest:
            self._rest, self._flow.held = b"", False
            self._flow.resume_reading()


def _head_too_large() -> HeadTooLarge:
    return HeadTooLarge(f"the request's head has more than {HEAD_BYTES} bytes, which is the limit")


def _address(transport: asyncio.Transport, name: str) -> tuple[str, int] | None:
    address = transport.get_extra_info(name)
    return (canonical(address[0]), address[1]) if isinstance(address, tuple) else None


def protocol_for(manager: ConnectionManager) -> type[HttpProtocol]:
    """The class to give to uvicorn, which builds protocols without arguments of ours."""
    return type("BoundHttpProtocol", (HttpProtocol,), {"manager": manager, "refusals": set()})
