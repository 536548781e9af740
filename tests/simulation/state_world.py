"""Runs with states and signals: clients hold the newest event of each key, and hear each other."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar
from unittest.mock import patch

from eventhub.events.channel_types import (
    ChannelTypes,
    PublisherKind,
    Retention,
    SignalRules,
    StateRetention,
)
from eventhub.events.keys import KeySource
from tests.simulation.client import Client
from tests.simulation.faults import STATES
from tests.simulation.pattern_world import NoPresence
from tests.simulation.state_client import StateClient
from tests.simulation.state_log import StateLog
from tests.simulation.types import TYPES
from tests.simulation.world import World

if TYPE_CHECKING:
    from tests.simulation.chance import Chance

RETENTIONS = (StateRetention(latest=True), StateRetention(latest=True, keys=2), StateRetention())
BOUNDS = ((100_000,), (600,), (100_000, 1200, 600))
"""Of buffers, in bytes: a signal fits into a quarter of each."""
SIGNAL_BYTES = {"eventhub.delivery.signals.WAITING_BYTES": (64 * 1024, 1, 300)}


class StateWorld(World):
    """A run with states and signals."""

    client_type: ClassVar[type[Client]] = StateClient

    def __init__(self, seed: int, chance: "Chance | None" = None) -> None:
        super().__init__(seed, chance)
        self.witness = NoPresence(self)
        self.bounds = self.chance.pick(BOUNDS)
        retention = self.chance.pick(RETENTIONS)
        self.store.make_log = partial(StateLog, retention=retention)
        self.types = ChannelTypes(
            {
                kind.name: replace(
                    kind,
                    presence=False,
                    key=KeySource("subject"),
                    retention=Retention(1000, None, retention),
                    signals=SignalRules(frozenset(PublisherKind)),
                )
                for kind in TYPES
            }
        )
        self.faults.weights |= STATES

    def run(self) -> None:
        with (
            patch("tests.simulation.node.TYPES", self.types),
            patch("tests.simulation.rest.TYPES", self.types),
        ):
            super().run()

    def _bounds(self) -> dict[str, int]:
        return super()._bounds() | {
            name: self.chance.pick(values) for name, values in SIGNAL_BYTES.items()
        }

    def _settle(self) -> None:
        """Nothing is in the way of a signal now: everybody who is there gets it, once."""
        first, *_ = self.clients
        assert first.line is not None
        for channel in self.channels:
            number = self.signals.send(first.line, channel)
            self.pass_by(0.5)
            for client in self.clients:
                if channel in client.wanted:
                    assert client.line is not None
                    name = client.line.name
                    assert self.signals.heard(name, number), f"{name} missed signal {number}"
