"""A run in which nothing is left to chance: for what a random run meets too rarely."""

from collections.abc import Callable, Sequence

from eventhub.events.event import NewEvent
from tests.simulation.chance import Chance, T
from tests.simulation.client import Client
from tests.simulation.node import EPOCH, Node
from tests.simulation.world import World

SOON = 0.01
"""Seconds that everything between a node and the broker takes, unless told otherwise."""


class Certainty(Chance):
    """Delays are as long as the weather says, nothing is lost, the first choice is taken."""

    def __init__(self) -> None:
        self.draw = lambda: 0.999_999

    def pick(self, options: Sequence[T]) -> T:
        return options[0]


class Scenario(World):
    """`act` says what happens. Then the run heals, and everything is checked as in any run."""

    def __init__(self, act: Callable[["Scenario"], None], **bounds: int) -> None:
        super().__init__(0, Certainty())
        self.bounds = (300,)
        self._act = act
        self._product = bounds

    def connect(self, number: int, channel: str, since: str = "latest") -> Client:
        """A client subscribes, at the first node."""
        client = self.clients[number]
        client.subscribe(channel, since)
        client.connect()
        self.pass_by(0.5)
        return client

    def publish(self, channel: str, count: int = 1, *, seen: bool = True) -> None:
        """Store events with a key each. Nodes are told of them, unless they are not `seen`."""
        for _ in range(count):
            log = self.store.log(channel)
            event = NewEvent(channel, b"-1", EPOCH, {"subject": f"k{log.tip}"})
            if seen:
                self.store.publish([event])
            else:
                log.append(event, 1)

    def gap(self, channel: str) -> None:
        """The broker tells all nodes now that announcements may be missing."""
        for link in self.store.links.values():
            link.tell_of_gap(channel)

    def slow_answer(self, seconds: float) -> None:
        """What the broker reads next is read soon, and answered late."""
        self.pass_by(0.02)
        self.store.weather.delay = seconds
        self.pass_by(0.02)
        self.store.weather.delay = SOON

    def reads(self) -> int:
        """How often history was asked for."""
        return sum(node.broker.reads for node in self.nodes)

    def node(self) -> Node:
        """Start another one."""
        self.start_node()
        self.pass_by(1.0)
        return self.nodes[-1]

    def _bounds(self) -> dict[str, int]:
        return self._product

    def _begin(self) -> None:
        self.node()

    def _steps(self) -> None:
        self._act(self)
