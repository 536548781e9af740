"""The identity of an open connection's client."""

import secrets
from typing import Protocol

from eventhub.auth.principal import Principal
from eventhub.events.channel_types import ChannelType
from eventhub.server.connections.connection import Connection
from eventhub.server.security.connection_limits import Slot
from eventhub.server.security.publish_quota import Charge
from eventhub.session.interfaces import Decided
from eventhub.session.session import Session


class IdentityOwner(Protocol):
    """What an identity asks of the registry that it belongs to."""

    def renew(self, identity: "ConnectionIdentity", credential: str, decided: Decided) -> None:
        """Check a new credential of this connection."""
        ...

    def charge_for(
        self, identity: "ConnectionIdentity", channel_type: ChannelType
    ) -> Charge | None:
        """Return the charge for publishing to this channel type; None if it is free."""
        ...

    def signal_charge_for(
        self, identity: "ConnectionIdentity", channel_type: ChannelType
    ) -> Charge | None:
        """Return the charge for signals to this channel type; None if it is free."""
        ...

    def buffered(self, connection: Connection) -> int:
        """Return the number of bytes waiting to be sent. Raises nothing."""
        ...


class ConnectionIdentity:
    """A connection's principal, which a new credential may renew.

    `address` is the client's. `opened` is in milliseconds since the Unix epoch. `id` is unique
    across all nodes: `hello` and the admin API show it, and log lines have it as `session`.
    """

    __slots__ = (
        "_owner",
        "address",
        "connection",
        "has_deadline",
        "id",
        "opened",
        "principal",
        "session",
        "slot",
        "warned",
    )

    def __init__(
        self, owner: IdentityOwner, principal: Principal, address: str, opened: int
    ) -> None:
        self._owner = owner
        self.id = secrets.token_urlsafe(9)
        self.principal = principal
        self.address = address
        self.opened = opened
        self.connection: Connection | None = None
        self.session: Session | None = None
        self.has_deadline = False
        """A deadline will end the connection unless the principal is renewed."""
        self.warned = 0
        """The latest credential end that the client was warned of, in milliseconds since the Unix
        epoch.
        """
        self.slot: Slot | None = None
        """Its slot among the connections of its principal."""

    @property
    def buffered(self) -> int:
        """The number of bytes waiting to be sent. It is mostly 0, except for slow readers."""
        return self._owner.buffered(self.connection) if self.connection is not None else 0

    def authenticate(self, credential: str, decided: Decided) -> None:
        """Become the owner of this credential.

        `decided` gets the outcome, at once or after verification keys have been fetched.
        """
        self._owner.renew(self, credential, decided)

    def charge(self, channel_type: ChannelType) -> None:
        """Count an event that is about to be published. Raises RateLimited."""
        if charge_for := self.charge_for(channel_type):
            charge_for.check()
            charge_for.pay(1)

    def charge_signal(self, channel_type: ChannelType) -> None:
        """Count a signal that is about to be sent. Raises RateLimited."""
        if charge := self._owner.signal_charge_for(self, channel_type):
            charge.check()
            charge.pay(1)

    def charge_for(self, channel_type: ChannelType) -> Charge | None:
        """Return the charge for publishing to this channel type; None if it is free."""
        return self._owner.charge_for(self, channel_type)
