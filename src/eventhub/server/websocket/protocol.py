"""The fast lane: a WebSocket protocol of our own, one slotted object per connection, which is its session's writer.

Frames are built once and written straight to the transport. `server/http/protocol.py` hands upgrades over, with the bytes that came behind them.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator
from functools import partial
from http import HTTPStatus
from itertools import chain
from time import thread_time
from typing import Any

from eventhub.auth.tokens import UnknownKey
from eventhub.common.faults import internal
from eventhub.common.token_bucket import commands
from eventhub.delivery.encoding import (
    BINARY,
    CLOSE,
    DEFLATE,
    PING,
    PONG,
    TEXT,
    WEBSOCKET,
    WebSocketEncoding,
    frame,
)
from eventhub.delivery.writes import ClosableWriter, Pipe, PlainPipe, Write
from eventhub.errors import (
    EventHubError,
    ShuttingDown,
    SlowConsumer,
    UnsupportedMediaType,
)
from eventhub.events.event import NewEvent
from eventhub.server.connections.limit_errors import no_first_message, too_large, too_slow
from eventhub.server.connections.liveness import LEAST_RATE, Liveness, outgoing
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.connections.rejected_connection import LINGER_SECONDS
from eventhub.server.connections.turns import BURST, SLICE_SECONDS
from eventhub.server.messages.problem import encode_problem
from eventhub.server.security.connection_limits import Slot
from eventhub.server.streams.outbox import CLOSE_SECONDS
from eventhub.server.streams.query import StreamQuery
from eventhub.server.websocket.frames import (
    NO_STATUS,
    SERVICE_RESTART,
    FrameParser,
    MessageTooLong,
    ProtocolViolation,
    close_code,
    close_payload,
)
from eventhub.server.websocket.handshake import negotiate, opening_of_page
from eventhub.server.websocket.publish_queue import PublishQueue
from eventhub.session.commands import Ref
from eventhub.session.session import Session

READ_BYTES = 32 * 1024
"""For what a WebSocket client sends ahead, where messages may not be larger: the kernel's buffer,
and so what one read brings.
"""
HOLD_SECONDS = 0.1
"""Who is too fast is read again after so long at least: waking up for each single frame would cost
more than the frame.
"""


def pipe(transport: asyncio.Transport, *, native: bool) -> ClosableWriter:
    """A way out, past the transport where there can be one. Under TLS there cannot."""
    sock = transport.get_extra_info("socket")
    if (
        not native
        or Pipe is None
        or sock is None
        or transport.get_extra_info("sslcontext") is not None
    ):
        return PlainPipe(transport.write)
    return Pipe(transport, sock.fileno())


class WebSocketProtocol(asyncio.Protocol):
    """One WebSocket connection: RFC 6455 on the outside, a session inside."""

    __slots__ = (
        "_began",
        "_bucket",
        "_closing",
        "_heard",
        "_held",
        "_liveness",
        "_loop",
        "_manager",
        "_mute",
        "_parser",
        "_pause",
        "_peers",
        "_pipe",
        "_place",
        "_publish_queue",
        "_served",
        "_session",
        "_transport",
        "encoding",
        "full",
        "why",
        "write",
    )  # fmt: skip
    transport = "websocket"

    def __init__(
        self,
        manager: ConnectionManager,
        transport: asyncio.Transport,
        peers: set[Any],
        place: Slot | None,
    ) -> None:
        self._manager = manager
        self._place = place
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._peers = peers
        self._parser: FrameParser | None = None
        self._session: Session | None = None
        self._publish_queue: PublishQueue | None = None
        self._closing: asyncio.TimerHandle | None = None
        self.why = ""
        self._heard = False  # something came since the last heartbeat
        self._liveness = Liveness(self._loop.time())
        self._mute = False  # no message has come, and one must
        self._began = 0.0  # when the message under way did, on the loop's clock; 0.0 without one
        self._bucket = manager.bucket()
        self._held: Iterator[tuple[int, bytes]] | None = None  # what has been read and must wait
        self._served = 0.0  # where it stands among those that wait for a turn
        self._pause: asyncio.TimerHandle | None = None  # until then
        self.encoding: WebSocketEncoding = WEBSOCKET
        self.full = False
        self._pipe = pipe(transport, native=manager.settings.native)
        self.write: Write = self._pipe
        peers.add(self)

    # Construction: the handshake, RFC 6455, 4.2

    def handshake(
        self,
        method: str,
        url: bytes,
        headers: list[tuple[bytes, bytes]],
        tail: bytes,
        *,
        refreshed: bool | None = None,
    ) -> None:
        """Answer an upgrade request. `tail` is what the client sent right behind it, `refreshed`: what `Guard.refresh` said."""
        try:
            self._shake_hands(method, url, headers, tail, refreshed)
        except Exception as error:
            self._manager.hub.faults.note("handshake", error)
            self._give_up_handshake(method, url, headers, internal())

    def _give_up_handshake(
        self, method: str, url: bytes, headers: list[tuple[bytes, bytes]], error: EventHubError
    ) -> None:
        if self._parser is None:  # nothing has been answered yet
            self._end()
            self._manager.closed(self)
            self._refuse(error, method, url, headers)
        else:
            self._manager.connections.fail(self, error)

    def _shake_hands(
        self,
        method: str,
        url: bytes,
        headers: list[tuple[bytes, bytes]],
        tail: bytes,
        refreshed: bool | None,  # noqa: FBT001
    ) -> None:
        manager = self._manager
        try:
            client = self._client(headers)
            agreement = negotiate(manager, method, url, headers, client)
            if self._place is None:
                self._place = manager.connection_limits.session(client)
            identity = manager.connections.enter(agreement.principal, client)
            session = manager.session(self, self._submit, identity)
            manager.opened(self, identity, session)
        except UnknownKey as unknown:
            if refreshed is not None:
                self._refuse(
                    manager.authentication.unknown(unknown, refreshed=refreshed),
                    method,
                    url,
                    headers,
                )
                return
            self._transport.pause_reading()
            manager.hub.spawn(
                self._handshake_with_keys(method, url, headers, tail), "handshake",
                partial(self._give_up_handshake, method, url, headers),
            )  # fmt: skip
            return
        except EventHubError as error:
            self._refuse(error, method, url, headers)
            return
        if manager.access.on:
            self._log_access(method, url, HTTPStatus.SWITCHING_PROTOCOLS, client, identity.id)
        bound = manager.settings.limits.buffer_bytes
        self._transport.set_write_buffer_limits(high=bound, low=bound // 4)
        if (sock := self._transport.get_extra_info("socket")) is not None:
            sock.setsockopt(
                socket.SOL_SOCKET,
                socket.SO_RCVBUF,
                max(READ_BYTES, manager.session_limits.message_bytes // 2),
            )
        self.write(agreement.answer)
        if agreement.deflate:
            self.encoding = DEFLATE
        self._parser = FrameParser(manager.session_limits.message_bytes, deflate=agreement.deflate)
        self._session = session
        session.hello()
        try:
            wanted = StreamQuery(agreement.query)
            wanted.subscribe(session)
            if not wanted.channels:
                self._mute = True
                manager.deadlines.after(
                    (self, "first"),
                    manager.settings.limits.first_frame_seconds,
                    self._deadline(self._is_mute),
                )
        except EventHubError as error:
            self.fail(error)
        if tail:
            self.data_received(tail)

    async def _handshake_with_keys(
        self, method: str, url: bytes, headers: list[tuple[bytes, bytes]], tail: bytes
    ) -> None:
        """Once more, with the key that the token names, if it can be had. Nothing is read from the client meanwhile."""
        refreshed = await self._manager.authentication.refresh()
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self.handshake(method, url, headers, tail, refreshed=refreshed)

    def _refuse(
        self, error: EventHubError, method: str, url: bytes, headers: list[tuple[bytes, bytes]]
    ) -> None:
        if self._transport.is_closing():  # the client has gone while a key was looked for
            return
        if self._manager.access.on:
            self._log_access(method, url, error.status, self._client(headers), None)
        self._manager.hub.refused(error)
        if (opening := opening_of_page(error, method, headers)) is None:
            self._transport.write(encode_problem(error))
            self._linger()
        else:
            self._parser = FrameParser(
                self._manager.session_limits.message_bytes, deflate=False
            )  # for the peer's close
            self._transport.write(opening + WEBSOCKET.message("error", error.as_dict()))
            self._close(error.close_code, error.code)

    # Input: asyncio's protocol

    def data_received(self, data: bytes) -> None:
        try:
            self._read(data)
        except Exception as error:
            self._manager.connections.broke(self, "message", error)
            self._manager.contained(self, "message", self._give_up_reading)

    def _read(self, data: bytes) -> None:
        self._heard = True
        if self._parser is None:
            return  # refused
        frames = self._parser.feed(data)
        if self._held is not None:
            self._held = chain(self._held, frames)  # TLS had deciphered it already
        elif self._manager.turns.over:
            self._wait_for_turn(frames, len(data))
        else:
            self._take(self._parser, frames)

    def _take(self, parser: FrameParser, frames: Iterator[tuple[int, bytes]]) -> None:
        begin = now = thread_time()
        try:
            for opcode, payload in frames:
                self._receive(opcode, payload)
                if self._parser is None:
                    return
                before, now = now, thread_time()
                if wait := self._owed(parser, now - before):
                    self._hold(frames, wait)
                    return
                if now - begin >= SLICE_SECONDS:
                    self._served = self._manager.turns.served(self._served, now - begin)
                    self._wait_for_turn(frames)
                    return
            if parser.frames and (
                wait := self._owed(parser, 0)
            ):  # fragments of a message that is not complete
                self._hold(frames, wait)
            elif (parser.pending is not None) != bool(self._began):
                self._begin_or_end()
        except ProtocolViolation as violation:
            self._close(violation.code, violation.reason)
            self._give_up_reading()
        except MessageTooLong:
            self.fail(
                too_large(
                    "the message is larger",
                    "event_bytes",
                    self._manager.session_limits.message_bytes,
                )
            )
            self._give_up_reading()
        finally:
            self._manager.turns.spend(now - begin)

    def eof_received(self) -> bool:
        """Half-closed is closed (RFC 6455, 7.1.5): there are no half-open WebSockets."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        manager = self._manager
        self._pipe.close()
        for handle in (self._pause, self._closing):
            if handle is not None:
                handle.cancel()
        self._held = self._parser = None
        self._peers.discard(self)
        steps = (
            self._clear_deadlines,
            self._end,
            lambda: manager.closed(self),
            lambda: manager.connection_limits.disconnect(self._place),
        )
        for step in steps:  # whatever goes wrong with one: nothing of a connection may stay
            manager.hub.faults.contain("connection_lost", step)

    def _clear_deadlines(self) -> None:
        if self._mute:
            self._manager.deadlines.clear((self, "first"))
        if self._began:
            self._manager.deadlines.clear((self, "message"))

    def pause_writing(self) -> None:
        """The outgoing buffer is at its bound. Comes from inside `write`, so nothing else may be done here."""
        self.full = True
        self._loop.call_soon(self._manager.contained, self, "congested", self._congested)

    def resume_writing(self) -> None:
        """It has drained to a quarter."""
        self.full = False
        self._loop.call_soon(self._manager.contained, self, "drained", self._drained)

    def shutdown(self) -> None:
        """Uvicorn stops. Whoever is still here did not go after goodbye."""
        self._transport.close()

    # Input: the node

    def buffered(self) -> int:
        return self._transport.get_write_buffer_size()

    def beat(self) -> None:
        if self._closing is not None or self._transport.is_closing():
            return
        out = outgoing(self._transport)
        heard, self._heard = self._heard, False
        if error := self._liveness.dead(
            self._loop.time(),
            out,
            self._manager.patience,
            heard=heard,
            reads=not self._waits(),
            full=self.full,
        ):
            self.fail(error)
        elif (place := self._liveness.ping(out)) is not None:
            self.write(frame(place, PING))

    def goodbye(self, error: ShuttingDown) -> None:
        if self._session is not None and self._closing is None:
            self._session.goodbye(error)
            self._close(SERVICE_RESTART, error.code)

    def fail(self, error: EventHubError) -> None:
        """End the connection: feeds' and our own way out. It is told why where there is room for it."""
        self._manager.hub.refused(error)
        if self._session is not None and not self.full and not isinstance(error, SlowConsumer):
            self._session.error(error)
        self._close(error.close_code, error.code)

    def abort(self) -> None:
        self.why = "cut off"
        self._transport.abort()

    # Private

    def _log_access(
        self, method: str, url: bytes, status: int, client: str, session: str | None
    ) -> None:
        self._manager.access.write(
            method, url.partition(b"?")[0].decode("latin-1"), status, client, session=session
        )

    def _client(self, headers: list[tuple[bytes, bytes]]) -> str:
        peer = self._transport.get_extra_info("peername") or ("",)
        return self._manager.proxies.client(peer[0], headers)

    def _receive(self, opcode: int, payload: bytes) -> None:
        if opcode == CLOSE:
            self._closed_by_peer(payload)
        elif self._closing is not None:
            return  # only the peer's close matters now (7.1.1)
        elif opcode == TEXT:
            if self._mute:
                self._mute = False
                self._manager.deadlines.clear((self, "first"))
            if self._session is not None:
                self._session.receive(payload)
        elif opcode == PING:
            if not self.full:  # the answer to the latest is enough (5.5.3)
                self.write(frame(payload, PONG))
        elif opcode == PONG:
            self._liveness.pong(payload)
        elif opcode == BINARY:
            self.fail(UnsupportedMediaType("the message is binary; expected JSON in text frames"))

    def _closed_by_peer(self, payload: bytes) -> None:
        code = close_code(payload)
        self._end()
        self.why = self.why or f"client, {code}"
        if self._closing is None:
            self._transport.write(
                frame(b"" if code == NO_STATUS else close_payload(code, ""), CLOSE)
            )
        self._parser = None
        self._transport.close()

    def _close(self, code: int, reason: str) -> None:
        """Send a close frame behind what is buffered, then wait for the peer's, but not for long."""
        if self._closing is not None:
            return
        self._end()
        self.why = reason
        if self._transport.is_closing():
            return
        self._transport.write(frame(close_payload(code, reason), CLOSE))
        self._closing = self._loop.call_later(CLOSE_SECONDS, self._transport.abort)

    def _linger(self) -> None:
        """End our half, and throw away for a moment what the peer sends: closed with bytes unread, the answer would be lost."""
        if self._transport.can_write_eof():
            self._transport.write_eof()
            self._closing = self._loop.call_later(LINGER_SECONDS, self._transport.abort)
        else:
            self._transport.close()

    def _give_up_reading(self) -> None:
        """What follows cannot be understood, not even the peer's close: end our half, and let the peer end its own."""
        self._parser = None
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()

    def _end(self) -> None:
        """The session is over: nothing of it is written from now on."""
        self._pipe.close()
        session, self._session = self._session, None
        if session is not None:
            self._manager.end_session(session)

    def _regulate(self) -> None:
        """Read no commands while their answers would find no room, or while publishes wait."""
        if self._transport.is_closing():
            return
        if self._waits():
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _waits(self) -> bool:
        return (
            self.full
            or self._held is not None
            or (self._publish_queue is not None and not self._publish_queue.roomy)
        )

    def _owed(self, parser: FrameParser, seconds: float) -> float:
        """Pay for the frames, which took so much CPU time; how long to read no more."""
        count = commands(parser.frames, parser.size, seconds)
        parser.frames = parser.size = 0
        return self._bucket.charge(count, self._loop.time() * 1000)

    def _wait_for_turn(self, frames: Iterator[tuple[int, bytes]], size: int = BURST) -> None:
        """Others have theirs. Nothing more is read meanwhile."""
        self._held = frames
        self._manager.turns.later(
            partial(self._manager.contained, self, "pace", self._go_on), self._served, size
        )
        self._regulate()

    def _hold(self, frames: Iterator[tuple[int, bytes]], wait: float) -> None:
        """The client is too fast. What has been read waits here, what has not in the kernel, then at the client: nothing is lost."""
        self._held = frames
        self._pause = self._loop.call_later(
            max(wait, HOLD_SECONDS), self._manager.contained, self, "pace", self._paused
        )
        self._manager.hub.delayed("commands")
        self._regulate()

    def _paused(self) -> None:
        """Long enough."""
        self._pause = None
        if self._manager.turns.over:
            self._manager.turns.later(
                partial(self._manager.contained, self, "pace", self._go_on), self._served
            )
        else:
            self._go_on()

    def _go_on(self) -> None:
        frames, self._held = self._held, None
        if self._parser is None or frames is None:
            return
        self._heard = True  # it was us who did not listen
        self._take(self._parser, frames)
        if self._held is None:
            self._regulate()

    def _begin_or_end(self) -> None:
        """A message has begun and is not complete, or the one that had is."""
        key = (self, "message")
        if self._began:
            self._began = 0.0
            self._manager.deadlines.clear(key)
        else:
            self._began = self._loop.time()
            self._manager.deadlines.after(
                key,
                self._manager.settings.limits.body_seconds,
                self._deadline(self._message_is_due),
            )

    def _deadline(self, act: Callable[[], None]) -> Callable[[], None]:
        return partial(self._manager.contained, self, "deadline", act)

    def _message_is_due(self) -> None:
        pending = self._parser.pending if self._parser is not None else None
        if pending is None:
            self._began = 0.0
            return
        seconds = self._manager.settings.limits.body_seconds
        if self._held is not None or self.full:
            self._began = self._loop.time()  # it was us who did not listen
        due = self._began + seconds + pending / LEAST_RATE
        if due > self._loop.time():
            self._manager.deadlines.set(
                (self, "message"), due, self._deadline(self._message_is_due)
            )
        else:
            self._began = 0.0
            self.fail(too_slow("the message", seconds))

    def _is_mute(self) -> None:
        self._mute = False
        self.fail(no_first_message(self._manager.settings.limits.first_frame_seconds))

    def _congested(self) -> None:
        self._regulate()
        if self.full and self._session is not None:
            self._session.congested()

    def _drained(self) -> None:
        self._heard = True  # what it has said meanwhile has not been read
        self._regulate()
        if not self.full and self._session is not None:
            self._session.drained()

    def _submit(self, ref: Ref, event: NewEvent) -> None:
        if self._publish_queue is None:
            assert self._session is not None  # whose command it is
            self._publish_queue = PublishQueue(
                self._manager.hub, self._published, self._give_up, self._session.id
            )
        if not self._publish_queue.add(ref, event):
            self._regulate()

    def _give_up(self, error: EventHubError) -> None:
        self._manager.connections.fail(self, error)

    def _published(self, ref: Ref, channel: str, outcome: Any) -> None:
        if self._session is not None:
            self._session.published(ref, channel, outcome)
        self._regulate()
