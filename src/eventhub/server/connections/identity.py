"""The connections of this node by who is at their other end: how long each may stay, and who is shut out."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol

from eventhub.auth.blocks import BlockTarget
from eventhub.auth.principal import STRANGER, Principal
from eventhub.auth.tokens import UnknownKey
from eventhub.common.faults import internal
from eventhub.errors import (
    Disconnected,
    EventHubError,
    Forbidden,
    Revoked,
    TokenExpired,
    Unauthorized,
)
from eventhub.events.channels import ChannelType
from eventhub.hub.hub import Hub
from eventhub.server.connections.deadlines import Deadlines
from eventhub.server.security.authentication import Authentication
from eventhub.server.security.connection_limits import Slot, SlotCounter
from eventhub.server.security.publish_quota import Charge, PublishQuota
from eventhub.session.session import Decided, Session


class Connection(Protocol):
    """The connection of a visit."""

    transport: str

    def buffered(self) -> int:
        """Bytes waiting to be sent."""
        ...

    def fail(self, error: EventHubError) -> None:
        """End the connection for this error."""
        ...

    def abort(self) -> None:
        """Close at once, whatever is buffered."""
        ...


class ConnectionIdentity:
    """A connection's principal, which may be renewed. `address` is the client's, `opened` in milliseconds since the Unix epoch.

    `id` is the connection's name, unique over all nodes: what `hello` says, operators see, and log lines have as `session`.
    """

    __slots__ = (
        "_connections",
        "address",
        "due",
        "holder",
        "id",
        "opened",
        "place",
        "principal",
        "session",
        "warned",
    )

    def __init__(
        self, connections: "Connections", principal: Principal, address: str, opened: int
    ) -> None:
        self._connections = connections
        self.id = secrets.token_urlsafe(9)
        self.principal = principal
        self.address = address
        self.opened = opened
        self.holder: Connection | None = None
        self.session: Session | None = None
        self.due = False
        """Something will end it, unless it is renewed."""
        self.warned = 0
        """The latest end of a credential that the client was warned of, in milliseconds since the
        Unix epoch.
        """
        self.place: Slot | None = None
        """Among the connections of its principal."""

    @property
    def buffered(self) -> int:
        """Bytes waiting to be sent: a reader that is slow has some, others mostly none."""
        return self._connections.buffered(self.holder) if self.holder is not None else 0

    def authenticate(self, credential: str, decided: Decided) -> None:
        """Become whoever has this credential. `decided` gets the outcome, now or when keys have been fetched."""
        self._connections.renew(self, credential, decided)

    def charge(self, kind: ChannelType) -> None:
        """Count an event that is about to be published. Raises RateLimited."""
        if charge_for := self.charge_for(kind):
            charge_for.check()
            charge_for.pay(1)

    def charge_for(self, kind: ChannelType) -> Charge | None:
        """What publishing to channels of this type costs."""
        return self._connections.rates.charge_for(self.principal, self.address, kind)


class Connections:
    """Those of this node. `wait` is how many seconds a stranger may stay who may do nothing."""

    def __init__(
        self,
        authentication: Authentication,
        places: SlotCounter,
        rates: PublishQuota,
        hub: Hub,
        deadlines: Callable[[], Deadlines],
        wait: float,
    ) -> None:
        self._authentication, self._places, self._deadlines, self._wait = (
            authentication,
            places,
            deadlines,
            wait,
        )
        self._spawn, self._clock, self._faults = hub.spawn, hub.now, hub.faults
        self._closed_to_strangers = not any(kind.anonymous for kind in hub.types)
        self.rates = rates
        self._all: dict[ConnectionIdentity, None] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[ConnectionIdentity]:
        return iter(self._all)

    def enter(self, principal: Principal, address: str) -> ConnectionIdentity:
        """Someone comes."""
        return ConnectionIdentity(self, principal, address, self._clock())

    def begin(
        self, identity: ConnectionIdentity, holder: Connection, session: Session | None
    ) -> None:
        """Their connection is about to open. Raises TooManyConnections."""
        identity.place = self._place(identity.principal)
        identity.holder, identity.session = holder, session
        self._all[identity] = None
        try:
            self._limit(identity)
        except BaseException:
            self.leave(identity)
            raise

    def leave(self, identity: ConnectionIdentity) -> None:
        """Their connection is gone."""
        if self._all.pop(identity, identity) is None:
            self._unlimit(identity)
            if identity.place is not None:
                self._places.leave(identity.place)
            identity.holder = identity.session = identity.place = None

    @contextmanager
    def counted(self, principal: Principal) -> Iterator[None]:
        """Count a request among the connections of its principal while it lasts. Raises TooManyConnections."""
        place = self._place(principal)
        try:
            yield
        finally:
            if place is not None:
                self._places.leave(place)

    def end(self, target: BlockTarget, *, blocked: bool) -> int:
        """Disconnect those who are meant; how many there were. `blocked`: they had better not come back."""
        meant = [identity for identity in self._all if target.fits(identity.principal)]
        error = (
            Revoked(f"an operator has shut out the {target}")
            if blocked
            else Disconnected(f"an operator has disconnected the {target}")
        )
        for identity in meant:
            self._fail(identity, error)
        return len(meant)

    def broke(self, holder: Connection, where: str, error: Exception) -> None:
        """Something unforeseen went wrong while this connection was served: end it, one way or another. Raises nothing."""
        self._faults.note(where, error)
        self.fail(holder, internal())

    def fail(self, holder: Connection, error: EventHubError) -> None:
        """End a connection for this error; cut it off where that goes wrong. Raises nothing."""
        try:
            holder.fail(error)
        except Exception as fault:
            self._faults.note("ending", fault)
            self._faults.contain("ending", holder.abort)

    def buffered(self, holder: Connection) -> int:
        """What waits to be sent over a connection. Raises nothing: metrics ask all."""
        try:
            return holder.buffered()
        except Exception as error:
            self.broke(holder, "buffered", error)
            return 0

    # Renewal

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
                f"this connection is that of {before.kind} {before.name!r}; another principal needs another connection"
            )
        if identity in self._all:
            if identity.place is None:
                identity.place = self._place(principal)
            identity.principal = principal
            self._limit(identity)

    def _place(self, principal: Principal) -> Slot | None:
        return self._places.enter(principal.identity) if principal.known else None

    # Deadlines

    def _limit(self, identity: ConnectionIdentity) -> None:
        """What will end the visit, if anything: its credential, or that nobody says who they are.

        A client asks for a new token when it is warned. One that lives for less than twice the
        warning is warned of when half of its life is over: warned of at once, its client would
        ask for the next one at once, and so on. A client that answers with a token that does not
        end later has heard of that end already.
        """
        self._unlimit(identity)
        if (expires := identity.principal.expires) is not None:
            left = self._left(identity)
            if expires <= identity.warned:
                self._set(identity, left, self._expire)
            else:
                self._set(
                    identity,
                    left - min(self._authentication.settings.tokens.warning, left / 2),
                    self._warn,
                )
        elif identity.principal is STRANGER and self._closed_to_strangers:
            self._set(identity, self._wait, self._dismiss)

    def _set(
        self,
        identity: ConnectionIdentity,
        seconds: float,
        act: Callable[[ConnectionIdentity], None],
    ) -> None:
        identity.due = True
        self._deadlines().after(identity, seconds, partial(self._act, act, identity))

    def _act(self, act: Callable[[ConnectionIdentity], None], identity: ConnectionIdentity) -> None:
        """A visit that cannot be ended by its deadline must not go on without one."""
        try:
            act(identity)
        except Exception as error:
            if identity.holder is not None:
                self.broke(identity.holder, "deadline", error)

    def _unlimit(self, identity: ConnectionIdentity) -> None:
        if identity.due:
            identity.due = False
            self._deadlines().clear(identity)

    def _warn(self, identity: ConnectionIdentity) -> None:
        left = self._left(identity)
        if identity.session is not None and identity.principal.expires is not None and left > 0:
            identity.warned = identity.principal.expires
            identity.session.expiring(left)
        self._set(identity, left, self._expire)

    def _expire(self, identity: ConnectionIdentity) -> None:
        if (left := self._left(identity)) > 0:  # the wall clock was set back
            self._set(identity, left, self._expire)
        else:
            self._fail(
                identity,
                TokenExpired(
                    f"the {identity.principal.kind} has expired; connect again with a new one"
                ),
            )

    def _left(self, identity: ConnectionIdentity) -> float:
        """Seconds until the principal's credential ends."""
        assert identity.principal.expires is not None
        return (identity.principal.expires - self._clock()) / 1000

    def _dismiss(self, identity: ConnectionIdentity) -> None:
        self._fail(
            identity,
            Unauthorized(
                f"no token or API key came within {self._wait:g} seconds, and strangers may do nothing here"
            ),
        )

    def _fail(self, identity: ConnectionIdentity, error: EventHubError) -> None:
        if identity.holder is not None:
            self.fail(identity.holder, error)
