"""The WebSocket session over standard ASGI messages: for other servers and test clients. Slower than the fast lane, otherwise the same."""

import asyncio
from collections.abc import Callable
from functools import partial
from time import thread_time
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send

from eventhub.commands import Ref
from eventhub.encoding import LINES
from eventhub.errors import EventHubError, ShuttingDown, SlowConsumer, UnsupportedMediaType
from eventhub.event import NewEvent, Receipt
from eventhub.limits import commands
from eventhub.server.access import note
from eventhub.server.frames import SERVICE_RESTART
from eventhub.server.gateway import PATH, SUBPROTOCOL, Gateway, silent, too_large
from eventhub.server.guard import address_of
from eventhub.server.handshake import is_shown, not_here
from eventhub.server.outbox import Outbox
from eventhub.server.race import race
from eventhub.server.request_head import combined
from eventhub.server.submissions import Submissions
from eventhub.server.wanted import Wanted
from eventhub.session import Session


class Line(Outbox):
    """Tells its client why it ends, unless the client is too slow to be told."""

    __slots__ = ("on_error",)
    on_error: Callable[[EventHubError], None]

    def fail(self, error: EventHubError) -> None:
        if not self._closed and not isinstance(error, SlowConsumer):
            self.on_error(error)
        super().fail(error)


class WebSocketShell:
    """One connection. The server below it does the framing, the pings and the close handshake."""

    transport = "websocket"
    _session: Session
    _submissions: Submissions

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        on_full = partial(gateway.contained, self, "congested", self._congested)
        on_drained = partial(gateway.contained, self, "drained", self._drained)
        self._outbox = Line(LINES, gateway.settings.limits.buffer_bytes, on_full, on_drained)
        self._room = asyncio.Event()
        self._room.set()
        self._close = (SERVICE_RESTART, "")

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the connection until either side ends it."""
        await receive()  # websocket.connect
        gateway = self._gateway
        offered = scope.get("subprotocols", ())
        try:
            if scope["path"] != PATH:
                raise not_here(scope["path"])
            query, headers = gateway.guard.lift(scope["query_string"], combined(scope["headers"]))
            gateway.hosts.check(headers.get(b"host"))
            gateway.origins.check(headers)
            principal = await gateway.guard.admit(headers, offered, address_of(scope))
            visit = gateway.visits.enter(principal, address_of(scope))
            self._session = gateway.session(self._outbox, self._submit, visit)
            self._submissions = Submissions(gateway.hub, self._published, self._give_up, visit.id)
            note(scope, session=visit.id)
            self._outbox.on_fail, self._outbox.on_error = partial(gateway.end_session, self._session), self._session.error
            with gateway.admission.seat(scope):
                gateway.opened(self, visit, self._session)
                await self._serve(query, SUBPROTOCOL if SUBPROTOCOL in offered else None, receive, send)
        except EventHubError as error:  # nothing of what was accepted raises one
            self._gateway.hub.refused(error)
            if not is_shown(error, scope["headers"]):
                await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if SUBPROTOCOL in offered else None})
                await send({"type": "websocket.send", "text": orjson.dumps({"type": "error", **error.as_dict()}).decode()})
            await send({"type": "websocket.close", "code": error.close_code, "reason": error.code})

    async def _serve(self, query: bytes, subprotocol: str | None, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "websocket.accept", "subprotocol": subprotocol})  # which fails when the client has gone
            await race(self._send(send), self._read(query, receive))
        finally:
            self._gateway.deadlines.clear((self, "first"))
            self._outbox.discard()
            self._gateway.end_session(self._session)
            self._gateway.closed(self)

    @property
    def why(self) -> str:
        """What ended it."""
        return self._outbox.error.code if self._outbox.error is not None else self._close[1]

    def buffered(self) -> int:
        """Bytes waiting to be sent."""
        return self._outbox.size

    def beat(self) -> None:
        """The server below pings."""

    def goodbye(self, error: ShuttingDown) -> None:
        """Say so, flush, close."""
        self._session.goodbye(error)
        self._close = (SERVICE_RESTART, error.code)
        self._outbox.close()
        self._gateway.end_session(self._session)

    def abort(self) -> None:
        """Give up what is buffered; the server below does the rest."""
        self._outbox.discard()

    async def _read(self, query: bytes, receive: Receive) -> None:
        self._session.hello()
        seconds = self._gateway.settings.limits.first_frame_seconds
        try:
            wanted = Wanted(query)
            wanted.subscribe(self._session)
            if not wanted.channels:
                dismiss = partial(self._gateway.contained, self, "deadline", lambda: self.fail(silent(seconds)))
                self._gateway.deadlines.after((self, "first"), seconds, dismiss)
        except EventHubError as error:
            self.fail(error)
        bucket, clock, turns = self._gateway.bucket(), asyncio.get_running_loop().time, self._gateway.turns
        served = 0.0
        while (message := await receive())["type"] == "websocket.receive":
            self._gateway.deadlines.clear((self, "first"))
            if turns.over:
                await turns.another(served, len(message.get("text") or b""))
            begin = thread_time()
            if self._outbox.error is None:
                self._gateway.contained(self, "message", partial(self._receive, message))
            seconds = thread_time() - begin
            turns.spend(seconds)
            served = turns.served(served, seconds)
            count = commands(1, len(message.get("text") or b""), seconds)
            if wait := bucket.charge(count, clock() * 1000):  # the server below reads no more meanwhile
                self._gateway.hub.delayed("commands")
                await asyncio.sleep(wait)
            await self._room.wait()
        self._outbox.close()

    def _receive(self, message: Any) -> None:
        text = message.get("text")
        limit = self._gateway.session_limits.message_bytes
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
        self._gateway.visits.fail(self, error)

    async def _send(self, send: Send) -> None:
        while (data := await self._outbox.take(self._gateway.settings.heartbeat)) is not None:
            for line in data.decode().split("\n")[:-1]:
                await send({"type": "websocket.send", "text": line})
        error = self._outbox.error
        code, reason = (error.close_code, error.code) if error else self._close
        await send({"type": "websocket.close", "code": code, "reason": reason})

    def _congested(self) -> None:
        self._regulate()
        if self._outbox.full:
            self._session.congested()

    def _drained(self) -> None:
        self._regulate()
        if not self._outbox.full:
            self._session.drained()

    def _submit(self, ref: Ref, event: NewEvent) -> None:
        self._submissions.add(ref, event)
        self._regulate()

    def _published(self, ref: Ref, channel: str, outcome: Receipt | EventHubError) -> None:
        self._session.published(ref, channel, outcome)
        self._regulate()

    def _regulate(self) -> None:
        if self._outbox.full or not self._submissions.roomy:
            self._room.clear()
        else:
            self._room.set()
