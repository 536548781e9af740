"""A shard that runs, on a fake server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from eventhub.brokers.redis.codec import PUBSUB, KeyNames
from eventhub.brokers.redis.shard import Shard
from eventhub.brokers.redis.subscriptions import BIRTHS, ShardSubscription
from eventhub.brokers.redis.url import Login, ServerAddress
from tests.harness.eventually import async_eventually
from tests.unit.brokers.listening import serving
from tests.unit.brokers.redis.server import FakeRedis


class Owner:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.gaps: list[str] = []
        self.births: list[tuple[str, ServerAddress]] = []
        self.unsure = 0
        """How often births may have been missed."""
        self.changes = self.doubts = 0

    def born(self, channel: str, hearer: ServerAddress) -> None:
        self.births.append((channel, hearer))

    def may_have_missed(self, channel: str) -> None:
        if channel == BIRTHS:
            self.unsure += 1
        else:
            self.gaps.append(channel)

    def connection_changed(self) -> None:
        self.changes += 1

    def masters_may_have_changed(self) -> None:
        self.doubts += 1


class Started:
    """A shard that runs, on a server."""

    def __init__(self, server: FakeRedis) -> None:
        self.server, self.owner = server, Owner()
        self.shard = Shard(
            server.address, Login(), KeyNames("p", 0), self.owner, node="n", pubsub=PUBSUB
        )
        self.taken: list[bytes] = []

    def add(self) -> ShardSubscription:
        subscription = ShardSubscription("log.a", b"t", self.taken.append)
        self.shard.add(subscription)
        return subscription

    async def works(self) -> None:
        await async_eventually("a working shard", lambda: self.shard.unavailable_reason() is None)

    async def complains(self, part: str) -> None:
        await async_eventually(
            part, self.shard.unavailable_reason, lambda found: part in str(found)
        )

    @property
    def probes(self) -> int:
        return len(self.server.named("PUBLISH"))


@asynccontextmanager
async def running(server: FakeRedis) -> AsyncIterator[Started]:
    started = Started(server)
    task = asyncio.create_task(started.shard.run())
    try:
        yield started
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def working() -> AsyncIterator[Started]:
    async with serving(FakeRedis()) as server, running(server) as started:
        await started.works()
        yield started
