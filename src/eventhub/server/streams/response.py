"""A stream of Server-Sent Events or NDJSON: a session without commands, and its outbox."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from starlette.types import Receive, Scope, Send

from eventhub.common.concurrency import race
from eventhub.delivery.cursor_encoding import CURSOR_BLOCKS, CURSOR_LINES, CursorForm
from eventhub.errors import EventHubError, Forbidden, ShuttingDown
from eventhub.events.event import NewEvent
from eventhub.events.references import Reference
from eventhub.server.connections.access_log import note
from eventhub.server.connections.identity import ConnectionIdentity
from eventhub.server.connections.liveness import Liveness, OutgoingBytes
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.messages.asgi_extensions import ABORT, HALF_CLOSED
from eventhub.server.messages.security_headers import LIVE
from eventhub.server.streams.outbox import CursorOutbox, Outbox
from eventhub.server.streams.pattern_query import PatternQuery
from eventhub.server.streams.query import StreamQuery
from eventhub.session.commands import Ref

FORMS: dict[str, CursorForm] = {"sse": CURSOR_BLOCKS, "ndjson": CURSOR_LINES}
"""How a stream writes events and messages, unless its reader asks for CloudEvents."""
MEDIA_TYPES = {"sse": b"text/event-stream", "ndjson": b"application/x-ndjson"}
HEARTBEATS = {"sse": b": heartbeat\n", "ndjson": b"\n"}
"""No empty line ends the comment: httpx-sse and @microsoft/fetch-event-source would make a message
of it without data, which is not JSON.
"""
FIRST_PROBE_SECONDS = 0.1
"""Pause between the first two probes of a client that may have gone. Each next pause is doubled."""
RECONNECT_MILLISECONDS = 1000, 3000
"""A client reconnects after a random time between these, so that not all come at one moment."""


class StreamResponse:
    """An ASGI application that serves one request.

    The constructor subscribes, and raises EventHubError. `form` is one of FORMS, or CloudEvents.
    """

    def __init__(
        self,
        manager: ConnectionManager,
        transport: str,
        query: StreamQuery | PatternQuery,
        identity: ConnectionIdentity,
        form: CursorForm,
    ) -> None:
        if manager.drain.refusing and transport != "sse":
            raise manager.drain.shutting_down()
        self.transport = transport
        self._manager = manager
        self._identity = identity
        self._heartbeat = manager.settings.heartbeat
        self._liveness = Liveness(time.monotonic(), speaks=False)
        self._end_code = ""
        self._next_probe: asyncio.TimerHandle | None = None
        self._abort: Callable[[], None] = _cannot_abort
        self._outgoing: Callable[[], OutgoingBytes] = _cannot_tell
        self._outbox = self._new_outbox(query, form)
        self._session = manager.session(self._outbox, self, identity)
        self._outbox.on_fail = partial(manager.end_session, self._session)
        if manager.drain.refusing:
            return  # a node that is about to stop accepts no subscription: `__call__` says goodbye
        try:
            query.subscribe(self._session)
        except BaseException:
            self._outbox.discard()
            manager.end_session(self._session)
            raise

    def _new_outbox(self, query: StreamQuery | PatternQuery, form: CursorForm) -> Outbox:
        bound = self._manager.settings.limits.buffer_bytes
        on_full = partial(self._manager.contained, self, "congested", self._congested)
        on_drained = partial(self._manager.contained, self, "drained", self._drained)
        if isinstance(query, PatternQuery):
            cursors = self._manager.hub.patterns.cursors
            return query.outbox(form, cursors, bound, on_full, on_drained)
        if self.transport == "sse" and len(query.channels) > 1:
            return CursorOutbox(form, query.positions(), bound, on_full, on_drained)
        return Outbox(form.plain, bound, on_full, on_drained)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._outbox.on_timeout = self._abort = abort_of(scope)
        self._outgoing = outgoing_of(scope)
        note(scope, session=self._identity.id)
        try:
            if self.transport == "sse" and self._manager.drain.refusing:
                # Status 200: an EventSource reconnects after no other (WHATWG HTML, 9.2.3).
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
    def end_reason(self) -> str:
        """What ended the stream."""
        return self._outbox.error.code if self._outbox.error is not None else self._end_code

    def buffered(self) -> int:
        """Bytes waiting to be sent."""
        return self._outbox.size

    def heartbeat(self) -> None:
        """Check whether the client takes the bytes. `_send` sends the heartbeats by itself."""
        if self._outbox.error is not None:
            return  # the stream is ending
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
        self._outbox.renew_cursor()

    def goodbye(self, error: ShuttingDown) -> None:
        """Send a goodbye, flush, end the response."""
        self._end_code = error.code
        self._session.goodbye(error)
        self._outbox.close()
        self._manager.end_session(self._session)

    def fail(self, error: EventHubError) -> None:
        """Send the error, flush, end the response."""
        self._session.error(error)
        self._outbox.fail(error)

    def abort(self) -> None:
        """Cut the response off."""
        self._abort()

    def submit(self, ref: Ref, event: NewEvent, reference: Reference | None = None) -> None:
        """Never called: a stream hands no commands to its session."""
        raise Forbidden("a stream takes no events")

    async def _send(self, send: Send) -> None:
        headers = [(b"content-type", MEDIA_TYPES[self.transport]), *LIVE]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if self.transport == "sse":
            delay = b"retry: %d\n" % random.randint(*RECONNECT_MILLISECONDS)
            await send({"type": "http.response.body", "body": delay, "more_body": True})
        while (data := await self._outbox.take(self._heartbeat)) is not None:
            body = data or HEARTBEATS[self.transport]
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _watch(self, receive: Receive) -> None:
        """Return when the client has disconnected.

        A client that has closed its half of the connection may have gone, or may still read, as
        `printf … | nc -N` does. Only sending shows which: the second heartbeat to a client that has
        gone fails.
        """
        with suppress(EventHubError):  # the request has a body, and that is malformed
            while (kind := (await receive())["type"]) != "http.disconnect":
                if kind == HALF_CLOSED:
                    self._probe(FIRST_PROBE_SECONDS)

    def _probe(self, pause: float) -> None:
        self._outbox.wake_sender()
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
    """The function that cuts this response off. It does nothing if the server offers none."""
    extension = scope.get("extensions", {}).get(ABORT)
    abort: Callable[[], None] = extension["abort"] if extension else _cannot_abort
    return abort


def outgoing_of(scope: Scope) -> Callable[[], OutgoingBytes]:
    """The function that returns the bytes taken by the client; (0, 0) if the server offers none.

    Such a server checks by itself whether its clients read.
    """
    extension = scope.get("extensions", {}).get(ABORT)
    outgoing: Callable[[], OutgoingBytes] = extension["outgoing"] if extension else _cannot_tell
    return outgoing


def _cannot_abort() -> None:
    return None


def _cannot_tell() -> OutgoingBytes:
    return OutgoingBytes(0, 0)
