"""What all transports share: limits, the open connections, heartbeats, and the goodbye to all of them."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import cached_property, partial
from typing import Protocol

import structlog

from eventhub.auth.grants import Action
from eventhub.common.token_bucket import TokenBucket
from eventhub.config.settings import Settings
from eventhub.delivery.subscriber import ConnectionWriter
from eventhub.errors import EventHubError, ShuttingDown
from eventhub.hub.hub import Hub
from eventhub.observability.metrics import Reading
from eventhub.server.connections.access_log import AccessLog
from eventhub.server.connections.deadlines import Deadlines
from eventhub.server.connections.drain import comeback, in_turn, together
from eventhub.server.connections.heartbeats import Heartbeats
from eventhub.server.connections.identity import ConnectionIdentity, Connections
from eventhub.server.connections.liveness import LivenessTimeouts
from eventhub.server.connections.operators import Operators
from eventhub.server.connections.request_starts import RequestStarts
from eventhub.server.connections.turns import LoopTurns, TurnShare
from eventhub.server.security.authentication import Authentication
from eventhub.server.security.connection_limits import ConnectionLimits, descriptors
from eventhub.server.security.forwarded import ForwardedAddresses
from eventhub.server.security.host_check import HostCheck
from eventhub.server.security.origin_check import OriginCheck
from eventhub.server.security.publish_quota import PublishQuota
from eventhub.session.session import Session, SessionLimits, Submit

BEATS = 500
"""Connections that get their heartbeat in one turn of the loop."""
READ_SLICE = 1000
"""Connections that metrics look at in one turn of the loop."""
FLUSH_SECONDS = 0.5
"""Longest wait for buffers to be flushed where nobody is served meanwhile. Whoever is cut off
resumes.
"""

log = structlog.get_logger("eventhub.connections")
_levels = logging.getLogger("eventhub.connections")
TRANSPORTS = ("websocket", "sse", "ndjson", "producer")


class SessionConnection(Protocol):
    """An open connection with a session."""

    transport: str
    """One of TRANSPORTS."""

    @property
    def why(self) -> str:
        """What ended it, once something has: a code of PROTOCOL.md, or a few words; "" when it was just gone."""
        ...

    def buffered(self) -> int:
        """Bytes waiting to be sent; none once it is closed."""
        ...

    def beat(self) -> None:
        """Called once a heartbeat: keep proxies from closing an idle connection, and end one whose peer is not there."""
        ...

    def goodbye(self, error: ShuttingDown) -> None:
        """Say so, and to come back after `error.retry_after` seconds; flush, close."""
        ...

    def fail(self, error: EventHubError) -> None:
        """End the connection for this error."""
        ...

    def abort(self) -> None:
        """Close at once, whatever is buffered."""
        ...


class ConnectionManager:
    """The connections of this node."""

    def __init__(self, settings: Settings, hub: Hub, authentication: Authentication) -> None:
        self.settings = settings
        self.hub = hub
        self.authentication = authentication
        self.access = AccessLog(settings.log)
        self.proxies = ForwardedAddresses(settings.proxies)
        self.hosts = HostCheck(settings)
        self.origins = OriginCheck(settings.origins)
        limits = settings.limits
        self.connection_limits = ConnectionLimits(limits, self.proxies, descriptors())
        self.rates = PublishQuota(
            hub.nodes, limits.publish_rate if settings.auth.configured else None, hub.now
        )
        self.connections = Connections(
            authentication,
            self.connection_limits.principals,
            self.rates,
            hub,
            lambda: self.deadlines,
            limits.first_frame_seconds,
        )
        self.admin = Operators(authentication, self.connections, hub)
        quiet = settings.auth.configured and not any(
            Action.PUBLISH in kind.anonymous for kind in hub.types
        )  # strangers publish nothing
        self.session_limits = SessionLimits(
            limits.event_bytes, limits.subscriptions, settings.heartbeat, limits.depth,
            min(limits.stranger_bytes, limits.event_bytes) if quiet else limits.event_bytes,
        )  # fmt: skip
        self._pace = (
            limits.commands,
            2 * limits.commands,
        )  # made once: thousands of buckets share the two numbers
        self._connections: dict[SessionConnection, ConnectionIdentity] = {}
        self.patience = LivenessTimeouts(settings.heartbeat, limits.stalled_seconds)
        self._heartbeats = Heartbeats[SessionConnection](settings.heartbeat)
        self._open, self._opened = (
            dict.fromkeys(TRANSPORTS, 0),
            dict.fromkeys(TRANSPORTS, 0),
        )  # now, and ever
        self._empty = asyncio.Event()
        self.start_seconds: float | None = None
        """How long this process took from its beginning until it listened, where that is known."""
        self.alone = False
        """It is about to stop, and nobody stands in for it: newcomers are served like the others."""
        self._told: int | None = None  # so many were sent away together; None before that

    def session(
        self, writer: ConnectionWriter, submit: Submit, identity: ConnectionIdentity
    ) -> Session:
        """A session for a new connection."""
        return Session(self.hub, writer, self.session_limits, submit, identity)

    @cached_property
    def deadlines(self) -> Deadlines:
        """Those of all connections, on the running loop's clock."""
        return Deadlines(asyncio.get_running_loop(), self.hub.faults)

    def end_session(self, session: Session, *, waited: bool = False) -> None:
        """End a session whose writer takes nothing any more. Many subscriptions end in several turns of the loop."""
        full = self.turns.over and not waited
        with TurnShare(self.turns) as piece:
            whole = session.close(lambda: full or piece.over)
        if not whole:
            again = partial(self.end_session, session, waited=True)
            self.turns.later(lambda: self.hub.faults.contain("session", again))

    def contained(
        self, connection: "SessionConnection", where: str, work: Callable[[], None]
    ) -> None:
        """Do what belongs to one connection, from what all share (timers, the loop, sweeps).

        A fault ends that connection and nothing else.
        """
        try:
            work()
        except Exception as error:
            self.connections.broke(connection, where, error)

    @cached_property
    def starts(self) -> RequestStarts:
        """Of requests, on the running loop."""
        return RequestStarts(self.turns)

    @cached_property
    def turns(self) -> LoopTurns:
        """Of the running loop."""
        return LoopTurns(asyncio.get_running_loop())

    def bucket(self) -> TokenBucket:
        """The pace of a new connection's commands."""
        return TokenBucket(*self._pace)

    def opened(
        self,
        connection: SessionConnection,
        identity: ConnectionIdentity,
        session: Session | None = None,
    ) -> None:
        """Count a connection in. It is told when the server is about to stop, and ended when its visitor may stay no longer.

        Raises TooManyConnections, for those of one principal, and ShuttingDown.
        """
        if self.refusing:
            raise self.shutting_down()
        self.connections.begin(identity, connection, session)
        self._connections[connection] = identity
        self._heartbeats.add(connection, time.monotonic())
        self._open[connection.transport] += 1
        self._opened[connection.transport] += 1
        self._empty.clear()
        if self._told is not None:  # its way here began before the door was closed
            asyncio.get_running_loop().call_soon(self._send_away, connection)
        if _levels.isEnabledFor(logging.DEBUG):
            who = identity.principal
            self._say(
                "opened", session=identity.id, transport=connection.transport, client=identity.address, principal=who.name, kind=who.kind,
            )  # fmt: skip

    def closed(self, connection: SessionConnection) -> None:
        """Count it out. It may have been counted out already."""
        if (identity := self._connections.pop(connection, None)) is not None:
            self._heartbeats.discard(connection)
            self._open[connection.transport] -= 1
            self.hub.faults.contain("closed", lambda: self.connections.leave(identity))
            if _levels.isEnabledFor(logging.DEBUG):
                seconds = max(0, self.hub.now() - identity.opened) / 1000
                self._say(
                    "closed", session=identity.id, transport=connection.transport, reason=connection.why or "gone", seconds=seconds,
                )  # fmt: skip
        if not self._connections:
            self._empty.set()

    def _say(self, event: str, **fields: object) -> None:
        self.hub.faults.contain("log", lambda: log.debug(event, **fields))

    async def beat(self) -> None:
        """Heartbeats until cancelled: every connection once a heartbeat (server/connections/heartbeats.py)."""
        while True:
            await asyncio.sleep(self._heartbeats.wait(time.monotonic()))
            due = self._heartbeats.take(time.monotonic())
            for number, connection in enumerate(due, 1):
                if connection in self._connections:
                    self.contained(connection, "heartbeat", connection.beat)
                if number % BEATS == 0:
                    await asyncio.sleep(0)

    @property
    def refusing(self) -> bool:
        """Newcomers are to go to another node."""
        return self.hub.draining and not self.alone

    def begin_end(self, workers: int = 1) -> None:
        """It is about to stop. Of the nodes that this one knows, so many less one stop with it."""
        self.hub.draining = True
        self.alone = len(self.hub.nodes.others) < workers

    async def end(self) -> None:
        """Say goodbye to all, and wait until their buffers are flushed or the time is up.

        Among others: a share each second, and no newcomers are taken. Until its own goodbye each is
        served as ever, and other requests until `close`. Alone: all together, as whoever comes back
        finds nobody until this node has started again; so the end has to follow at once.
        """
        shutdown = self.settings.shutdown
        leaving = list(self._connections)
        random.shuffle(
            leaving
        )  # those that came together, as a region or a tenant does, shall not leave together
        if self.alone:
            self._told = len(leaving)
            await together(leaving, self._send_away)
            return await self._flushed(min(shutdown.grace, FLUSH_SECONDS))
        spread = (
            0 if self.hub.ended else shutdown.spread
        )  # nothing is delivered any more: nobody is better off waiting
        await in_turn(leaving, self._send_away, spread)
        await self._flushed(shutdown.grace)

    def cut_off(self) -> None:
        """End all connections at once. They resume like after any broken one."""
        for connection in list(self._connections):
            self.hub.faults.contain("cut_off", connection.abort)

    def close(self) -> None:
        """Publish nothing from now on."""
        self.hub.draining = self.hub.closing = True

    def shutting_down(self, number: int | None = None) -> ShuttingDown:
        """Why somebody is sent away, with a moment of their own to come back at. `number`: theirs, of those that leave together."""
        if self.alone:
            moment = comeback(
                random.randint(0, self._told or 0) if number is None else number,
                self.start_seconds,
                random.random(),
            )
        else:
            moment = random.uniform(0.2, 1.0) * self.settings.shutdown.reconnect_within
        return ShuttingDown("the server is about to stop; reconnect and resume", retry_after=moment)

    async def _flushed(self, seconds: float) -> None:
        if self._connections:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), seconds)
        if self._connections:
            log.warning(
                "cut_off",
                connections=len(self._connections),
                reason="did not take what was due, nor leave, in time",
            )
            self.cut_off()

    def _send_away(self, connection: SessionConnection, number: int | None = None) -> None:
        if connection in self._connections:  # the others shall have theirs
            self.contained(
                connection, "goodbye", lambda: connection.goodbye(self.shutting_down(number))
            )

    def unready(self) -> dict[str, str]:
        """What keeps this node from doing its work now, and why."""
        return self.hub.unready() | (
            {"auth": trouble} if (trouble := self.authentication.unready()) else {}
        )

    async def readings(self) -> AsyncIterator[Reading]:
        """Readiness, and connections and what they buffer by transport, for metrics."""
        yield (
            "eventhub_ready",
            "Whether /readyz says that it is ready",
            {(): not self.unready()},
            (),
        )
        yield (
            "eventhub_connections_limit",
            "Connections that it takes at most",
            {(): self.connection_limits.capacity},
            (),
        )
        size = dict.fromkeys(TRANSPORTS, 0)
        connections = list(self._connections)
        for begin in range(0, len(connections), READ_SLICE):
            for connection in connections[begin : begin + READ_SLICE]:
                if waiting := self.connections.buffered(
                    connection
                ):  # mostly nothing: 20,000 are asked in five milliseconds
                    size[connection.transport] += waiting
            await asyncio.sleep(0)
        for name, text, values in (
            ("eventhub_connections", "Open connections", self._open),
            ("eventhub_connections_opened_total", "Connections that were opened", self._opened),
            ("eventhub_buffered_bytes", "Bytes waiting to be sent", size),
        ):
            yield (
                name,
                text,
                {(transport,): value for transport, value in values.items()},
                ("transport",),
            )
