"""Runs in which every client listens to patterns, and most channels are born on the way."""

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar
from unittest.mock import patch

from eventhub.events.channel_types import ChannelTypes, Retention
from tests.simulation.client import Client
from tests.simulation.pattern_client import PatternClient
from tests.simulation.presence import PresenceWitness
from tests.simulation.types import TYPES
from tests.simulation.world import World

if TYPE_CHECKING:
    from tests.simulation.chance import Chance

BOUNDS = {
    "eventhub.delivery.apart.CHANNELS_AT_ONCE": (1, 2, 16),
    "eventhub.delivery.apart.LAGGING_CHANNELS": (1, 1000, 1000),
    "eventhub.delivery.shared_cursors.POSITIONS": (1, 2, 500),
    "eventhub.hub.announcements.BEGINNING_EVENTS": (1, 256),
    "eventhub.hub.patterns.LIST_PAGE": (1, 2, 1000),
    "eventhub.hub.patterns.LIST_SECONDS": (1.0, 3.0, 60.0),
}

SETTLING = 40
"""Twentieths of a second in which a node unsubscribes from channels that were let go."""


class NoPresence(PresenceWitness):
    """Nobody is a member."""

    def look(self) -> None: ...

    def truth(self, channel: str) -> set[str]:
        return set()


class PatternWorld(World):
    """A run with patterns. `check` looks at what plain runs do not have."""

    client_type: ClassVar[type[Client]] = PatternClient

    def __init__(self, seed: int, chance: "Chance | None" = None) -> None:
        super().__init__(seed, chance)
        self.witness = NoPresence(self)
        self.faults.weights.pop("trim", None)  # a type says how much of its channels is retained
        self.channels = [
            f"{kind.name}.{name}"
            for kind in TYPES
            for name in self.chance.pick(("a", "ab", "abcde"))
        ]
        self.keep = {kind.name: self.chance.pick((1000, 1000, 5, 1, 0)) for kind in TYPES}
        self.store.keep = lambda channel: self.keep[channel.partition(".")[0]]

    def run(self) -> None:
        types = ChannelTypes(
            {
                kind.name: replace(
                    kind, presence=False, retention=Retention(self.keep[kind.name], None)
                )
                for kind in TYPES
            }
        )
        with patch("tests.simulation.node.TYPES", types):
            super().run()

    def _bounds(self) -> dict[str, int]:
        chosen = {name: self.chance.pick(values) for name, values in BOUNDS.items()}
        return super()._bounds() | chosen  # type: ignore[return-value]  # some are seconds

    def _settle(self) -> None:
        """A channel may be let go just now, after a reading of the list."""
        for _ in range(SETTLING):
            if all(node.hub.feeds.announcements.settled for node in self.living):
                return
            self.pass_by(0.05)

    def _begin(self) -> None:
        keep = self.store.keep
        super()._begin()
        self.store.keep = keep
