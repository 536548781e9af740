"""The brokers of the contract suite. A broker joins by an entry in BROKERS; the suite itself names
none.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from eventhub.brokers.base import Broker
from eventhub.brokers.factory import SCHEMAS_RETENTION
from eventhub.brokers.memory import MemoryBroker
from eventhub.brokers.nats import NatsBroker
from eventhub.brokers.redis import RedisBroker
from eventhub.brokers.sqlite import SqliteBroker
from eventhub.events.channel_types import SCHEMAS_TYPE, Retention, StateRetention
from eventhub.events.event import Event
from eventhub.events.signal import Signal
from tests.harness import nats_servers, redis_servers
from tests.harness.clock import Clock
from tests.harness.eventually import async_eventually

PATIENCE = 30
"""Seconds: of tests, and of brokers where nothing is said about theirs."""
RETENTION = {
    SCHEMAS_TYPE: SCHEMAS_RETENTION,
    "few": Retention(3, None),
    "none": Retention(0, None),
    "one": Retention(1, 60_000),
    "brief": Retention(1000, 60_000),
    "many": Retention(10_000, None),
    "keyed": Retention(10, None, StateRetention()),
    "young": Retention(1000, 60_000, StateRetention()),
    "kept": Retention(3, None, StateRetention(latest=True, keys=1000)),
    "alone": Retention(0, None, StateRetention(latest=True, keys=1000)),
    "bounded": Retention(3, None, StateRetention(latest=True, keys=4)),
    "_refused-iot": Retention(6, 60_000),
    "aging": Retention(0, None, StateRetention(latest=True, keys=1000, age=60_000)),
}


@dataclass(eq=False)
class Node:
    """A running broker and what it announced."""

    broker: Broker
    clock: Clock
    delivered: list[Event] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)
    births: list[str | None] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def deliver(self, event: Event) -> None:
        self.delivered.append(event)
        self.changed.set()

    def gap(self, channel: str) -> None:
        self.gaps.append(channel)
        self.changed.set()

    def hear(self, message: bytes) -> None:
        self.heard.append(message)
        self.changed.set()

    def born(self, channel: str | None) -> None:
        self.births.append(channel)
        self.changed.set()

    def take_signal(self, signal: Signal) -> None:
        self.signals.append(signal)
        self.changed.set()

    async def announced(self, count: int) -> list[Event]:
        """The events announced so far, once there are `count`."""
        await self.until(lambda: len(self.delivered) >= count)
        return self.delivered

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds. Something that the broker announces must bring it about."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


Backend = Callable[[int], AbstractAsyncContextManager[list[Node]]]


def retention(channel: str) -> Retention:
    return RETENTION[channel.partition(".")[0]]


@asynccontextmanager
async def running(broker: Broker, clock: Clock) -> AsyncIterator[Node]:
    """A node with its broker running and ready."""
    node = Node(broker, clock)
    broker.on_signal = node.take_signal
    task = asyncio.create_task(broker.run(node.deliver, node.gap, node.hear, node.born))
    try:
        await async_eventually(
            "a broker that is ready, or has ended",
            lambda: broker.unready() is None or task.done(),
            seconds=PATIENCE,
        )
        await asyncio.sleep(0)  # a broker that is always ready starts
        yield node
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def nodes_on(count: int, open_broker: Callable[[Clock], Broker]) -> AsyncIterator[list[Node]]:
    """Nodes with brokers of their own, and one clock."""
    clock = Clock()
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(running(open_broker(clock), clock))
            for _ in range(count)
        ]


@asynccontextmanager
async def memory(count: int) -> AsyncIterator[list[Node]]:
    async with nodes_on(1, lambda clock: MemoryBroker(retention, clock)) as nodes:
        yield nodes * count  # there is only one process


@asynccontextmanager
async def sqlite(count: int) -> AsyncIterator[list[Node]]:
    with TemporaryDirectory() as directory:
        async with nodes_on(
            1, lambda clock: SqliteBroker(Path(directory) / "events.db", retention, clock)
        ) as nodes:
            yield nodes * count  # there may be only one process


def on_redis(url: Callable[[], str]) -> Backend:
    def start(count: int) -> AbstractAsyncContextManager[list[Node]]:
        prefix = secrets.token_hex(4)
        return nodes_on(
            count,
            lambda clock: RedisBroker(url(), retention, clock, prefix=prefix, timeout=PATIENCE),
        )

    return start


def nats(count: int) -> AbstractAsyncContextManager[list[Node]]:
    url = f"{nats_servers.single().url}?prefix={secrets.token_hex(4)}"
    return nodes_on(count, lambda clock: NatsBroker(url, retention, clock, timeout=PATIENCE))


def nats_cluster(count: int) -> AbstractAsyncContextManager[list[Node]]:
    cluster = nats_servers.cluster()
    cluster.purge("contract")  # making a replicated stream takes half a second
    return nodes_on(
        count,
        lambda clock: NatsBroker(
            f"{cluster.url}?prefix=contract", retention, clock, timeout=PATIENCE
        ),
    )


BROKERS: dict[str, Backend] = {
    "memory": memory,
    "sqlite": sqlite,
    "redis": on_redis(lambda: redis_servers.single("redis-server").url),
    "valkey": on_redis(lambda: redis_servers.single("valkey-server").url),
    "redis-cluster": on_redis(
        lambda: redis_servers.shared_cluster()[0].url.replace("redis:", "redis+cluster:")
    ),
    "nats": nats,
    "nats-cluster": nats_cluster,
}
"""Each starts a fresh backend, or an unused part of one, and so many nodes on it."""


@pytest.fixture(params=BROKERS)
def start_nodes(request: pytest.FixtureRequest) -> Backend:
    """Starts so many nodes on one backend, ready to be used."""
    return BROKERS[request.param]


@pytest.fixture
def start(start_nodes: Backend) -> Callable[[], AbstractAsyncContextManager[Node]]:
    """Starts a broker, ready to be used."""

    @asynccontextmanager
    async def one() -> AsyncIterator[Node]:
        async with start_nodes(1) as nodes:
            yield nodes[0]

    return one
