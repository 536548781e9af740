"""Watches the members that each node knows: none that is really there may vanish without reason.

The rule (presence/roster.py, rule 3): a member of a living node may vanish elsewhere only after
that node was silent for SILENCE, and the time in which the observer heard nobody does not count.
"""

from typing import TYPE_CHECKING

from eventhub.presence.roster import SILENCE
from tests.simulation.node import Node
from tests.simulation.types import WITH_PRESENCE

if TYPE_CHECKING:
    from tests.simulation.world import World

STEADY_SECONDS = 6.0
"""After so long without trouble, a node knows all members of another."""
KNOWN_SECONDS = 3.0
"""After so long without trouble, a new member is known elsewhere."""

Member = tuple[str, str]
"""A channel, and who is in it."""


class PresenceWitness:
    """What each node has known, and who has really been there since when."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._known: dict[Node, set[tuple[Node, Member]]] = {}
        """What each node must have been told by others."""
        self._since: dict[tuple[Node, Member], float] = {}
        """By node that has the member."""

    def look(self) -> None:
        """Compare with the last look."""
        now = self._world.loop.time()
        here = self._really_here()
        self._since = {place: self._since.get(place, now) for place in here}
        for node in self._world.living:
            if not node.process.frozen and not node.stopping:
                self._look_at(node, now)

    def _look_at(self, node: Node, now: float) -> None:
        known = self._known.setdefault(node, set())
        for (home, member), since in self._since.items():
            peace = max(home.began, node.began, node.broker.at_peace(home.name))
            steady = now - peace > STEADY_SECONDS and now - since > KNOWN_SECONDS
            if steady and node.broker.hears(home.name):
                known.add((home, member))
        for home, member in list(known):
            silence = node.broker.silence(home.name)
            if (home, member) not in self._since or silence > SILENCE / 1000:
                known.discard((home, member))
                continue
            channel, name = member
            assert name in node.hub.nodes.members(channel), (
                f"{member} is on {home.name} and vanished from {node.name}, "
                f"which heard from it {silence:.3f} s ago"
            )

    def truth(self, channel: str) -> set[str]:
        """Who is really there, as clients see it."""
        return {
            client.member
            for client in self._world.clients
            if client.line is not None and channel in client.line.promises
        }

    def _really_here(self) -> dict[tuple[Node, Member], None]:
        """Who is connected to which node, as the nodes see it, or was sent away by it."""
        here = {
            (line.node, (channel, client.member)): None
            for client in self._world.clients
            if (line := client.line) is not None
            and not line.node.process.dead
            and line.connection is not None
            for channel in line.connection.channels
            if channel.startswith(WITH_PRESENCE)
        }
        for node in self._world.nodes:
            for member in node.sent_away:
                here[node, member] = None
        return here
