"""Who may connect. Connections are counted in all, by address and by principal; beyond the limits they are refused."""

import resource
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.types import Scope

from eventhub.common.addresses import address_key
from eventhub.config.limit_settings import LimitSettings
from eventhub.errors import NodeFull, TooManyConnections
from eventhub.server.messages.asgi_extensions import COUNTED
from eventhub.server.security.forwarded import ForwardedAddresses
from eventhub.server.security.idle_connections import IdleConnections

RESERVE = 512
"""Descriptors kept for the broker, files and refusals; an eighth of all where there are few."""
HEALTH_PROBES = 16
"""Connections beyond the limit at a time, of those who ask how the node is: a full node must not be
taken for a dead one.
"""


class Slot:
    """What all connections of one key hold, from `SlotCounter.enter` to `leave`."""

    __slots__ = ("count", "key")

    def __init__(self, key: str) -> None:
        self.key = key
        self.count = 0


class SlotCounter:
    """Connections by key, at most `bound` of one. A key is held only while it has connections.

    `make_room` may count out one of a place that is full; whether it has.
    """

    __slots__ = ("_bound", "_limit", "_make_room", "_places", "_refusal")

    def __init__(
        self, bound: int, refusal: str, limit: str, make_room: Callable[[Slot], bool] | None = None
    ) -> None:
        self._bound = bound
        self._make_room = make_room
        self._limit = limit
        self._refusal = refusal
        self._places: dict[str, Slot] = {}

    def enter(self, key: str) -> Slot:
        """Count a connection in. Raises TooManyConnections."""
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = Slot(key)
        elif place.count >= self._bound:
            if self._make_room is None or not self._make_room(place):
                raise TooManyConnections(
                    f"{self._bound} connections are open {self._refusal}"
                ).with_limit(self._limit)
            place = self._places.setdefault(key, place)  # it may have held that one only
        place.count += 1
        return place

    def leave(self, place: Slot) -> None:
        """Count it out."""
        place.count -= 1
        if not place.count:
            del self._places[place.key]

    def __len__(self) -> int:
        return len(self._places)


class HealthProbe:
    """A connection to a full node, which may only ask how the node is."""

    __slots__ = ("address", "asked", "give_way")

    def __init__(self, address: str, give_way: Callable[[], None]) -> None:
        self.address = address
        self.asked = False
        """Its answer is being made."""
        self.give_way = give_way


class HealthProbes:
    """WATCHERS at most. Another turns one away that is not being answered: the oldest of those whose address has most.

    So one that asks at once gets in, as probes do, however many say nothing, or do not read what they asked for.
    """

    __slots__ = ("_all",)

    def __init__(self) -> None:
        self._all: dict[HealthProbe, None] = {}  # the oldest first

    def enter(self, address: str, give_way: Callable[[], None]) -> HealthProbe | None:
        """Count a connection in; None where it cannot be. `give_way` is called when it has been counted out again for another."""
        watcher = HealthProbe(address and address_key(address), give_way)
        self._all[watcher] = None
        if len(self._all) > HEALTH_PROBES:
            have = Counter(each.address for each in self._all)
            goes = max(
                (each for each in self._all if not each.asked), key=lambda each: have[each.address]
            )
            self.leave(goes)
            if goes is watcher:
                return None
            goes.give_way()
        return watcher

    def answered(self, watcher: HealthProbe) -> None:
        """It has been told all. Until it has read that, others give way before it does."""
        if watcher in self._all:
            self.leave(watcher)
            watcher.asked = False
            self._all[watcher] = None

    def leave(self, watcher: HealthProbe) -> None:
        """Count it out. It may have been counted out already."""
        self._all.pop(watcher, None)

    def __len__(self) -> int:
        return len(self._all)


class ConnectionLimits:
    """All connections of this process. `descriptors`: how many files it may have open."""

    def __init__(
        self, limits: LimitSettings, proxies: ForwardedAddresses, descriptors: int
    ) -> None:
        self.capacity = min(limits.connections, descriptors - min(RESERVE, descriptors // 8))
        self.open = 0
        self.watchers = HealthProbes()
        self.idle = IdleConnections(limits.keep_alive_seconds)
        self.principals = SlotCounter(
            limits.connections_per_principal,
            "for this principal, which is the limit (limits.connections_per_principal)",
            "connections_per_principal",
        )
        self._proxies = proxies
        self._addresses = SlotCounter(
            limits.connections_per_address,
            "from this address, which is the limit (limits.connections_per_address); if it is a proxy's, name it in `proxies`",
            "connections_per_address",
            self.idle.make_room,
        )

    def connect(self, peer: str | None) -> Slot | None:
        """Count a TCP connection in; its place among those of its address, None for a proxy's. Raises NodeFull, TooManyConnections."""
        if self.open >= self.capacity and not self.idle.make_room():
            raise NodeFull(
                f"this node has {self.capacity} connections, which is the limit (limits.connections, open files)"
            )
        place = self._enter(peer)
        self.open += 1
        return place

    def disconnect(self, place: Slot | None) -> None:
        """Count it out, with the place that it has by now."""
        self.open -= 1
        if place is not None:
            self._addresses.leave(place)

    def session(self, client: str) -> Slot | None:
        """Count a session whose connection has no place, which a proxy made, by the address that it forwards. Raises TooManyConnections."""
        return self._enter(client)

    @contextmanager
    def counted(self, scope: Scope) -> Iterator[None]:
        """Count the session of an ASGI request while it lasts, unless its connection has been counted. Raises TooManyConnections."""
        client = scope.get("client")
        place = (
            None
            if COUNTED in scope.get("extensions", {}) or not client
            else self.session(client[0])
        )
        try:
            yield
        finally:
            if place is not None:
                self._addresses.leave(place)

    def _enter(self, address: str | None) -> Slot | None:
        if not address or self._proxies.trusts(address):
            return None
        return self._addresses.enter(address_key(address))


def raise_descriptors() -> int:
    """Let this process open as many files as it may be let; how many that is."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return descriptors()


def descriptors() -> int:
    """How many files this process may have open."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 1 << 30 if soft == resource.RLIM_INFINITY else soft
