"""Live HTTP responses: Server-Sent Events and NDJSON. A session without commands, its outbox sent as it fills."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from starlette.types import Receive, Scope, Send

from eventhub.common.concurrency import race
from eventhub.delivery.encoding import EVENT_STREAM, LINES
from eventhub.errors import EventHubError, Forbidden, ShuttingDown
from eventhub.events.event import NewEvent
from eventhub.server.connections.access_log import note
from eventhub.server.connections.identity import ConnectionIdentity
from eventhub.server.connections.liveness import Liveness, OutgoingBytes
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.messages.asgi_extensions import ABORT, HALF_CLOSED
from eventhub.server.messages.security_headers import LIVE
from eventhub.server.streams.outbox import CursorOutbox, Outbox
from eventhub.server.streams.query import StreamQuery
from eventhub.session.commands import Ref

MEDIA_TYPES = {"sse": b"text/event-stream", "ndjson": b"application/x-ndjson"}
FIRST_PAUSE = 0.1
"""Seconds between the first two beats to a client that may have gone; then twice as long each time."""
HEARTBEATS = {"sse": b": heartbeat\n", "ndjson": b"\n"}
"""Without an empty line: httpx-sse and @microsoft/fetch-event-source make a message without data of
each, which is no JSON.
"""


class StreamResponse:
    """One response. An ASGI application that serves one request; subscribing in the constructor raises EventHubError."""

    def __init__(
        self,
        manager: ConnectionManager,
        transport: str,
        wanted: StreamQuery,
        identity: ConnectionIdentity,
    ) -> None:
        self.transport = transport
        self._abort: Callable[[], None] = _nothing
        self._outgoing: Callable[[], OutgoingBytes] = _unknown
        self._liveness = Liveness(time.monotonic(), speaks=False)
        self._manager = manager
        self._heartbeat = manager.settings.heartbeat
        bound = manager.settings.limits.buffer_bytes
        on_full = partial(manager.contained, self, "congested", self._congested)
        on_drained = partial(manager.contained, self, "drained", self._drained)
        if transport == "sse" and len(wanted.channels) > 1:
            self._outbox: Outbox = CursorOutbox(wanted.positions(), bound, on_full, on_drained)
        else:
            self._outbox = Outbox(
                EVENT_STREAM if transport == "sse" else LINES, bound, on_full, on_drained
            )
        self._over = ""
        self._next_probe: asyncio.TimerHandle | None = None
        self._identity = identity
        self._session = manager.session(self._outbox, _refuse, identity)
        self._outbox.on_fail = partial(manager.end_session, self._session)
        self._late = manager.drain.refusing
        if self._late and transport != "sse":
            raise manager.drain.shutting_down()
        if self._late:
            # nobody becomes a subscriber, or a member, of a node that is about to stop; `__call__`
            # says goodbye
            return
        try:
            wanted.subscribe(self._session)
        except BaseException:
            self._outbox.discard()
            manager.end_session(self._session)
            raise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._outbox.on_late = self._abort = abort_of(scope)
        self._outgoing = outgoing_of(scope)
        note(scope, session=self._identity.id)
        try:
            if self.transport == "sse" and self._manager.drain.refusing:
                # any answer but 200 would be the last that an EventSource asks for (WHATWG HTML,
                # 9.2.3)
                self.goodbye(self._manager.drain.shutting_down())
                return await self._send(send)
            with self._manager.connection_limits.counted(scope):
                self._manager.opened(self, self._identity, self._session)
                await race(self._send(send), self._watch(receive))
        finally:
            if self._next_probe is not None:
                self._next_probe.cancel()
            self._outbox.discard()
            self._manager.end_session(self._session)
            self._manager.closed(self)

    @property
    def why(self) -> str:
        """What ended it."""
        return self._outbox.error.code if self._outbox.error is not None else self._over

    def buffered(self) -> int:
        """Bytes waiting to be sent."""
        return self._outbox.size

    def beat(self) -> None:
        """The sender beats by itself. Whether the peer takes what it sends is looked at here."""
        if self._outbox.error is not None:
            return  # it is ending
        out = self._outgoing()
        if error := self._liveness.dead(
            time.monotonic(),
            out,
            self._manager.liveness_timeouts,
            heard=False,
            reads=True,
            full=False,
        ):
            self.fail(error)
        self._liveness.ping(out)

    def goodbye(self, error: ShuttingDown) -> None:
        """Say so, flush, end the response."""
        self._over = error.code
        self._session.goodbye(error)
        self._outbox.close()
        self._manager.end_session(self._session)

    def fail(self, error: EventHubError) -> None:
        """Say why, flush, end the response."""
        self._session.error(error)
        self._outbox.fail(error)

    def abort(self) -> None:
        """Cut the response off."""
        self._abort()

    async def _send(self, send: Send) -> None:
        headers = [(b"content-type", MEDIA_TYPES[self.transport]), *LIVE]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if self.transport == "sse":
            hint = b"retry: %d\n" % random.randint(
                1000, 3000
            )  # so that a crowd does not come back at one moment
            await send({"type": "http.response.body", "body": hint, "more_body": True})
        while (data := await self._outbox.take(self._heartbeat)) is not None:
            await send(
                {
                    "type": "http.response.body",
                    "body": data or HEARTBEATS[self.transport],
                    "more_body": True,
                }
            )
        await send({"type": "http.response.body", "body": b""})

    async def _watch(self, receive: Receive) -> None:
        """Until the client is gone.

        One that has ended its half of the connection may have gone, or read on: as `printf … | nc -N` does. Only what is sent finds out:
        to one that has gone the second beat fails.
        """
        with suppress(EventHubError):  # a body that nobody asked for, and that is malformed
            while (kind := (await receive())["type"]) != "http.disconnect":
                if kind == HALF_CLOSED:
                    self._probe(FIRST_PAUSE)

    def _probe(self, pause: float) -> None:
        self._outbox.beat()
        if pause < self._heartbeat:
            again = partial(self._probe, 2 * pause)
            self._next_probe = asyncio.get_running_loop().call_later(
                pause, self._manager.contained, self, "probe", again
            )

    def _congested(self) -> None:
        if self._outbox.full:
            self._session.congested()

    def _drained(self) -> None:
        if not self._outbox.full:
            self._session.drained()


def abort_of(scope: Scope) -> Callable[[], None]:
    """How to cut this response off; nothing happens under servers that cannot."""
    extension = scope.get("extensions", {}).get(ABORT)
    abort: Callable[[], None] = extension["abort"] if extension else _nothing
    return abort


def outgoing_of(scope: Scope) -> Callable[[], OutgoingBytes]:
    """How to ask what the peer has taken; servers that cannot tell look after it themselves."""
    extension = scope.get("extensions", {}).get(ABORT)
    ask: Callable[[], OutgoingBytes] = extension["outgoing"] if extension else _unknown
    return ask


def _unknown() -> OutgoingBytes:
    return OutgoingBytes(0, 0)


def _nothing() -> None:
    """No way to cut a response off."""


def _refuse(ref: Ref, event: NewEvent) -> None:
    raise Forbidden(
        "a stream takes no events"
    )  # unreachable: a stream passes no commands to its session
