"""Whether one TCP connection has a slot of the node, or is only a health probe of a full node."""

from collections.abc import Callable

from eventhub.errors import NodeFull
from eventhub.server.security.connection_limits import ConnectionLimits, HealthProbe, Slot

PROBED_PATHS = (b"/livez", b"/metrics")
"""Paths that a full node still answers. Not /readyz: a full node wants no more clients."""
HEALTH_PROBE_SECONDS = 1.0
"""Time that a health probe has for its request."""
UNREAD_SECONDS = 2.0
"""Time that a health probe has to read its answer."""


class Admission:
    """The slot of one connection, from `enter` to `leave`."""

    __slots__ = ("_counted", "_limits", "full", "probe", "slot")

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._counted = False
        self.slot: Slot | None = None
        """Its slot among the connections of its address; None for a proxy's."""
        self.full: NodeFull | None = None
        """The error for other requests, if it is a health probe."""
        self.probe: HealthProbe | None = None

    def enter(self, address: str | None, give_way: Callable[[], None]) -> None:
        """Count the connection, or make it a health probe of a full node.

        `give_way` is called when another health probe needs its place. Raises NodeFull when health
        probes have no place either, and TooManyConnections.
        """
        try:
            self.slot = self._limits.connect(address)
            self._counted = True
        except NodeFull as error:
            self.full = error.without_traceback()
            self.probe = self._limits.health_probes.enter(address or "", give_way)
            if self.probe is None:
                raise

    def check(self, path: bytes) -> None:
        """Raises NodeFull for a path that is not answered to a health probe."""
        if self.full and path not in PROBED_PATHS:
            raise self.full

    def leave(self) -> None:
        """Stop counting the connection. Does nothing if it is not counted."""
        if self._counted:
            self._counted = False
            self._limits.disconnect(self.slot)

    def hand_over(self) -> Slot | None:
        """The slot, for another protocol that will free it."""
        self._counted = False
        return self.slot

    def probe_answered(self) -> None:
        """The health probe has its answer. Until it has read it, it is the first to give way."""
        if self.probe:
            self._limits.health_probes.answered(self.probe)

    def end_probe(self) -> None:
        """It is no health probe any more."""
        if self.probe:
            self._limits.health_probes.leave(self.probe)
            self.probe = None
