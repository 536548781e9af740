"""A broker that runs, on a fake server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

from eventhub.brokers.redis.broker import RedisBroker
from eventhub.brokers.redis.codec import HISTORY
from eventhub.errors import BrokerUnavailable
from eventhub.events.channel_types import Retention
from eventhub.events.event import Event, NewEvent
from tests.harness.clock import Clock
from tests.harness.eventually import async_eventually
from tests.unit.brokers.listening import serving
from tests.unit.brokers.redis.server import FakeRedis

LONG = 3600.0


class Node:
    """A broker on a fake server, and what it announces."""

    def __init__(self, server: FakeRedis, scheme: str = "redis", timeout: float = LONG) -> None:
        self.server = server
        self.events: list[Event] = []
        self.gaps: list[str] = []
        self.heard: list[bytes] = []
        self.born: list[str | None] = []
        url = f"{scheme}://{server.address}"
        self.broker = RedisBroker(url, retention, Clock(), prefix="p", timeout=timeout)
        self.task: asyncio.Task[None]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[RedisBroker]:
        run = self.broker.run(
            self.events.append, self.gaps.append, self.heard.append, self.born.append
        )
        self.task = asyncio.create_task(run)
        try:
            yield self.broker
        finally:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    async def ready(self) -> None:
        await async_eventually("readiness", self.broker.unready, lambda found: found is None)

    async def says(self, part: str) -> None:
        await async_eventually(part, self.broker.unready, lambda found: part in str(found))

    def reads(self) -> int:
        return sum(command[1] == HISTORY.sha for command in self.server.named("EVALSHA"))


def retention(channel: str) -> Retention:
    if channel.startswith("bad."):
        raise ZeroDivisionError
    return Retention(10, None)


@asynccontextmanager
async def node(scheme: str = "redis") -> AsyncIterator[Node]:
    """A node that is ready, on a server."""
    server = FakeRedis()
    async with serving(server):
        each = Node(server, scheme)
        if scheme == "redis+cluster":
            own = [[0, 16383, [b"", server.port, b"id"]]]
            server.answers["CLUSTER"] = lambda command: own
        async with each.running():
            await each.ready()
            yield each


async def ended(call: Awaitable[object]) -> BrokerUnavailable:
    async with asyncio.timeout(60):
        try:
            result = await call
        except BrokerUnavailable as error:
            return error
    raise AssertionError(result)


def event(text: bytes = b"1", channel: str = "log.a") -> NewEvent:
    return NewEvent(channel, text, 1000)
