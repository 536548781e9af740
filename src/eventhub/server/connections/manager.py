"""What all transports share: the open connections, their heartbeats, sessions and limits."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from functools import cached_property, partial

import structlog

from eventhub.auth.grants import Action
from eventhub.common.token_bucket import TokenBucket
from eventhub.config.settings import Settings
from eventhub.delivery.cloudevent_encodings import CloudEncodings
from eventhub.delivery.signals import SIGNAL_SHARE
from eventhub.delivery.subscriber import ConnectionWriter
from eventhub.hub.hub import Hub
from eventhub.observability.metrics import Reading
from eventhub.server.connections.access_log import AccessLog
from eventhub.server.connections.channel_directory import ChannelDirectory
from eventhub.server.connections.connection import TRANSPORTS, SessionConnection
from eventhub.server.connections.deadlines import Deadlines
from eventhub.server.connections.drain import Drain
from eventhub.server.connections.fair_queue import FairQueue, TimeSlice
from eventhub.server.connections.heartbeats import Heartbeats
from eventhub.server.connections.identity import ConnectionIdentity
from eventhub.server.connections.liveness import LivenessTimeouts
from eventhub.server.connections.operators import Operators
from eventhub.server.connections.registry import ConnectionRegistry
from eventhub.server.connections.request_starts import RequestStarts
from eventhub.server.security.authentication import Authentication
from eventhub.server.security.connection_limits import ConnectionLimits, descriptors
from eventhub.server.security.forwarded import ForwardedAddresses
from eventhub.server.security.host_check import HostCheck
from eventhub.server.security.origin_check import OriginCheck
from eventhub.server.security.publish_quota import PublishQuota
from eventhub.session.interfaces import SessionLimits, Submitter
from eventhub.session.session import Session

BEATS = 500
"""Connections that get their heartbeat in one turn of the loop."""
READ_SLICE = 1000
"""Connections that metrics look at in one turn of the loop."""

log = structlog.get_logger("eventhub.connections")
_levels = logging.getLogger("eventhub.connections")


class ConnectionManager:
    """The open connections of this node, and what serves them."""

    def __init__(self, settings: Settings, hub: Hub, authentication: Authentication) -> None:
        limits = settings.limits
        self.settings = settings
        self.hub = hub
        self.authentication = authentication
        self.access_log = AccessLog(settings.log)
        self.cloud_encodings = CloudEncodings(settings.cloudevents.source, hub.nodes.own)
        self.forwarded = ForwardedAddresses(settings.proxies)
        self.host_check = HostCheck(settings)
        self.origin_check = OriginCheck(settings.origins)
        self.connection_limits = ConnectionLimits(limits, self.forwarded, descriptors())
        self.publish_quota = PublishQuota(
            hub.nodes,
            limits.publish_rate if settings.auth.configured else None,
            hub.now,
            limits.signal_rate if settings.auth.configured else None,
        )
        self.registry = ConnectionRegistry(
            authentication,
            self.connection_limits.principals,
            self.publish_quota,
            hub,
            lambda: self.deadlines,
            limits.first_frame_seconds,
        )
        self.channel_directory = ChannelDirectory(hub)
        self.operators = Operators(authentication, self.registry, hub)
        self.session_limits = _session_limits(settings, hub)
        self.signal_room = limits.buffer_bytes // SIGNAL_SHARE
        # Made once: thousands of buckets share these two numbers.
        self._command_rate = (limits.commands, 2 * limits.commands)
        self._connections: dict[SessionConnection, ConnectionIdentity] = {}
        self.drain = Drain(hub, settings.shutdown, self._connections, self.contained)
        self.liveness_timeouts = LivenessTimeouts(settings.heartbeat, limits.stalled_seconds)
        self._heartbeats = Heartbeats[SessionConnection](settings.heartbeat)
        self._open_now = dict.fromkeys(TRANSPORTS, 0)
        self._opened_ever = dict.fromkeys(TRANSPORTS, 0)

    # What serves the connections, on the running loop

    @cached_property
    def deadlines(self) -> Deadlines:
        """The deadlines of all connections."""
        return Deadlines(asyncio.get_running_loop(), self.hub.faults)

    @cached_property
    def fair_queue(self) -> FairQueue:
        """Shares out the loop's time between clients."""
        return FairQueue(asyncio.get_running_loop())

    @cached_property
    def request_starts(self) -> RequestStarts:
        """Spreads the starts of requests over turns of the loop."""
        return RequestStarts(self.fair_queue, asyncio.get_running_loop())

    def command_bucket(self) -> TokenBucket:
        """Return the bucket that bounds the commands of a new connection."""
        return TokenBucket(*self._command_rate)

    # Opening and closing

    def opened(
        self,
        connection: SessionConnection,
        identity: ConnectionIdentity,
        session: Session | None = None,
    ) -> None:
        """Add a connection. It gets heartbeats, a goodbye when the server stops, and deadlines.

        Raises TooManyConnections, for those of one principal, and ShuttingDown.
        """
        if self.drain.refusing:
            raise self.drain.shutting_down()
        self.registry.add(identity, connection, session)
        self._connections[connection] = identity
        self._heartbeats.add(connection, time.monotonic())
        self._open_now[connection.transport] += 1
        self._opened_ever[connection.transport] += 1
        self.drain.connection_opened(connection)
        if _levels.isEnabledFor(logging.DEBUG):
            self._log(
                "opened",
                session=identity.id,
                transport=connection.transport,
                client=identity.address,
                principal=identity.principal.name,
                kind=identity.principal.kind,
            )

    def closed(self, connection: SessionConnection) -> None:
        """Remove a connection. Does nothing if it was removed before."""
        if (identity := self._connections.pop(connection, None)) is not None:
            self._heartbeats.discard(connection)
            self._open_now[connection.transport] -= 1
            self.hub.faults.contain("closed", lambda: self.registry.remove(identity))
            if _levels.isEnabledFor(logging.DEBUG):
                self._log(
                    "closed",
                    session=identity.id,
                    transport=connection.transport,
                    reason=connection.end_reason or "gone",
                    seconds=max(0, self.hub.now() - identity.opened) / 1000,
                )
        self.drain.connection_closed()

    def _log(self, event: str, **fields: object) -> None:
        self.hub.faults.contain("log", lambda: log.debug(event, **fields))

    # Sessions

    def session(
        self, writer: ConnectionWriter, submitter: Submitter, identity: ConnectionIdentity
    ) -> Session:
        """Return a session for a new connection."""
        return Session(self.hub, writer, self.session_limits, submitter, identity)

    def end_session(self, session: Session, *, waited: bool = False) -> None:
        """End the session of a closed connection. Many subscriptions take several turns."""
        turn_over = self.fair_queue.over and not waited
        with TimeSlice(self.fair_queue) as share:
            ended = session.close(lambda: turn_over or share.over)
        if not ended:
            again = partial(self.end_session, session, waited=True)
            self.fair_queue.later(lambda: self.hub.faults.contain("session", again))

    # Work

    def contained(
        self, connection: SessionConnection, where: str, work: Callable[[], None]
    ) -> None:
        """Call `work`, which concerns one connection, from code that all share, such as a timer.

        An exception ends that connection only. `where` names the place in metrics and logs.
        """
        try:
            work()
        except Exception as error:
            self.registry.fail_after_fault(connection, where, error)

    async def send_heartbeats(self) -> None:
        """Send each connection its heartbeats until cancelled (heartbeats.py)."""
        while True:
            await asyncio.sleep(self._heartbeats.wait(time.monotonic()))
            due = self._heartbeats.take(time.monotonic())
            for number, connection in enumerate(due, 1):
                if connection in self._connections:
                    self.contained(connection, "heartbeat", connection.heartbeat)
                if number % BEATS == 0:
                    await asyncio.sleep(0)

    # Health and metrics

    def unready(self) -> dict[str, str]:
        """Return the parts that do not work now, each with the reason."""
        trouble = self.authentication.unready()
        return self.hub.unready() | ({"auth": trouble} if trouble else {})

    async def readings(self) -> AsyncIterator[Reading]:
        """Yield readiness, and connections and their buffered bytes by transport."""
        ready = {(): not self.unready()}
        yield "eventhub_ready", "Whether /readyz says that it is ready", ready, ()
        limit = {(): self.connection_limits.capacity}
        yield "eventhub_connections_limit", "Connections that it takes at most", limit, ()
        buffered = await self._buffered()
        for name, text, values in (
            ("eventhub_connections", "Open connections", self._open_now),
            (
                "eventhub_connections_opened_total",
                "Connections that were opened",
                self._opened_ever,
            ),
            ("eventhub_buffered_bytes", "Bytes waiting to be sent", buffered),
        ):
            by_labels = {(transport,): value for transport, value in values.items()}
            yield name, text, by_labels, ("transport",)

    async def _buffered(self) -> dict[str, int]:
        """Return the bytes waiting to be sent, by transport. Takes 5 ms for 20,000 connections."""
        total = dict.fromkeys(TRANSPORTS, 0)
        connections = list(self._connections)
        for begin in range(0, len(connections), READ_SLICE):
            for connection in connections[begin : begin + READ_SLICE]:
                if waiting := self.registry.buffered(connection):
                    total[connection.transport] += waiting
            await asyncio.sleep(0)
        return total


def _session_limits(settings: Settings, hub: Hub) -> SessionLimits:
    """Return the limits of sessions. A stranger that may publish nothing gets smaller messages."""
    limits = settings.limits
    strangers_publish = not settings.auth.configured or any(
        Action.PUBLISH in channel_type.anonymous for channel_type in hub.types
    )
    stranger_bytes = limits.event_bytes if strangers_publish else limits.stranger_bytes
    return SessionLimits(
        limits.event_bytes,
        limits.subscriptions,
        settings.heartbeat,
        limits.depth,
        min(stranger_bytes, limits.event_bytes),
        limits.patterns,
        limits.buffer_bytes,
        limits.signal_bytes,
        limits.member_bytes,
        limits.member_updates,
    )
