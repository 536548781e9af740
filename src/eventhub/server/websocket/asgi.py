"""The WebSocket session over ASGI messages, for other servers and test clients.

It does the same as `protocol.py`, but more slowly.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from time import thread_time
from typing import Any

from starlette.types import Receive, Scope, Send

from eventhub.common.concurrency import race
from eventhub.common.token_bucket import commands
from eventhub.delivery.cloudevents import SUBPROTOCOL as CLOUDEVENTS
from eventhub.delivery.encoding import LINES
from eventhub.errors import EventHubError, ShuttingDown, SlowConsumer, UnsupportedMediaType
from eventhub.events.event import NewEvent, Receipt
from eventhub.events.references import Reference
from eventhub.server.connections.access_log import note
from eventhub.server.connections.limit_errors import no_first_message, too_large
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.messages.request_head import headers_by_name
from eventhub.server.security.authentication import address_of
from eventhub.server.streams.outbox import Outbox
from eventhub.server.streams.query import StreamQuery
from eventhub.server.websocket.frame_parser import SERVICE_RESTART
from eventhub.server.websocket.handshake import WEBSOCKET_PATH, chosen_of, is_shown, not_here
from eventhub.server.websocket.publish_queue import PublishQueue
from eventhub.session.cloudevents import CLOUDEVENT_DIALECT
from eventhub.session.commands import Ref
from eventhub.session.session import Session


class AsgiWriter(Outbox):
    """Sends the error that ends it to the client, unless the client reads too slowly."""

    __slots__ = ("on_error",)
    on_error: Callable[[EventHubError], None]

    def fail(self, error: EventHubError) -> None:
        if not self._closed and not isinstance(error, SlowConsumer):
            self.on_error(error)
        super().fail(error)


class AsgiWebSocket:
    """One connection. The ASGI server does the framing, the pings and the close handshake."""

    transport = "websocket"
    _session: Session
    _publish_queue: PublishQueue

    def __init__(self, manager: ConnectionManager) -> None:
        self._manager = manager
        on_full = partial(manager.contained, self, "congested", self._congested)
        on_drained = partial(manager.contained, self, "drained", self._drained)
        self._outbox = AsgiWriter(LINES, manager.settings.limits.buffer_bytes, on_full, on_drained)
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._close = (SERVICE_RESTART, "")

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the connection until either side ends it."""
        await receive()  # websocket.connect
        manager = self._manager
        offered = scope.get("subprotocols", ())
        subprotocol = chosen_of(offered)
        if subprotocol == CLOUDEVENTS:
            self._outbox.encoding = manager.cloud_encodings.lines
        try:
            if scope["path"] != WEBSOCKET_PATH:
                raise not_here(scope["path"])
            query, headers = manager.authentication.move_query_token(
                scope["query_string"], headers_by_name(scope["headers"])
            )
            manager.host_check.check(headers.get(b"host"))
            manager.origin_check.check(headers)
            principal = await manager.authentication.admit(headers, offered, address_of(scope))
            identity = manager.registry.new_identity(principal, address_of(scope))
            self._session = manager.session(self._outbox, self, identity)
            if subprotocol == CLOUDEVENTS:
                self._session.dialect = CLOUDEVENT_DIALECT
            self._publish_queue = PublishQueue(
                manager.hub, self._published, self._give_up, identity.id
            )
            note(scope, session=identity.id)
            self._outbox.on_fail, self._outbox.on_error = (
                partial(manager.end_session, self._session),
                self._session.error,
            )
            with manager.connection_limits.counted(scope):
                manager.opened(self, identity, self._session)
                await self._serve(query, subprotocol, receive, send)
        except EventHubError as error:  # an accepted connection raises none
            manager.hub.refused(error)
            if not is_shown(error, scope["headers"]):
                text = self._outbox.encoding.message("error", error.as_dict()).decode()
                await send({"type": "websocket.accept", "subprotocol": subprotocol})
                await send({"type": "websocket.send", "text": text.removesuffix("\n")})
            await send({"type": "websocket.close", "code": error.close_code, "reason": error.code})

    async def _serve(
        self, query: bytes, subprotocol: str | None, receive: Receive, send: Send
    ) -> None:
        try:
            # raises when the client has disconnected
            await send({"type": "websocket.accept", "subprotocol": subprotocol})
            await race(self._send(send), self._read(query, receive))
        finally:
            self._manager.deadlines.clear((self, "first"))
            self._outbox.discard()
            self._manager.end_session(self._session)
            self._manager.closed(self)

    @property
    def end_reason(self) -> str:
        """Why it ended."""
        return self._outbox.error.code if self._outbox.error is not None else self._close[1]

    def buffered(self) -> int:
        """Bytes waiting to be sent."""
        return self._outbox.size

    def heartbeat(self) -> None:
        """Does nothing: the ASGI server pings."""

    def goodbye(self, error: ShuttingDown) -> None:
        """Send the error, flush, close."""
        self._session.goodbye(error)
        self._close = (SERVICE_RESTART, error.code)
        self._outbox.close()
        self._manager.end_session(self._session)

    def abort(self) -> None:
        """Drop what is buffered. The ASGI server closes."""
        self._outbox.discard()

    def submit(self, ref: Ref, event: NewEvent, reference: Reference | None = None) -> None:
        """Publish an event of the client. `ref` is the client's name for the command."""
        self._publish_queue.add(ref, event, reference)
        self._pause_or_resume_reading()

    async def _read(self, query: bytes, receive: Receive) -> None:
        self._session.hello()
        self._subscribe(query)
        bucket, fair_queue = self._manager.command_bucket(), self._manager.fair_queue
        clock = asyncio.get_running_loop().time
        served = 0.0
        while (message := await receive())["type"] == "websocket.receive":
            self._manager.deadlines.clear((self, "first"))
            if fair_queue.over:
                await fair_queue.next_turn(served, len(message.get("text") or b""))
            begin = thread_time()
            if self._outbox.error is None:
                self._manager.contained(self, "message", partial(self._receive, message))
            seconds = thread_time() - begin
            fair_queue.spend(seconds)
            served = fair_queue.advanced_position(served, seconds)
            count = commands(1, len(message.get("text") or b""), seconds)
            if wait := bucket.charge(count, clock() * 1000):
                self._manager.hub.delayed("commands")
                await asyncio.sleep(wait)  # the ASGI server reads no more meanwhile
            await self._may_read.wait()
        self._outbox.close()

    def _subscribe(self, query: bytes) -> None:
        """Subscribe to the channels of the query string. Without any, a message must come soon."""
        seconds = self._manager.settings.limits.first_frame_seconds
        try:
            wanted = StreamQuery(query)
            wanted.subscribe(self._session)
            if not wanted.channels:
                fail = partial(self.fail, no_first_message(seconds))
                late = partial(self._manager.contained, self, "deadline", fail)
                self._manager.deadlines.after((self, "first"), seconds, late)
        except EventHubError as error:
            self.fail(error)

    def _receive(self, message: Any) -> None:
        text = message.get("text")
        limit = self._manager.session_limits.message_bytes
        if text is None:
            self.fail(UnsupportedMediaType("the message is binary; expected JSON in text frames"))
        elif len(encoded := text.encode()) > limit:
            self.fail(too_large("the message is larger", "event_bytes", limit))
        else:
            self._session.receive(encoded)

    def fail(self, error: EventHubError) -> None:
        """End the connection for this error."""
        self._outbox.fail(error)

    def _give_up(self, error: EventHubError) -> None:
        self._manager.registry.fail(self, error)

    async def _send(self, send: Send) -> None:
        while (data := await self._outbox.take(self._manager.settings.heartbeat)) is not None:
            for line in data.decode().split("\n")[:-1]:
                await send({"type": "websocket.send", "text": line})
        error = self._outbox.error
        code, reason = (error.close_code, error.code) if error else self._close
        await send({"type": "websocket.close", "code": code, "reason": reason})

    def _congested(self) -> None:
        self._pause_or_resume_reading()
        if self._outbox.full:
            self._session.congested()

    def _drained(self) -> None:
        self._pause_or_resume_reading()
        if not self._outbox.full:
            self._session.drained()

    def _published(self, ref: Ref, channel: str, outcome: Receipt | EventHubError) -> None:
        self._session.published(ref, channel, outcome)
        self._pause_or_resume_reading()

    def _pause_or_resume_reading(self) -> None:
        if self._outbox.full or not self._publish_queue.roomy:
            self._may_read.clear()
        else:
            self._may_read.set()
