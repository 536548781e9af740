"""The open connections of this node by principal: counts, renewal of credentials, disconnection."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from eventhub.auth.blocks import BlockTarget
from eventhub.auth.principal import Principal
from eventhub.auth.tokens import UnknownKey
from eventhub.common.faults import internal
from eventhub.errors import Disconnected, EventHubError, Forbidden, Revoked
from eventhub.events.channel_types import ChannelType
from eventhub.hub.hub import Hub
from eventhub.server.connections.connection import Connection
from eventhub.server.connections.credential_expiry import CredentialExpiry
from eventhub.server.connections.deadlines import Deadlines
from eventhub.server.connections.identity import ConnectionIdentity
from eventhub.server.security.authentication import Authentication
from eventhub.server.security.connection_limits import Slot, SlotCounter
from eventhub.server.security.publish_quota import Charge, PublishQuota
from eventhub.session.interfaces import Decided
from eventhub.session.session import Session


class ConnectionRegistry:
    """Knows the identity of every open connection.

    `slots` counts the connections of each principal. Where strangers may do nothing, one may stay
    for `stranger_seconds` without a credential.
    """

    def __init__(
        self,
        authentication: Authentication,
        slots: SlotCounter,
        publish_quota: PublishQuota,
        hub: Hub,
        deadlines: Callable[[], Deadlines],
        stranger_seconds: float,
    ) -> None:
        self._authentication = authentication
        self._slots = slots
        self._publish_quota = publish_quota
        self._spawn, self._clock, self._faults = hub.spawn, hub.now, hub.faults
        strangers_may_act = any(channel_type.anonymous for channel_type in hub.types)
        self._expiry = CredentialExpiry(
            deadlines,
            self,
            hub.now,
            authentication.settings.tokens.warning,
            None if strangers_may_act else stranger_seconds,
        )
        self._identities: dict[ConnectionIdentity, None] = {}

    def __len__(self) -> int:
        return len(self._identities)

    def __iter__(self) -> Iterator[ConnectionIdentity]:
        return iter(self._identities)

    # Opening and closing

    def new_identity(self, principal: Principal, address: str) -> ConnectionIdentity:
        """Return the identity of a connection that is about to open."""
        return ConnectionIdentity(self, principal, address, self._clock())

    def add(
        self, identity: ConnectionIdentity, connection: Connection, session: Session | None
    ) -> None:
        """Register an opened connection. Raises TooManyConnections."""
        identity.slot = self._enter_slot(identity.principal)
        identity.connection, identity.session = connection, session
        self._identities[identity] = None
        try:
            self._expiry.set(identity)
        except BaseException:
            self.remove(identity)
            raise

    def remove(self, identity: ConnectionIdentity) -> None:
        """Forget a closed connection. Does nothing if it is not registered."""
        if self._identities.pop(identity, identity) is None:
            self._expiry.clear(identity)
            if identity.slot is not None:
                self._slots.leave(identity.slot)
            identity.connection = identity.session = identity.slot = None

    @contextmanager
    def counted(self, principal: Principal) -> Iterator[None]:
        """Count a request among the connections of its principal. Raises TooManyConnections."""
        slot = self._enter_slot(principal)
        try:
            yield
        finally:
            if slot is not None:
                self._slots.leave(slot)

    # Ending

    def disconnect(self, target: BlockTarget, *, blocked: bool) -> int:
        """End the connections of a target, and return how many there were.

        `blocked`: the target is blocked, so the error tells its clients not to come back.
        """
        found = [identity for identity in self._identities if target.fits(identity.principal)]
        error = (
            Revoked(f"an operator has blocked the {target}")
            if blocked
            else Disconnected(f"an operator has disconnected the {target}")
        )
        for identity in found:
            self._fail(identity, error)
        return len(found)

    def fail_after_fault(self, connection: Connection, where: str, error: Exception) -> None:
        """Note an unexpected exception and end the connection that it concerns. Raises nothing."""
        self._faults.note(where, error)
        self.fail(connection, internal())

    def fail(self, connection: Connection, error: EventHubError) -> None:
        """End a connection with this error; abort it if that fails. Raises nothing."""
        try:
            connection.fail(error)
        except Exception as fault:
            self._faults.note("ending", fault)
            self._faults.contain("ending", connection.abort)

    def buffered(self, connection: Connection) -> int:
        """Return the bytes waiting to be sent. Raises nothing: metrics ask every connection."""
        try:
            return connection.buffered()
        except Exception as error:
            self.fail_after_fault(connection, "buffered", error)
            return 0

    # What an identity asks for

    def charge_for(self, identity: ConnectionIdentity, channel_type: ChannelType) -> Charge | None:
        """Return the charge for publishing to this channel type; None if it is free."""
        return self._publish_quota.charge_for(identity.principal, identity.address, channel_type)

    def signal_charge_for(
        self, identity: ConnectionIdentity, channel_type: ChannelType
    ) -> Charge | None:
        """Return the charge for signals to this channel type; None if it is free."""
        quota = self._publish_quota
        return quota.signal_charge_for(identity.principal, identity.address, channel_type)

    def renew(self, identity: ConnectionIdentity, credential: str, decided: Decided) -> None:
        """Check a credential that came over the connection."""
        try:
            self._become(identity, self._authentication.authenticate(credential, identity.address))
        except UnknownKey:
            self._spawn(
                self._renew_later(identity, credential, decided),
                "authentication",
                partial(self._fail, identity),
            )
        except EventHubError as error:
            decided(error)
        else:
            decided(identity.principal)

    async def _renew_later(
        self, identity: ConnectionIdentity, credential: str, decided: Decided
    ) -> None:
        """Fetch verification keys, then check the credential again."""
        refreshed = await self._authentication.refresh()
        try:
            self._become(identity, self._authentication.authenticate(credential, identity.address))
        except UnknownKey as error:
            decided(self._authentication.unknown(error, refreshed=refreshed))
        except EventHubError as error:
            decided(error)
        else:
            decided(identity.principal)

    def _become(self, identity: ConnectionIdentity, principal: Principal) -> None:
        before = identity.principal
        if before.known and (before.kind, before.name) != (principal.kind, principal.name):
            raise Forbidden(
                f"this connection is that of {before.kind} {before.name!r}; "
                "another principal needs another connection, with Authorization: Bearer …, the "
                'subprotocol eventhub.bearer.… or {"type":"auth","token":"…"} as its first message'
            )
        if identity in self._identities:
            if identity.slot is None:
                identity.slot = self._enter_slot(principal)
            identity.principal = principal
            self._expiry.set(identity)

    def _enter_slot(self, principal: Principal) -> Slot | None:
        return self._slots.enter(principal.identity) if principal.known else None

    def _fail(self, identity: ConnectionIdentity, error: EventHubError) -> None:
        if identity.connection is not None:
            self.fail(identity.connection, error)
