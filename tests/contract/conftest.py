"""Brokers under contract. A broker joins the suite by an entry in BROKERS; the suite knows nothing of any of them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from eventhub.brokers.base import Broker
from eventhub.brokers.memory import MemoryBroker
from eventhub.brokers.sqlite import SqliteBroker
from eventhub.channels import Retention
from eventhub.event import Event

RETENTION = {
    "few": Retention(3, None),
    "none": Retention(0, None),
    "brief": Retention(1000, 60_000),
    "many": Retention(1000, None),
}


class Clock:
    """Milliseconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_795_000_000_000

    def __call__(self) -> int:
        return self.now


@dataclass
class Node:
    """A running broker and what it announced."""

    broker: Broker
    clock: Clock
    delivered: list[Event] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)
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

    async def announced(self, count: int) -> list[Event]:
        """The events announced so far, once there are `count`."""
        async with asyncio.timeout(10):
            while len(self.delivered) < count:
                self.changed.clear()
                await self.changed.wait()
        return self.delivered


def retention(channel: str) -> Retention:
    return RETENTION[channel.partition(".")[0]]


@asynccontextmanager
async def running(broker: Broker, clock: Clock) -> AsyncIterator[Node]:
    node = Node(broker, clock)
    task = asyncio.create_task(node.broker.run(node.deliver, node.gap, node.hear))
    await asyncio.sleep(0)  # let it start
    try:
        yield node
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def memory() -> AsyncIterator[Node]:
    clock = Clock()
    async with running(MemoryBroker(retention, clock), clock) as node:
        yield node


@asynccontextmanager
async def sqlite() -> AsyncIterator[Node]:
    clock = Clock()
    with TemporaryDirectory() as directory:
        async with running(SqliteBroker(Path(directory) / "events.db", retention, clock), clock) as node:
            yield node


BROKERS: dict[str, Callable[[], AbstractAsyncContextManager[Node]]] = {"memory": memory, "sqlite": sqlite}


@pytest.fixture(params=BROKERS)
def start(request: pytest.FixtureRequest) -> Callable[[], AbstractAsyncContextManager[Node]]:
    """Starts a broker, ready to be used."""
    return BROKERS[request.param]
