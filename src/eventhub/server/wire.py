"""The fast lane: a WebSocket protocol of our own, one slotted object per connection, which is its session's writer.

Frames are built once and written straight to the transport. `http_protocol.py` hands upgrades over, with the bytes that came behind them.
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
from eventhub.commands import Ref
from eventhub.encoding import BINARY, CLOSE, DEFLATE, PING, PONG, TEXT, WEBSOCKET, WebSocketEncoding, frame
from eventhub.errors import (
    EventHubError,
    ShuttingDown,
    SlowConsumer,
    UnsupportedMediaType,
)
from eventhub.event import NewEvent
from eventhub.faults import internal
from eventhub.limits import commands
from eventhub.server.admission import Place
from eventhub.server.frames import NO_STATUS, SERVICE_RESTART, Parser, TooLong, Violation, close_code, close_payload
from eventhub.server.gateway import Gateway, silent, too_large, too_late
from eventhub.server.handshake import agree, opening_of_page, refusal
from eventhub.server.liveness import LEAST_RATE, Liveness, outgoing
from eventhub.server.outbox import CLOSE_SECONDS
from eventhub.server.refusal import LINGER_SECONDS
from eventhub.server.submissions import Submissions
from eventhub.server.turns import BURST, SLICE_SECONDS
from eventhub.server.wanted import Wanted
from eventhub.session import Session
from eventhub.writes import Closable, Pipe, PlainPipe, Write

READ_BYTES = 32 * 1024
"""For what a WebSocket client sends ahead, where messages may not be larger: the kernel's buffer, and so what one read brings."""
HOLD_SECONDS = 0.1
"""Who is too fast is read again after so long at least: waking up for each single frame would cost more than the frame."""


def pipe(transport: asyncio.Transport, *, native: bool) -> Closable:
    """A way out, past the transport where there can be one. Under TLS there cannot."""
    sock = transport.get_extra_info("socket")
    if not native or Pipe is None or sock is None or transport.get_extra_info("sslcontext") is not None:
        return PlainPipe(transport.write)
    return Pipe(transport, sock.fileno())


