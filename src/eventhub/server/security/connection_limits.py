"""How many connections there may be: in all, for each address and for each principal."""

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
"""Descriptors that are kept for the broker, files and refusals. Where there are few, an eighth."""
HEALTH_PROBES = 16
"""Connections above the limit, for health probes: a full node must not look dead."""


class Slot:
    """The place that all connections of one key share, from `SlotCounter.enter` to `leave`."""

    __slots__ = ("count", "key")

    def __init__(self, key: str) -> None:
        self.key = key
        self.count = 0


class SlotCounter:
    """Counts connections by key and allows `bound` of one key. A key without any is forgotten.

    `make_room` may close a connection of a full slot, and returns whether it did. `refusal` and
    `limit` are the text and the setting of the error.
    """

    __slots__ = ("_bound", "_limit", "_make_room", "_refusal", "_slots")

    def __init__(
        self, bound: int, refusal: str, limit: str, make_room: Callable[[Slot], bool] | None = None
    ) -> None:
        self._bound = bound
        self._make_room = make_room
        self._limit = limit
        self._refusal = refusal
        self._slots: dict[str, Slot] = {}

    def enter(self, key: str) -> Slot:
        """Count a connection in. Raises TooManyConnections."""
        slot = self._slots.get(key)
        if slot is None:
            slot = self._slots[key] = Slot(key)
        elif slot.count >= self._bound:
            if self._make_room is None or not self._make_room(slot):
                raise TooManyConnections(
                    f"{self._bound} connections are open {self._refusal}"
                ).with_limit(self._limit)
            # If the closed connection was the only one, the slot has been forgotten.
            slot = self._slots.setdefault(key, slot)
        slot.count += 1
        return slot

    def leave(self, slot: Slot) -> None:
        """Count a connection out."""
        slot.count -= 1
        if not slot.count:
            del self._slots[slot.key]

    def __len__(self) -> int:
        return len(self._slots)


class HealthProbe:
    """A connection to a full node that may only ask for its health."""

    __slots__ = ("address", "asked", "give_way")

    def __init__(self, address: str, give_way: Callable[[], None]) -> None:
        self.address = address
        self.asked = False
        """Its request is being answered."""
        self.give_way = give_way
        """Called when it has been dropped for another probe."""


class HealthProbes:
    """At most HEALTH_PROBES connections.

    When full, a new probe replaces the oldest unanswered probe of the address with the most probes.
    So a probe that asks at once is answered, even if many connections stay silent or do not read
    their answers.
    """

    __slots__ = ("_probes",)

    def __init__(self) -> None:
        self._probes: dict[HealthProbe, None] = {}  # the oldest first

    def enter(self, address: str, give_way: Callable[[], None]) -> HealthProbe | None:
        """Count a probe in. Returns None if there is no room for it."""
        probe = HealthProbe(address and address_key(address), give_way)
        self._probes[probe] = None
        if len(self._probes) > HEALTH_PROBES:
            by_address = Counter(each.address for each in self._probes)
            dropped = max(
                (each for each in self._probes if not each.asked),
                key=lambda each: by_address[each.address],
            )
            self.leave(dropped)
            if dropped is probe:
                return None
            dropped.give_way()
        return probe

    def answered(self, probe: HealthProbe) -> None:
        """Note that the response was written. It is now the newest of the unanswered probes."""
        if probe in self._probes:
            self.leave(probe)
            probe.asked = False
            self._probes[probe] = None

    def leave(self, probe: HealthProbe) -> None:
        """Count a probe out. Does nothing if it was counted out before."""
        self._probes.pop(probe, None)

    def __len__(self) -> int:
        return len(self._probes)


class ConnectionLimits:
    """Counts all connections of this process. `descriptors`: how many files it may open."""

    def __init__(
        self, limits: LimitSettings, proxies: ForwardedAddresses, descriptors: int
    ) -> None:
        self.capacity = min(limits.connections, descriptors - min(RESERVE, descriptors // 8))
        self.open = 0
        self.health_probes = HealthProbes()
        self.idle = IdleConnections(limits.keep_alive_seconds)
        self.principals = SlotCounter(
            limits.connections_per_principal,
            "for this principal, which is the limit (limits.connections_per_principal)",
            "connections_per_principal",
        )
        self._proxies = proxies
        self._addresses = SlotCounter(
            limits.connections_per_address,
            "from this address, which is the limit (limits.connections_per_address); "
            "if it is a proxy's, name it in `proxies`",
            "connections_per_address",
            self.idle.make_room,
        )

    def connect(self, peer: str | None) -> Slot | None:
        """Count a TCP connection in. Returns the slot of its address, None for a trusted proxy.

        Raises NodeFull and TooManyConnections.
        """
        if self.open >= self.capacity and not self.idle.make_room():
            raise NodeFull(
                f"this node has {self.capacity} connections, which is the limit "
                "(limits.connections, open files)"
            )
        slot = self._enter(peer)
        self.open += 1
        return slot

    def disconnect(self, slot: Slot | None) -> None:
        """Count a TCP connection out, with the slot that it has by now."""
        self.open -= 1
        if slot is not None:
            self._addresses.leave(slot)

    def session(self, client: str) -> Slot | None:
        """Count a session behind a proxy by the client address that the proxy forwards.

        Raises TooManyConnections.
        """
        return self._enter(client)

    @contextmanager
    def counted(self, scope: Scope) -> Iterator[None]:
        """Count the session of an ASGI request, unless its connection is already counted.

        Raises TooManyConnections.
        """
        client = scope.get("client")
        already = COUNTED in scope.get("extensions", {})
        slot = None if already or not client else self.session(client[0])
        try:
            yield
        finally:
            if slot is not None:
                self._addresses.leave(slot)

    def _enter(self, address: str | None) -> Slot | None:
        if not address or self._proxies.trusts(address):
            return None
        return self._addresses.enter(address_key(address))


def raise_descriptors() -> int:
    """Raise the limit of open files as far as allowed, and return it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return descriptors()


def descriptors() -> int:
    """Return how many files this process may open."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 1 << 30 if soft == resource.RLIM_INFINITY else soft
