"""Watches the members that each node knows: none that is really there may vanish without reason.

The rule (presence/roster.py, rule 3): a member of a living node may vanish elsewhere only after
that node was silent for SILENCE, and the time in which the observer heard nobody does not count.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from eventhub.delivery.subscriber import Subscriber
from tests.simulation.node import Node
from tests.simulation.types import WITH_PRESENCE
from tests.simulation.words import NEVER, TOLERANCE

if TYPE_CHECKING:
    from tests.simulation.world import World

STEADY_SECONDS = 9.0
"""After so long without trouble, a node knows all members of another."""
KNOWN_SECONDS = 3.0
"""After so long without trouble, a new member is known elsewhere."""

Member = tuple[str, str]
"""A channel, and who is in it."""


class PresenceWitness:
    """What each node has known, and who has really been there since when."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._known: dict[Node, dict[tuple[Node, Member], float]] = {}
        """What each node must have been told by others, and since when it is so."""
        self._here: dict[tuple[Node, Member], tuple[float, set[Subscriber]]] = {}
        """Since when a node has a member without a break, and its subscriptions there."""

    def look(self) -> None:
        """Compare with the last look."""
        now = self._world.loop.time()
        before, self._here = self._here, {}
        for place, subscribers in self._really_here().items():
            since, earlier = before.get(place, (now, subscribers))
            self._here[place] = (since if subscribers & earlier else now), subscribers
        said = self._said()
        for node in self._world.living:
            if not node.process.frozen and not node.stopping:
                self._look_at(node, now, said)

    def _said(self) -> dict[tuple[Node, Member], float]:
        """When each member said its last, if all clocks are right and it said anything."""
        words = self._world.words
        if not words.spoken or not words.ordered:
            return {}
        ages = {place: words.age(words.last_of(each)) for place, (_, each) in self._here.items()}
        return {place: age for place, age in ages.items() if age != NEVER}

    def _look_at(self, node: Node, now: float, said: Mapping[tuple[Node, Member], float]) -> None:
        known = self._known.setdefault(node, {})
        hearing = node.broker.hearing
        silent = hearing.take_silent()
        for place, (since, _) in self._here.items():
            if place not in known and self._must_know(node, place[0], since, now):
                known[place] = since
        shown: dict[str, dict[str, bytes]] = {}
        for place, since in list(known.items()):
            home, (channel, name) = place
            if self._here.get(place, (None,))[0] != since or home.name in silent:
                del known[place]
                continue
            if channel not in shown:
                shown[channel] = dict(node.hub.nodes.listed(channel))
            assert name in shown[channel], (
                f"{place[1]} is on {home.name} and vanished from {node.name}, "
                f"which heard from it {hearing.silence(home.name)} ms ago"
            )
            if place in said and self._must_know(node, home, said[place], now):
                self._check_age(node, place, shown[channel][name], said[place])

    def _check_age(
        self, node: Node, place: tuple[Node, Member], shown: bytes, newest: float
    ) -> None:
        """Nobody is shown what is older than what a node must have been told."""
        assert self._world.words.age(shown) >= newest - TOLERANCE, (
            f"{node.name} shows {shown!r} of {place[1]}, older than what {place[0].name} says"
        )

    def _must_know(self, node: Node, home: Node, since: float, now: float) -> bool:
        """Whether a node must have been told of a member that is on `home` since then."""
        if home.process.dead or now - since <= KNOWN_SECONDS:
            return False
        peace = max(home.began, node.began, node.broker.at_peace(home.name))
        return now - peace > STEADY_SECONDS and node.broker.hearing.hears(home.name)

    def subscribers(self, channel: str, member: str) -> set[Subscriber]:
        """Those that are really there, on all nodes that live."""
        return {
            subscriber
            for (home, place), found in self._really_here().items()
            if place == (channel, member) and not home.process.dead
            for subscriber in found
        }

    def truth(self, channel: str) -> set[str]:
        """Who is really there, as clients see it."""
        return {
            client.member
            for client in self._world.clients
            if client.line is not None and channel in client.line.promises
        }

    def _really_here(self) -> dict[tuple[Node, Member], set[Subscriber]]:
        """Who is connected to which node, as the nodes see it, or was sent away by it."""
        here: dict[tuple[Node, Member], set[Subscriber]] = {}
        for client in self._world.clients:
            line = client.line
            if line is None or line.node.process.dead or line.connection is None:
                continue
            for subscriber in line.connection.subscribers:
                if (channel := subscriber.channel).startswith(WITH_PRESENCE):
                    here.setdefault((line.node, (channel, client.member)), set()).add(subscriber)
        for node in self._world.nodes:
            for subscriber, member in node.sent_away.items():
                here.setdefault((node, (subscriber.channel, member)), set()).add(subscriber)
        return here