class WebSocketProtocol(asyncio.Protocol):
    """One WebSocket connection: RFC 6455 on the outside, a session inside."""

    __slots__ = (
        "_began", "_bucket", "_closing", "_gateway", "_heard", "_held", "_liveness", "_loop", "_mute", "_parser", "_pause",
        "_peers", "_pipe", "_place", "_served", "_session", "_submissions", "_transport", "encoding", "full", "why", "write",
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
        self.why = ""
        self._heard = False  # something came since the last heartbeat
        self._liveness = Liveness(self._loop.time())
        self._mute = False  # no message has come, and one must
        self._began = 0.0  # when the message under way did, on the loop's clock; 0.0 without one
        self._bucket = gateway.bucket()
        self._held: Iterator[tuple[int, bytes]] | None = None  # what has been read and must wait
        self._served = 0.0  # where it stands among those that wait for a turn
        self._pause: asyncio.TimerHandle | None = None  # until then
        self.encoding: WebSocketEncoding = WEBSOCKET
        self.full = False
        self._pipe = pipe(transport, native=gateway.settings.native)
        self.write: Write = self._pipe
        peers.add(self)

    # Construction: the handshake, RFC 6455, 4.2

    def handshake(self, method: str, url: bytes, headers: list[tuple[bytes, bytes]], tail: bytes, *, looked: bool | None = None) -> None:
        """Answer an upgrade request. `tail` is what the client sent right behind it, `looked`: what `Guard.refresh` said."""
        try:
            self._shake_hands(method, url, headers, tail, looked)
        except Exception as error:
            self._gateway.hub.faults.note("handshake", error)
            self._give_up_handshake(method, url, headers, internal())

    def _give_up_handshake(self, method: str, url: bytes, headers: list[tuple[bytes, bytes]], error: EventHubError) -> None:
        if self._parser is None:  # nothing has been answered yet
            self._end()
            self._gateway.closed(self)
            self._refuse(error, method, url, headers)
        else:
            self._gateway.visits.fail(self, error)

    def _shake_hands(self, method: str, url: bytes, headers: list[tuple[bytes, bytes]], tail: bytes, looked: bool | None) -> None:  # noqa: FBT001
        gateway = self._gateway
        try:
            client = self._client(headers)
            agreement = agree(gateway, method, url, headers, client)
            if self._place is None:
                self._place = gateway.admission.session(client)
            visit = gateway.visits.enter(agreement.principal, client)
            session = gateway.session(self, self._submit, visit)
            gateway.opened(self, visit, session)
        except UnknownKey as unknown:
            if looked is not None:
                self._refuse(gateway.guard.unknown(unknown, looked=looked), method, url, headers)
                return
            self._transport.pause_reading()
            gateway.hub.spawn(
                self._handshake_with_keys(method, url, headers, tail), "handshake",
                partial(self._give_up_handshake, method, url, headers),
            )  # fmt: skip
            return
        except EventHubError as error:
            self._refuse(error, method, url, headers)
            return
        if gateway.access.on:
            self._log_access(method, url, HTTPStatus.SWITCHING_PROTOCOLS, client, visit.id)
        bound = gateway.settings.limits.buffer_bytes
        self._transport.set_write_buffer_limits(high=bound, low=bound // 4)
        if (sock := self._transport.get_extra_info("socket")) is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, max(READ_BYTES, gateway.session_limits.message_bytes // 2))
        self.write(agreement.answer)
        if agreement.deflate:
            self.encoding = DEFLATE
        self._parser = Parser(gateway.session_limits.message_bytes, deflate=agreement.deflate)
        self._session = session
        session.hello()
        try:
            wanted = Wanted(agreement.query)
            wanted.subscribe(session)
            if not wanted.channels:
                self._mute = True
                gateway.deadlines.after((self, "first"), gateway.settings.limits.first_frame_seconds, self._deadline(self._is_mute))
        except EventHubError as error:
            self.fail(error)
        if tail:
            self.data_received(tail)

    async def _handshake_with_keys(self, method: str, url: bytes, headers: list[tuple[bytes, bytes]], tail: bytes) -> None:
        """Once more, with the key that the token names, if it can be had. Nothing is read from the client meanwhile."""
        looked = await self._gateway.guard.refresh()
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self.handshake(method, url, headers, tail, looked=looked)

    def _refuse(self, error: EventHubError, method: str, url: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        if self._transport.is_closing():  # the client has gone while a key was looked for
            return
        if self._gateway.access.on:
            self._log_access(method, url, error.status, self._client(headers), None)
        self._gateway.hub.refused(error)
        if (opening := opening_of_page(error, method, headers)) is None:
            self._transport.write(refusal(error))
            self._linger()
        else:
            self._parser = Parser(self._gateway.session_limits.message_bytes, deflate=False)  # for the peer's close
            self._transport.write(opening + WEBSOCKET.message("error", error.as_dict()))
            self._close(error.close_code, error.code)

    # Input: asyncio's protocol

    def data_received(self, data: bytes) -> None:
        try:
            self._read(data)
        except Exception as error:
            self._gateway.visits.broke(self, "message", error)
            self._gateway.contained(self, "message", self._give_up_reading)

    def _read(self, data: bytes) -> None:
        self._heard = True
        if self._parser is None:
            return  # refused
        frames = self._parser.feed(data)
        if self._held is not None:
            self._held = chain(self._held, frames)  # TLS had deciphered it already
        elif self._gateway.turns.over:
            self._wait_for_turn(frames, len(data))
        else:
            self._take(self._parser, frames)

    def _take(self, parser: Parser, frames: Iterator[tuple[int, bytes]]) -> None:
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
                    self._served = self._gateway.turns.served(self._served, now - begin)
                    self._wait_for_turn(frames)
                    return
            if parser.frames and (wait := self._owed(parser, 0)):  # fragments of a message that is not complete
                self._hold(frames, wait)
            elif (parser.pending is not None) != bool(self._began):
                self._begin_or_end()
        except Violation as violation:
            self._close(violation.code, violation.reason)
            self._give_up_reading()
        except TooLong:
            self.fail(too_large("the message is larger", "event_bytes", self._gateway.session_limits.message_bytes))
            self._give_up_reading()
        finally:
            self._gateway.turns.spend(now - begin)

    def eof_received(self) -> bool:
        """Half-closed is closed (RFC 6455, 7.1.5): there are no half-open WebSockets."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        gateway = self._gateway
        self._pipe.close()
        for handle in (self._pause, self._closing):
            if handle is not None:
                handle.cancel()
        self._held = self._parser = None
        self._peers.discard(self)
        steps = (self._clear_deadlines, self._end, lambda: gateway.closed(self), lambda: gateway.admission.disconnect(self._place))
        for step in steps:  # whatever goes wrong with one: nothing of a connection may stay
            gateway.hub.faults.contain("connection_lost", step)

    def _clear_deadlines(self) -> None:
        if self._mute:
            self._gateway.deadlines.clear((self, "first"))
        if self._began:
            self._gateway.deadlines.clear((self, "message"))

    def pause_writing(self) -> None:
        """The outgoing buffer is at its bound. Comes from inside `write`, so nothing else may be done here."""
        self.full = True
        self._loop.call_soon(self._gateway.contained, self, "congested", self._congested)

    def resume_writing(self) -> None:
        """It has drained to a quarter."""
        self.full = False
        self._loop.call_soon(self._gateway.contained, self, "drained", self._drained)

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
            self._loop.time(), out, self._gateway.patience, heard=heard, reads=not self._waits(), full=self.full
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
        self._gateway.hub.refused(error)
        if self._session is not None and not self.full and not isinstance(error, SlowConsumer):
            self._session.error(error)
        self._close(error.close_code, error.code)

    def abort(self) -> None:
        self.why = "cut off"
        self._transport.abort()

    # Private

    def _log_access(self, method: str, url: bytes, status: int, client: str, session: str | None) -> None:
        self._gateway.access.write(method, url.partition(b"?")[0].decode("latin-1"), status, client, session=session)

    def _client(self, headers: list[tuple[bytes, bytes]]) -> str:
        peer = self._transport.get_extra_info("peername") or ("",)
        return self._gateway.proxies.client(peer[0], headers)

    def _receive(self, opcode: int, payload: bytes) -> None:
        if opcode == CLOSE:
            self._closed_by_peer(payload)
        elif self._closing is not None:
            return  # only the peer's close matters now (7.1.1)
        elif opcode == TEXT:
            if self._mute:
                self._mute = False
                self._gateway.deadlines.clear((self, "first"))
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
            self._transport.write(frame(b"" if code == NO_STATUS else close_payload(code, ""), CLOSE))
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
            self._gateway.end_session(session)

    def _regulate(self) -> None:
        """Read no commands while their answers would find no room, or while publishes wait."""
        if self._transport.is_closing():
            return
        if self._waits():
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _waits(self) -> bool:
        return self.full or self._held is not None or (self._submissions is not None and not self._submissions.roomy)

    def _owed(self, parser: Parser, seconds: float) -> float:
        """Pay for the frames, which took so much CPU time; how long to read no more."""
        count = commands(parser.frames, parser.size, seconds)
        parser.frames = parser.size = 0
        return self._bucket.charge(count, self._loop.time() * 1000)

    def _wait_for_turn(self, frames: Iterator[tuple[int, bytes]], size: int = BURST) -> None:
        """Others have theirs. Nothing more is read meanwhile."""
        self._held = frames
        self._gateway.turns.later(partial(self._gateway.contained, self, "pace", self._go_on), self._served, size)
        self._regulate()

    def _hold(self, frames: Iterator[tuple[int, bytes]], wait: float) -> None:
        """The client is too fast. What has been read waits here, what has not in the kernel, then at the client: nothing is lost."""
        self._held = frames
        self._pause = self._loop.call_later(max(wait, HOLD_SECONDS), self._gateway.contained, self, "pace", self._paused)
        self._gateway.hub.delayed("commands")
        self._regulate()

    def _paused(self) -> None:
        """Long enough."""
        self._pause = None
        if self._gateway.turns.over:
            self._gateway.turns.later(partial(self._gateway.contained, self, "pace", self._go_on), self._served)
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
            self._gateway.deadlines.clear(key)
        else:
            self._began = self._loop.time()
            self._gateway.deadlines.after(key, self._gateway.settings.limits.body_seconds, self._deadline(self._message_is_due))

    def _deadline(self, act: Callable[[], None]) -> Callable[[], None]:
        return partial(self._gateway.contained, self, "deadline", act)

    def _message_is_due(self) -> None:
        pending = self._parser.pending if self._parser is not None else None
        if pending is None:
            self._began = 0.0
            return
        seconds = self._gateway.settings.limits.body_seconds
        if self._held is not None or self.full:
            self._began = self._loop.time()  # it was us who did not listen
        due = self._began + seconds + pending / LEAST_RATE
        if due > self._loop.time():
            self._gateway.deadlines.set((self, "message"), due, self._deadline(self._message_is_due))
        else:
            self._began = 0.0
            self.fail(too_late("the message", seconds))

    def _is_mute(self) -> None:
        self._mute = False
        self.fail(silent(self._gateway.settings.limits.first_frame_seconds))

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
        if self._submissions is None:
            assert self._session is not None  # whose command it is
            self._submissions = Submissions(self._gateway.hub, self._published, self._give_up, self._session.id)
        if not self._submissions.add(ref, event):
            self._regulate()

    def _give_up(self, error: EventHubError) -> None:
        self._gateway.visits.fail(self, error)

    def _published(self, ref: Ref, channel: str, outcome: Any) -> None:
        if self._session is not None:
            self._session.published(ref, channel, outcome)
        self._regulate()
