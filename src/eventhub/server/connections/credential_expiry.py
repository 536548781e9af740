"""Deadlines of connections: the end of a credential, and strangers that never authenticate.

A connection has at most one of these deadlines at a time:

| deadline   | set for                                   | when it is due                          |
|------------|-------------------------------------------|-----------------------------------------|
| `_warn`    | a credential that ends                    | warns the client, then sets `_expire`   |
| `_expire`  | a credential whose client has been warned | ends the connection with `TokenExpired` |
| `_dismiss` | a stranger, where strangers may do nothing| ends the connection with `Unauthorized` |
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from eventhub.auth.principal import STRANGER
from eventhub.errors import EventHubError, TokenExpired, Unauthorized
from eventhub.server.connections.connection import Connection
from eventhub.server.connections.deadlines import Deadlines
from eventhub.server.connections.identity import ConnectionIdentity


class ConnectionEnder(Protocol):
    """Ends connections. Nothing here raises."""

    def fail(self, connection: Connection, error: EventHubError) -> None:
        """End the connection with this error."""
        ...

    def fail_after_fault(self, connection: Connection, where: str, error: Exception) -> None:
        """Note an unexpected exception and end the connection that it concerns."""
        ...


class CredentialExpiry:
    """Sets the deadline of each connection.

    `clock` returns milliseconds since the Unix epoch. `warning` is how many seconds before the end
    of a credential its client is warned. `stranger_seconds` is how long a stranger may stay without
    a credential. None means for ever.
    """

    def __init__(
        self,
        deadlines: Callable[[], Deadlines],
        ender: ConnectionEnder,
        clock: Callable[[], int],
        warning: float,
        stranger_seconds: float | None,
    ) -> None:
        self._deadlines = deadlines
        self._ender = ender
        self._clock = clock
        self._warning = warning
        self._stranger_seconds = stranger_seconds

    def set(self, identity: ConnectionIdentity) -> None:
        """Set the deadline for the principal that the connection has now.

        A client asks for a new token when it is warned. For a token that lives for less than twice
        the warning, the warning comes after half of its life: an immediate warning would make the
        client ask for tokens again and again. A token that ends no later than the one before causes
        no second warning.
        """
        self.clear(identity)
        if (expires := identity.principal.expires) is not None:
            left = self._seconds_left(identity)
            if expires <= identity.warned:
                self._after(identity, left, self._expire)
            else:
                self._after(identity, left - min(self._warning, left / 2), self._warn)
        elif identity.principal is STRANGER and self._stranger_seconds is not None:
            self._after(identity, self._stranger_seconds, self._dismiss)

    def clear(self, identity: ConnectionIdentity) -> None:
        """Remove the deadline, if there is one."""
        if identity.has_deadline:
            identity.has_deadline = False
            self._deadlines().clear(identity)

    def _after(
        self,
        identity: ConnectionIdentity,
        seconds: float,
        act: Callable[[ConnectionIdentity], None],
    ) -> None:
        identity.has_deadline = True
        self._deadlines().after(identity, seconds, partial(self._act, act, identity))

    def _act(self, act: Callable[[ConnectionIdentity], None], identity: ConnectionIdentity) -> None:
        """Act on a deadline. If that fails, end the connection: it must not stay without one."""
        try:
            act(identity)
        except Exception as error:
            if identity.connection is not None:
                self._ender.fail_after_fault(identity.connection, "deadline", error)

    def _warn(self, identity: ConnectionIdentity) -> None:
        left = self._seconds_left(identity)
        if identity.session is not None and identity.principal.expires is not None and left > 0:
            identity.warned = identity.principal.expires
            identity.session.expiring(left)
        self._after(identity, left, self._expire)

    def _expire(self, identity: ConnectionIdentity) -> None:
        if (left := self._seconds_left(identity)) > 0:  # the wall clock was set back
            self._after(identity, left, self._expire)
            return
        self._fail(
            identity,
            TokenExpired(
                f"the {identity.principal.kind} has expired; connect again with a new one"
            ),
        )

    def _dismiss(self, identity: ConnectionIdentity) -> None:
        self._fail(
            identity,
            Unauthorized(
                f"no token or API key came within {self._stranger_seconds:g} seconds, "
                "and strangers may do nothing here"
            ),
        )

    def _fail(self, identity: ConnectionIdentity, error: EventHubError) -> None:
        if identity.connection is not None:
            self._ender.fail(identity.connection, error)

    def _seconds_left(self, identity: ConnectionIdentity) -> float:
        """Return the seconds until the credential ends."""
        assert identity.principal.expires is not None
        return (identity.principal.expires - self._clock()) / 1000
