"""A node: a real hub on the model broker, and its connections."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from eventhub.common.machine import Machine
from eventhub.delivery.subscriber import Subscriber
from eventhub.errors import BrokerUnavailable, ShuttingDown
from eventhub.hub.hub import Hub
from eventhub.observability.metrics import Metrics
from tests.simulation.broker import ModelBroker
from tests.simulation.connection import Connection
from tests.simulation.loop import Process
from tests.simulation.store import Store
from tests.simulation.types import TYPES
from tests.simulation.words import Words

TOPIC = b"simulated"
EPOCH = 1_795_000_000_000
"""Milliseconds since 1970 when every run begins."""


class Node:
    """One run of a node."""

    def __init__(
        self, store: Store, name: str, ended: Callable[["Node"], None], words: Words
    ) -> None:
        self.name = name
        self.process = Process()
        self.skew = 0
        """Milliseconds by which its wall clock is wrong."""
        self.skewed = False
        """Its wall clock was ever wrong."""
        self.connections: dict[Connection, None] = {}
        self.sent_away: dict[Subscriber, str] = {}
        """Subscribers whose connections were told goodbye, and their members."""
        self.stopping = False
        self.loop = store.loop
        self.began = store.loop.time()
        self._store = store
        self._on_end = ended
        self.broker = ModelBroker(store, name, self.process.context, self.now)
        machine = Machine(store.loop.time, name)
        self.hub = Hub(TYPES, self.broker, Metrics(kind.name for kind in TYPES), None, machine)
        self.hub.now = self.now  # its machine's wall clock
        self._words = words
        self._update, self.hub.nodes.update = self.hub.nodes.update, self._told  # type: ignore[method-assign]  # to note what is said
        self._task: asyncio.Task[None] | None = None
        self.said = 0
        self._heard: dict[str, int] = {}
        self.hub.nodes.listen(TOPIC, self._hear)
        store.links[name] = self.broker
        self.call(self._start)

    @property
    def serves(self) -> bool:
        """Whether clients may come."""
        return not self.process.dead and not self.stopping

    def now(self) -> int:
        return EPOCH + int(self.loop.time() * 1000) + self.skew

    def call(self, act: Callable[..., object], *arguments: object) -> None:
        """Do something in this node's process, soon."""
        self.loop.call_soon(act, *arguments, context=self.process.context)

    async def say(self) -> None:
        """Send the other nodes a message."""
        self.said += 1
        with suppress(BrokerUnavailable):
            await self.hub.nodes.broadcast(TOPIC, b"%s %d" % (self.name.encode(), self.said))

    def freeze(self) -> None:
        """Do nothing from now on. What this node has sent still arrives."""
        self.broker.mark_trouble()
        self.process.frozen = True

    def thaw(self) -> None:
        """Go on after a freeze, if there was one."""
        if self.process.frozen:
            self.broker.mark_trouble()
            self.loop.thaw(self.process)

    def stop(self) -> None:
        """Send the clients away, one after the other, then end."""
        self.stopping = self.hub.draining = True
        for number, connection in enumerate(list(self.connections)):
            self.loop.call_later(0.1 * number, connection.goodbye, ShuttingDown("it stops"))
        self.loop.call_later(0.1 * len(self.connections) + 0.5, self._end)

    def die(self) -> None:
        """Nothing of this process happens any more."""
        self.process.dead = True
        self._store.links.pop(self.name, None)
        self._on_end(self)

    def _end(self) -> None:
        self.hub.closing = True
        for connection in list(self.connections):
            connection.abort()
        if self._task is not None:
            self._task.cancel()

    def clean_up(self) -> None:
        """End what a dead process left behind: without noise, and unseen."""
        if self._task is not None:
            self._task.cancel()

    def _told(self, subscriber: Subscriber, data: bytes, time: int) -> None:
        self._words.note(self, subscriber, data)
        self._update(subscriber, data, time)

    def _hear(self, body: bytes) -> None:
        name, number = body.decode().split()
        assert name != self.name, "a node hears its own message"
        assert int(number) > self._heard.get(name, 0), "messages of a node in another order"
        self._heard[name] = int(number)

    def _start(self) -> None:
        self._task = self.loop.create_task(self.hub.run(), context=self.process.context)
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        assert task.cancelled(), f"{self.name} ended: {task.exception()}"
        self.die()
