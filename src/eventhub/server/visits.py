"""The connections of this node by who is at their other end: how long each may stay, and who is shut out."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol

from eventhub.auth.blocks import Target
from eventhub.auth.principal import STRANGER, Principal
from eventhub.auth.tokens import UnknownKey
from eventhub.channels import ChannelType
from eventhub.errors import Disconnected, EventHubError, Forbidden, Revoked, TokenExpired, Unauthorized
from eventhub.faults import internal
from eventhub.hub import Hub
from eventhub.server.admission import Place, Places
from eventhub.server.deadlines import Deadlines
from eventhub.server.guard import Guard
from eventhub.server.rates import Rates, Toll
from eventhub.session import Decided, Session


class Holder(Protocol):
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


class Visit:
    """A connection's principal, which may be renewed. `address` is the client's, `opened` in milliseconds since the Unix epoch.

    `id` is the connection's name, unique over all nodes: what `hello` says, operators see, and log lines have as `session`.
    """

    __slots__ = ("_visits", "address", "due", "holder", "id", "opened", "place", "principal", "session", "warned")

    def __init__(self, visits: "Visits", principal: Principal, address: str, opened: int) -> None:
        self._visits = visits
        self.id = secrets.token_urlsafe(9)
        self.principal = principal
        self.address = address
        self.opened = opened
        self.holder: Holder | None = None
        self.session: Session | None = None
        self.due = False
        """Something will end it, unless it is renewed."""
        self.warned = 0
        """The latest end of a credential that the client was warned of, in milliseconds since the Unix epoch."""
        self.place: Place | None = None
        """Among the connections of its principal."""

    @property
    def buffered(self) -> int:
        """Bytes waiting to be sent: a reader that is slow has some, others mostly none."""
        return self._visits.buffered(self.holder) if self.holder is not None else 0

    def authenticate(self, credential: str, decided: Decided) -> None:
        """Become whoever has this credential. `decided` gets the outcome, now or when keys have been fetched."""
        self._visits.renew(self, credential, decided)

    def charge(self, kind: ChannelType) -> None:
        """Count an event that is about to be published. Raises RateLimited."""
        if toll := self.toll(kind):
            toll.check()
            toll.pay(1)

    def toll(self, kind: ChannelType) -> Toll | None:
        """What publishing to channels of this type costs."""
        return self._visits.rates.toll(self.principal, self.address, kind)


class Visits:
    """Those of this node. `wait` is how many seconds a stranger may stay who may do nothing."""

    def __init__(self, guard: Guard, places: Places, rates: Rates, hub: Hub, deadlines: Callable[[], Deadlines], wait: float) -> None:
        self._guard, self._places, self._deadlines, self._wait = guard, places, deadlines, wait
        self._spawn, self._clock, self._faults = hub.spawn, hub.now, hub.faults
        self._closed_to_strangers = not any(kind.anonymous for kind in hub.types)
        self.rates = rates
        self._all: dict[Visit, None] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Visit]:
        return iter(self._all)

    def enter(self, principal: Principal, address: str) -> Visit:
        """Someone comes."""
        return Visit(self, principal, address, self._clock())

    def begin(self, visit: Visit, holder: Holder, session: Session | None) -> None:
        """Their connection is about to open. Raises TooManyConnections."""
        visit.place = self._place(visit.principal)
        visit.holder, visit.session = holder, session
        self._all[visit] = None
        try:
            self._limit(visit)
        except BaseException:
            self.leave(visit)
            raise

    def leave(self, visit: Visit) -> None:
        """Their connection is gone."""
        if self._all.pop(visit, visit) is None:
            self._unlimit(visit)
            if visit.place is not None:
                self._places.leave(visit.place)
            visit.holder = visit.session = visit.place = None

    @contextmanager
    def seat(self, principal: Principal) -> Iterator[None]:
        """Count a request among the connections of its principal while it lasts. Raises TooManyConnections."""
        place = self._place(principal)
        try:
            yield
        finally:
            if place is not None:
                self._places.leave(place)

    def end(self, target: Target, *, blocked: bool) -> int:
        """Disconnect those who are meant; how many there were. `blocked`: they had better not come back."""
        meant = [visit for visit in self._all if target.fits(visit.principal)]
        error = Revoked(f"an operator has shut out the {target}") if blocked else Disconnected(f"an operator has disconnected the {target}")
        for visit in meant:
            self._fail(visit, error)
        return len(meant)

    def broke(self, holder: Holder, where: str, error: Exception) -> None:
        """Something unforeseen went wrong while this connection was served: end it, one way or another. Raises nothing."""
        self._faults.note(where, error)
        self.fail(holder, internal())

    def fail(self, holder: Holder, error: EventHubError) -> None:
        """End a connection for this error; cut it off where that goes wrong. Raises nothing."""
        try:
            holder.fail(error)
        except Exception as fault:
            self._faults.note("ending", fault)
            self._faults.contain("ending", holder.abort)

    def buffered(self, holder: Holder) -> int:
        """What waits to be sent over a connection. Raises nothing: metrics ask all."""
        try:
            return holder.buffered()
        except Exception as error:
            self.broke(holder, "buffered", error)
            return 0

    # Renewal

    def renew(self, visit: Visit, credential: str, decided: Decided) -> None:
        """Check a credential that came over the connection."""
        try:
            self._become(visit, self._guard.authenticate(credential, visit.address))
        except UnknownKey:
            self._spawn(self._renew_later(visit, credential, decided), "authentication", partial(self._fail, visit))
        except EventHubError as error:
            decided(error)
        else:
            decided(visit.principal)

    async def _renew_later(self, visit: Visit, credential: str, decided: Decided) -> None:
        looked = await self._guard.refresh()
        try:
            self._become(visit, self._guard.authenticate(credential, visit.address))
        except UnknownKey as error:
            decided(self._guard.unknown(error, looked=looked))
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
        return self._places.enter(principal.identity) if principal.known else None

    # Deadlines

    def _limit(self, visit: Visit) -> None:
        """What will end the visit, if anything: its credential, or that nobody says who they are.

        A client asks for a new token when it is warned. One that lives for less than twice the
        warning is warned of when half of its life is over: warned of at once, its client would
        ask for the next one at once, and so on. A client that answers with a token that does not
        end later has heard of that end already.
        """
        self._unlimit(visit)
        if (expires := visit.principal.expires) is not None:
            left = self._left(visit)
            if expires <= visit.warned:
                self._set(visit, left, self._expire)
            else:
                self._set(visit, left - min(self._guard.settings.tokens.warning, left / 2), self._warn)
        elif visit.principal is STRANGER and self._closed_to_strangers:
            self._set(visit, self._wait, self._dismiss)

    def _set(self, visit: Visit, seconds: float, act: Callable[[Visit], None]) -> None:
        visit.due = True
        self._deadlines().after(visit, seconds, partial(self._act, act, visit))

    def _act(self, act: Callable[[Visit], None], visit: Visit) -> None:
        """A visit that cannot be ended by its deadline must not go on without one."""
        try:
            act(visit)
        except Exception as error:
            if visit.holder is not None:
                self.broke(visit.holder, "deadline", error)

    def _unlimit(self, visit: Visit) -> None:
        if visit.due:
            visit.due = False
            self._deadlines().clear(visit)

    def _warn(self, visit: Visit) -> None:
        left = self._left(visit)
        if visit.session is not None and visit.principal.expires is not None and left > 0:
            visit.warned = visit.principal.expires
            visit.session.expiring(left)
        self._set(visit, left, self._expire)

    def _expire(self, visit: Visit) -> None:
        if (left := self._left(visit)) > 0:  # the wall clock was set back
            self._set(visit, left, self._expire)
        else:
            self._fail(visit, TokenExpired(f"the {visit.principal.kind} has expired; connect again with a new one"))

    def _left(self, visit: Visit) -> float:
        """Seconds until the principal's credential ends."""
        assert visit.principal.expires is not None
        return (visit.principal.expires - self._clock()) / 1000

    def _dismiss(self, visit: Visit) -> None:
        self._fail(visit, Unauthorized(f"no token or API key came within {self._wait:g} seconds, and strangers may do nothing here"))

    def _fail(self, visit: Visit, error: EventHubError) -> None:
        if visit.holder is not None:
            self.fail(visit.holder, error)
