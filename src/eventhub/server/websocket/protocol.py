"""One WebSocket connection: an asyncio protocol outside, a session inside.

It follows the states of `state.py`. `upgrade.py` opens it, `frame_parser.py` parses. Each frame is
built once for all its readers and written straight to the transport.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from eventhub.delivery.bulk_write import Write
from eventhub.delivery.encoding import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    WEBSOCKET,
    WebSocketEncoding,
    frame,
)
from eventhub.errors import EventHubError, ShuttingDown, SlowConsumer, UnsupportedMediaType
from eventhub.events.event import NewEvent
from eventhub.events.references import Reference
from eventhub.server.connections.liveness import Liveness, outgoing
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.connections.rejected_connection import LINGER_SECONDS
from eventhub.server.security.connection_limits import Slot
from eventhub.server.streams.outbox import CLOSE_SECONDS
from eventhub.server.websocket import frame_parser
from eventhub.server.websocket.publish_queue import PublishQueue
from eventhub.server.websocket.reader import FrameReader
from eventhub.server.websocket.state import TRANSITIONS, WebSocketState, WebSocketTrigger
from eventhub.server.websocket.transport_setup import pipe, set_buffer_sizes
from eventhub.session.commands import Ref
from eventhub.session.session import Session


class WebSocketProtocol(asyncio.Protocol):
    """One connection (RFC 6455). It is the writer of its session."""

    __slots__ = (
        "_close_timer", "_connections", "_liveness", "_loop", "_manager", "_publish_queue",
        "_reader", "_session", "_transport", "encoding", "end_reason", "full", "pipe", "slot",
        "state", "write",
    )  # fmt: skip
    transport = "websocket"

    def __init__(
        self,
        manager: ConnectionManager,
        transport: asyncio.Transport,
        connections: set[Any],
        slot: Slot | None,
    ) -> None:
        """`connections`: uvicorn's set of the open ones. `slot`: the one of the TCP connection."""
        self._manager = manager
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._connections = connections
        self.slot = slot
        self.state = WebSocketState.HANDSHAKE
        self._reader = FrameReader(manager, transport, self._loop, self)
        self._session: Session | None = None  # there is one in OPEN
        self._publish_queue: PublishQueue | None = None  # made for the first publish
        self._close_timer: asyncio.TimerHandle | None = None
        self._liveness = Liveness(self._loop.time())
        self.end_reason = ""
        self.encoding: WebSocketEncoding = WEBSOCKET
        self.full = False
        self.pipe = pipe(transport, native=manager.settings.native)
        self.write: Write = self.pipe
        connections.add(self)

    # Input: the upgrade

    def open(
        self, session: Session, answer: bytes, encoding: WebSocketEncoding, *, deflate: bool
    ) -> None:
        """Send the 101 response and begin the session."""
        set_buffer_sizes(self._transport, self._manager)
        self.write(answer)
        self.encoding = encoding
        self._reader.start(deflate=deflate)
        self._session = session
        self._move(WebSocketTrigger.ACCEPTED)
        session.hello()

    def expect_first_message(self) -> None:
        """End the connection unless a message comes within `limits.first_frame_seconds`."""
        self._reader.expect_first_message()

    def refuse(self, response: bytes) -> None:
        """Send a response with an error status, and close so that the client can read it.

        The kernel resets a connection that is closed with unread bytes, and the response would be
        lost. So end our half, and discard what the client sends for a moment.
        """
        self._transport.write(response)
        self._move(WebSocketTrigger.REFUSED)
        if self._transport.can_write_eof():
            self._transport.write_eof()
            self._close_timer = self._loop.call_later(LINGER_SECONDS, self._transport.abort)
        else:
            self._transport.close()

    def refuse_page(self, response: bytes, error: EventHubError) -> None:
        """Send a 101 response with an error message, then close: pages see no other status."""
        self._reader.start()  # for the client's close frame
        self._transport.write(response)
        self.close(error.close_code, error.code)

    def give_up(self) -> None:
        """A fault stopped the handshake: undo its steps."""
        self._end_session()
        self._manager.closed(self)

    # Input: asyncio's protocol

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
        except Exception as error:
            self._manager.registry.fail_after_fault(self, "message", error)
            self._manager.contained(self, "message", self.stop_parsing)

    def eof_received(self) -> bool:
        """Half-closed is closed: there are no half-open WebSockets (RFC 6455, 7.1.5)."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        manager = self._manager
        self.pipe.close()
        if self._close_timer is not None:
            self._close_timer.cancel()
        self._move(WebSocketTrigger.LOST)
        self._connections.discard(self)
        steps = (
            self._reader.discard,
            self._end_session,
            lambda: manager.closed(self),
            lambda: manager.connection_limits.disconnect(self.slot),
        )
        for step in steps:  # a fault in one must not prevent the others
            manager.hub.faults.contain("connection_lost", step)

    def pause_writing(self) -> None:
        """The outgoing buffer is full. asyncio calls this inside `write`: do the rest later."""
        self.full = True
        self._loop.call_soon(self._contained("congested", self._congested))

    def resume_writing(self) -> None:
        """The outgoing buffer has drained to a quarter."""
        self.full = False
        self._loop.call_soon(self._contained("drained", self._drained))

    def shutdown(self) -> None:
        """The server stops, and this connection has not closed after its goodbye."""
        self._transport.close()

    # Input: the connection manager

    def buffered(self) -> int:
        return self._transport.get_write_buffer_size()

    def takes_signal(self, size: int) -> bool:
        return self.buffered() + size <= self._manager.signal_room

    def heartbeat(self) -> None:
        if self.state is not WebSocketState.OPEN or self._transport.is_closing():
            return
        out = outgoing(self._transport)
        heard, self._reader.heard = self._reader.heard, False
        timeouts, reads = self._manager.liveness_timeouts, not self._reader.paused
        error = self._liveness.dead(
            self._loop.time(), out, timeouts, heard=heard, reads=reads, full=self.full
        )
        self._reader.rest()
        if error is not None:
            self.fail(error)
        elif (payload := self._liveness.ping(out)) is not None:
            self.write(frame(payload, PING))

    def goodbye(self, error: ShuttingDown) -> None:
        if self._session is not None:
            self._session.goodbye(error)
            self.close(frame_parser.SERVICE_RESTART, error.code)

    def fail(self, error: EventHubError) -> None:
        """End the connection. The client is sent the error if there is room for it."""
        self._manager.hub.refused(error)
        if self._session is not None and not self.full and not isinstance(error, SlowConsumer):
            self._session.error(error)
        self.close(error.close_code, error.code)

    def abort(self) -> None:
        self.end_reason = "cut off"
        self._transport.abort()

    # Input: the session

    def submit(self, ref: Ref, event: NewEvent, reference: Reference | None = None) -> None:
        """Publish an event of the client. `ref` is the client's name for the command."""
        if self._publish_queue is None:
            assert self._session is not None  # which received the command
            fail = partial(self._manager.registry.fail, self)
            hub, session = self._manager.hub, self._session.id
            self._publish_queue = PublishQueue(hub, self._published, fail, session)
        if not self._publish_queue.add(ref, event, reference):
            self._reader.pause_or_resume()

    # Input: the reader

    @property
    def accepts_commands(self) -> bool:
        """There is room for answers, and for publishes."""
        return not self.full and (self._publish_queue is None or self._publish_queue.roomy)

    def receive(self, opcode: int, payload: bytes) -> None:
        if opcode == CLOSE:
            self._close_received(payload)
        elif self.state is WebSocketState.CLOSING:
            return
        elif opcode == TEXT:
            self._reader.message_received()
            if self._session is not None:
                self._session.receive(payload)
        elif opcode == PING:
            if not self.full:  # an answer to the latest ping is enough (RFC 6455, 5.5.3)
                self.write(frame(payload, PONG))
        elif opcode == PONG and self._liveness.pong(payload):  # asked for, so it is no command
            self._reader.forgive(payload)
        elif opcode == BINARY:
            self.fail(UnsupportedMediaType("the message is binary; expected JSON in text frames"))

    def close(self, code: int, reason: str) -> None:
        """Send a close frame behind what is buffered, then wait a moment for the client's."""
        if self.state in (WebSocketState.CLOSING, WebSocketState.CLOSED):
            return
        self.pipe.release()
        self._end_session()
        self.end_reason = reason
        if self._transport.is_closing():
            return
        self._transport.write(frame(frame_parser.close_payload(code, reason), CLOSE))
        self._move(WebSocketTrigger.CLOSE_SENT)
        self._close_timer = self._loop.call_later(CLOSE_SECONDS, self._transport.abort)

    def stop_parsing(self) -> None:
        """The client's close frame cannot be read either: end our half, and wait for its end."""
        self._move(WebSocketTrigger.UNREADABLE)
        self._reader.stop()
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()

    # Private: the outgoing buffer

    def _congested(self) -> None:
        self._reader.pause_or_resume()
        if self.full and self._session is not None:
            self._session.congested()

    def _drained(self) -> None:
        self._reader.heard = True  # the client may have sent more, which was not read
        self._reader.pause_or_resume()
        if not self.full and self._session is not None:
            self._session.drained()

    def _published(self, ref: Ref, channel: str, outcome: Any) -> None:
        if self._session is not None:
            self._session.published(ref, channel, outcome)
        self._reader.pause_or_resume()

    # Private: the end

    def _close_received(self, payload: bytes) -> None:
        code = frame_parser.close_code(payload)
        self._end_session()
        self.end_reason = self.end_reason or f"client, {code}"
        if self.state is WebSocketState.OPEN:
            echo = b"" if code == frame_parser.NO_STATUS else frame_parser.close_payload(code, "")
            self._transport.write(frame(echo, CLOSE))
        self._move(WebSocketTrigger.CLOSE_RECEIVED)
        self._reader.stop()
        self._transport.close()

    def _end_session(self) -> None:
        """Write nothing of the session from now on, and end it."""
        self.pipe.close()
        session, self._session = self._session, None
        if session is not None:
            self._manager.end_session(session)

    def _move(self, trigger: WebSocketTrigger) -> None:
        self.state = TRANSITIONS[self.state][trigger]

    def _contained(self, where: str, act: Callable[[], None]) -> Callable[[], None]:
        """A callback for the event loop. A fault in it ends this connection only."""
        return partial(self._manager.contained, self, where, act)
