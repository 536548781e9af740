"""The connections of this node by who is at their other end: how long each may stay, and who is shut out."""

from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any, Protocol

from eventhub.auth.blocks import Target
from eventhub.auth.principal import Principal
from eventhub.auth.tokens import UnknownKey
from eventhub.channels import ChannelType, ChannelTypes
from eventhub.errors import EventHubError, Forbidden, Revoked, TokenExpired, Unauthorized
from eventhub.server.admission import Place, Places
from eventhub.server.deadlines import Deadlines
from eventhub.server.guard import Guard
from eventhub.session import Decided, Session

Spawn = Callable[[Coroutine[Any, Any, None]], None]


class Holder(Protocol):
    """The connection of a visit."""

    transport: str

    def fail(self, error: EventHubError) -> None:
        """End the connection for this error."""
        ...


class Visit:
    """A connection's principal, which may be renewed. `address` is the client's, `opened` in milliseconds since the Unix epoch."""

    __slots__ = ("_visits", "address", "holder", "opened", "place", "principal", "session")

    def __init__(self, visits: "Visits", principal: Principal, address: str, opened: int) -> None:
        self._visits = visits
        self.principal = principal
        self.address = address
        self.opened = opened
        self.holder: Holder | None = None
        self.session: Session | None = None
        self.place: Place | None = None
        """Among the connections of its principal."""

    def authenticate(self, credential: str, decided: Decided) -> None:
        """Become whoever has this credential. `decided` gets the outcome, now or when keys have been fetched."""
        self._visits.renew(self, credential, decided)

    def charge(self, kind: ChannelType) -> None:
        """Count an event that is about to be published. Raises RateLimited."""


class Visits:
    """Those of this node. `wait` is how many seconds a stranger may stay who may do nothing, `clock` in milliseconds."""

    def __init__(self, guard: Guard, places: Places, types: ChannelTypes, spawn: Spawn, clock: Callable[[], int], wait: float) -> None:
        self._guard, self._places, self._spawn, self._clock, self._wait = guard, places, spawn, clock, wait
        self._closed_to_strangers = not any(kind.anonymous for kind in types)
        self._all: dict[Visit, None] = {}
        self._deadlines = Deadlines()

    def __iter__(self) -> Iterator[Visit]:
        return iter(self._all)

    async def run(self) -> None:
        """Keep the deadlines until cancelled."""
        await self._deadlines.run(lambda: self._clock() // 1000)

    def enter(self, principal: Principal, address: str) -> Visit:
        """Someone comes."""
        return Visit(self, principal, address, self._clock())

    def begin(self, visit: Visit, holder: Holder, session: Session | None) -> None:
        """Their connection is about to open. Raises TooManyConnections."""
        visit.place = self._place(visit.principal)
        visit.holder, visit.session = holder, session
        self._all[visit] = None
        self._limit(visit)

    def leave(self, visit: Visit) -> None:
        """Their connection is gone."""
        if self._all.pop(visit, visit) is None:
            self._deadlines.clear(visit)
            if visit.place is not None:
                self._places.leave(visit.place)
            visit.holder = visit.session = visit.place = None

    def end(self, target: Target) -> int:
        """Disconnect those who are meant; how many there were."""
        meant = [visit for visit in self._all if target.fits(visit.principal)]
        for visit in meant:
            self._fail(visit, Revoked(f"an operator has shut out the {target.what} {target.value!r}"))
        return len(meant)

    # Renewal

    def renew(self, visit: Visit, credential: str, decided: Decided) -> None:
        """Check a credential that came over the connection."""
        try:
            self._become(visit, self._guard.authenticate(credential))
        except UnknownKey as error:
            self._spawn(self._renew_later(visit, credential, decided, error))
        except EventHubError as error:
            decided(error)
        else:
            decided(visit.principal)

    async def _renew_later(self, visit: Visit, credential: str, decided: Decided, unknown: UnknownKey) -> None:
        try:
            await self._guard.refresh(unknown)
            self._become(visit, self._guard.authenticate(credential))
        except UnknownKey as error:
            decided(self._guard.unknown(error))
        except EventHubError as error:
            decided(error)
        else:
            decided(visit.principal)

    def _become(self, visit: Visit, principal: Principal) -> None:
        before = visit.principal
        if before.known and (before.kind, before.name) != (principal.kind, principal.name):
            raise Forbidden(f"this connection is that of {before.kind} {before.name!r}; another principal needs another connection")
        if visit in self._all:
            if visit.place is None:
                visit.place = self._place(principal)
            visit.principal = principal
            self._limit(visit)

    def _place(self, principal: Principal) -> Place | None:
        return self._places.enter(f"{principal.kind}:{principal.name}") if principal.known else None

    # Deadlines

    def _limit(self, visit: Visit) -> None:
        """What will end the visit, if anything: its token, or that nobody says who they are."""
        now, expires = self._clock(), visit.principal.expires
        if expires is not None:
            warning = expires - int(self._guard.settings.tokens.warning * 1000)
            self._deadlines.set(visit, max(now, warning) // 1000, partial(self._warn, visit))
        elif visit.principal is self._guard.nobody and self._guard.settings.configured and self._closed_to_strangers:
            self._deadlines.set(visit, int(now / 1000 + self._wait), partial(self._dismiss, visit))
        else:
            self._deadlines.clear(visit)

    def _warn(self, visit: Visit) -> None:
        expires = visit.principal.expires
        assert expires is not None
        if visit.session is not None:
            visit.session.expiring(max(0, expires - self._clock()) / 1000)
        self._deadlines.set(visit, -(-expires // 1000), partial(self._expire, visit))

    def _expire(self, visit: Visit) -> None:
        self._fail(visit, TokenExpired(f"the {visit.principal.kind} has expired; connect again with a new one"))

    def _dismiss(self, visit: Visit) -> None:
        self._fail(visit, Unauthorized(f"no token or API key came within {self._wait:g} seconds, and strangers may do nothing here"))

    @staticmethod
    def _fail(visit: Visit, error: EventHubError) -> None:
        if visit.holder is not None:
            visit.holder.fail(error)
