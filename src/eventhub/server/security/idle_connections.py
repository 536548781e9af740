"""Kept connections that wait for their next request, in the order in which they make way."""

from collections.abc import Callable
from itertools import islice
from typing import Any, Protocol

CLOSED_AT_ONCE = 200
"""Connections closed in one turn of the loop because their time is up."""


class IdleConnection(Protocol):
    """A connection that waits for its next request."""

    def retire(self) -> None:
        """Close it, and count it out at once. A request that is on its way now is not looked at."""
        ...


class Scheduler(Protocol):
    """What is asked of an event loop."""

    def time(self) -> float:
        """Seconds that never go back."""
        ...

    def call_at(self, when: float, callback: Callable[..., object], /, *arguments: Any) -> object:
        """Call it then."""
        ...

    def call_soon(self, callback: Callable[..., object], /, *arguments: Any) -> object:
        """Call it in the next turn."""
        ...


class IdleConnections:
    """Closed after `seconds`, and before that where a newcomer finds no room: the one that waits longest first.

    There is one timer for all: they come in the order in which they end. `key` names those that share a limit, None those that do not.
    """

    __slots__ = ("_by_key", "_seconds", "_since", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[IdleConnection, float] = {}
        self._by_key: dict[object, dict[IdleConnection, None]] = {}
        self._timer = False  # one is set

    def enter(self, connection: IdleConnection, key: object | None, loop: Scheduler) -> None:
        """It begins to wait."""
        now = loop.time()
        self._since[connection] = now
        if key is not None:
            self._by_key.setdefault(key, {})[connection] = None
        if not self._timer:
            self._set_timer(loop, now)

    def leave(self, connection: IdleConnection, key: object | None) -> None:
        """It waits no more. It may not have waited."""
        if self._since.pop(connection, None) is None or key is None:
            return
        own = self._by_key[key]
        del own[connection]
        if not own:
            del self._by_key[key]

    def make_room(self, key: object | None = None) -> bool:
        """Close the one that waits longest, of all or of those with this key. False where none waits."""
        found = self._since if key is None else self._by_key.get(key)
        if not found:
            return False
        next(iter(found)).retire()
        return True

    def __len__(self) -> int:
        return len(self._since)

    def _set_timer(self, loop: Scheduler, oldest: float) -> None:
        self._timer = True
        loop.call_at(oldest + self._seconds, self._look, loop)

    def _look(self, loop: Scheduler) -> None:
        """Whose time is up is closed two turns later: the kernel may hold a request that nobody has read yet."""
        limit = loop.time() - self._seconds
        late = [
            (each, since)
            for each, since in islice(self._since.items(), CLOSED_AT_ONCE)
            if since <= limit
        ]
        loop.call_soon(loop.call_soon, self._close, late, loop)

    def _close(self, late: list[tuple[IdleConnection, float]], loop: Scheduler) -> None:
        for connection, since in late:
            if self._since.get(connection) == since:
                connection.retire()
        self._timer = False
        if self._since:
            self._set_timer(loop, next(iter(self._since.values())))
