"""Keep-alive connections that wait for their next request, and when they are closed."""

from itertools import islice
from typing import Protocol

from eventhub.common.scheduler import Scheduler

CLOSED_AT_ONCE = 200
"""Connections whose time is up that are closed in one turn of the loop."""


class IdleConnection(Protocol):
    """A connection that waits for its next request."""

    def retire(self) -> None:
        """Close it and free its slot at once. A request that is on its way is not answered."""
        ...


class IdleConnections:
    """Closes each idle connection after `seconds`, or earlier if a new connection needs its room.

    The connection that has waited longest goes first, so one timer serves all of them. `key` groups
    connections that share a limit; it is None for those that share none.
    """

    __slots__ = ("_by_key", "_seconds", "_since", "_timer_set")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[IdleConnection, float] = {}
        self._by_key: dict[object, dict[IdleConnection, None]] = {}
        self._timer_set = False

    def enter(self, connection: IdleConnection, key: object | None, loop: Scheduler) -> None:
        """Note that the connection has become idle."""
        now = loop.time()
        self._since[connection] = now
        if key is not None:
            self._by_key.setdefault(key, {})[connection] = None
        if not self._timer_set:
            self._set_timer(loop, now)

    def renew(self, connection: IdleConnection, key: object | None, loop: Scheduler) -> None:
        """Note that an idle connection has just made a request, which is answered."""
        del self._since[connection]
        self._since[connection] = loop.time()
        if key is not None:
            same_key = self._by_key[key]
            del same_key[connection]
            same_key[connection] = None

    def leave(self, connection: IdleConnection, key: object | None) -> None:
        """Note that the connection is no longer idle. Does nothing if it was not."""
        if self._since.pop(connection, None) is None or key is None:
            return
        same_key = self._by_key[key]
        del same_key[connection]
        if not same_key:
            del self._by_key[key]

    def make_room(self, key: object | None = None) -> bool:
        """Close the longest idle connection, of this key if one is given. False if none is idle."""
        found = self._since if key is None else self._by_key.get(key)
        if not found:
            return False
        next(iter(found)).retire()
        return True

    def __len__(self) -> int:
        return len(self._since)

    def _set_timer(self, loop: Scheduler, oldest: float) -> None:
        self._timer_set = True
        loop.call_at(oldest + self._seconds, self._look, loop)

    def _look(self, loop: Scheduler) -> None:
        """Find the connections whose time is up, and close them two turns later.

        Until then a request that the kernel already holds can be read.
        """
        limit = loop.time() - self._seconds
        late = [
            (connection, since)
            for connection, since in islice(self._since.items(), CLOSED_AT_ONCE)
            if since <= limit
        ]
        loop.call_soon(loop.call_soon, self._close, late, loop)

    def _close(self, late: list[tuple[IdleConnection, float]], loop: Scheduler) -> None:
        for connection, since in late:
            if self._since.get(connection) == since:
                connection.retire()
        self._timer_set = False
        if self._since:
            self._set_timer(loop, next(iter(self._since.values())))
