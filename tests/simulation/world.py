"""A run: nodes on a model broker, clients, and what happens to them, all from one seed."""

from collections.abc import Callable
from contextlib import ExitStack
from contextvars import Context
from hashlib import sha256
from typing import Any, ClassVar
from unittest.mock import patch

from tests.simulation import rest
from tests.simulation.chance import Chance
from tests.simulation.client import Client, Publish
from tests.simulation.faults import ACTIONS, Faults
from tests.simulation.loop import SimulatedLoop
from tests.simulation.node import Node
from tests.simulation.presence import PresenceWitness
from tests.simulation.signals import Signals
from tests.simulation.store import Store
from tests.simulation.types import TYPES
from tests.simulation.words import Words

Entry = tuple[float, tuple[Any, ...]]

BOUNDS = {
    "eventhub.delivery.recent.RECENT_EVENTS": (2, 4, 1024),
    "eventhub.delivery.recent.KEYS": (10_000,),
    "eventhub.delivery.fanout.QUEUED_BYTES": (1, 30, 256 * 1024),
    "eventhub.delivery.fanout.MAX_REMOVED": (0, 1000),
    "eventhub.hub.fanout_schedule.TICK_WRITES": (1, 3, 1000),
    "eventhub.hub.fanout_schedule.SLICE_WRITES": (1, 250),
    "eventhub.hub.eviction.SLICE": (1, 50),
    "eventhub.hub.history.PAGE_EVENTS": (1, 3, 256),
    "eventhub.hub.history.READERS": (1, 50),
    "eventhub.hub.history.CACHED_PAGES": (0, 2, 32),
    "eventhub.presence.broadcasts.BATCH": (1, 2, 250),
    "eventhub.presence.notifier.CROWD": (2, 200, 200),
    "eventhub.presence.notifier.MAX_CHANGES": (1, 32),
    "eventhub.presence.notifier.BEGINNINGS": (1, 2, 8),
    "eventhub.presence.notifier.SLICE": (1, 250),
}
"""Bounds of the product that a run chooses among, so that small runs reach them."""


CALLBACK_SECONDS = (0.0, 0.0, 0.0005)
"""How long a callback takes. If it takes no time, nothing from elsewhere comes between two."""


class World:
    """Everything in one run. `run` raises AssertionError when a promise is broken."""

    client_type: ClassVar[type[Client]] = Client

    def __init__(self, seed: int, chance: Chance | None = None) -> None:
        self.trace: list[Entry] = []
        self.chance = chance or Chance(seed)
        self.loop = SimulatedLoop(self.chance.pick(CALLBACK_SECONDS))
        self.store = Store(self.loop, self.chance, self.note)
        self.nodes: list[Node] = []
        """Those that run, or did."""
        self.clients = [
            self.client_type(self, number) for number in range(self.chance.number(2, 5))
        ]
        self.channels = [f"{kind.name}.a" for kind in TYPES]
        self.bounds = self.chance.pick(((100_000,), (300,), (100_000, 600, 300)))
        """Of the buffers of connections, in bytes."""
        self.publishes: list[Publish] = []
        self.words = Words(self, seed)
        self.signals = Signals()
        self.witness = PresenceWitness(self)
        self.faults = Faults(self)

    # What everybody asks

    def note(self, *what: Any) -> None:
        """Write down what happens."""
        self.trace.append((self.loop.time(), what))

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something outside of all processes."""
        self.loop.call_later(seconds, act, context=Context())

    @property
    def living(self) -> list[Node]:
        return [node for node in self.nodes if not node.process.dead]

    @property
    def serving(self) -> list[Node]:
        """The nodes that clients can reach."""
        return [node for node in self.nodes if node.serves]

    def hash(self) -> str:
        """Of the trace."""
        return sha256("\n".join(self.lines()).encode()).hexdigest()

    def lines(self) -> list[str]:
        """The trace as text."""
        return [
            f"{moment:9.3f}  {'  '.join(str(part) for part in what)}" for moment, what in self.trace
        ]

    # The run

    def run(self) -> None:
        """Everything from the first node to the last check."""
        with ExitStack() as stack:
            for name, value in self._bounds().items():
                stack.enter_context(patch(name, value))
            try:
                self._begin()
                self._steps()
                self._heal()
                self._end()
            finally:
                self._clean_up()

    def start_node(self) -> None:
        node = Node(self.store, f"n{len(self.nodes)}", self._lose_lines, self.words)
        self.nodes.append(node)
        self.note("starts", node.name)

    def pass_by(self, seconds: float, step: float = 0.25) -> None:
        """Let time pass, and look in between."""
        end = self.loop.time() + seconds
        while self.loop.time() < end:
            self.loop.run_until(min(end, self.loop.time() + step))
            self.witness.look()

    def _lose_lines(self, node: Node) -> None:
        """A process has ended: its clients notice sooner or later."""
        for client in self.clients:
            if (line := client.line) is not None and line.node is node:
                self.later(self.chance.between(0, 2), line.lost)

    def _bounds(self) -> dict[str, int]:
        """Of the product, in this run."""
        bounds = {name: self.chance.pick(values) for name, values in BOUNDS.items()}
        return bounds | self.words.bounds()

    def _begin(self) -> None:
        keep = {
            name: self.chance.pick((1000, 1000, 5, 1, 0))
            for name in ("drop", "disconnect", "latest")
        }
        self.store.keep = lambda channel: keep[channel.partition(".")[0]]
        self.store.step = self.chance.pick((1, 1, 3))
        for _ in range(self.chance.number(1, 3)):
            self.start_node()
        self.loop.run_until(0.1)
        for client in self.clients:
            self.later(self.chance.between(0, 0.5), client.connect)

    def _steps(self) -> None:
        pause = self.chance.pick((0.02, 0.1, 0.1, 0.4))
        for _ in range(self.chance.number(30, 120)):
            name = self.chance.weighted(self.faults.weights)
            ACTIONS[name](self.faults)
            self.words.update()
            self.pass_by(self.chance.between(0, 2 * pause))
        self.faults.finish()

    def _heal(self) -> None:
        """Nothing goes wrong any more, and everybody reads."""
        self.note("heals")
        self.faults.heal()
        self.pass_by(rest.QUIET_SECONDS, 0.5)
        rest.check_complete(self)
        rest.check_repeats(self)
        self.faults.publish_last()
        self.pass_by(3.0)
        self._settle()
        rest.check(self)
        self.words.check_last()

    def _settle(self) -> None:
        """What nodes do now and then, even at rest, has been done."""

    def _end(self) -> None:
        """Everybody leaves: nothing may be left."""
        for client in self.clients:
            client.wanted.clear()
            client.disconnect()
        self.pass_by(3.0)
        rest.check_empty(self)

    def _clean_up(self) -> None:
        """Let coroutines end, whose processes died."""
        self.loop.errors.clear()
        for node in self.nodes:
            node.process.dead = False
            self.loop.thaw(node.process)
            node.clean_up()
        self.loop.finish()
