"""Nodes on one Redis that share a prefix of their own."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from eventhub.brokers.redis import RedisBroker
from eventhub.errors import EventHubError
from eventhub.events.channel_types import Retention
from eventhub.events.event import NewEvent, Receipt
from tests.integration.checker import Node, Reader

RETENTION = Retention(100_000, 3_600_000)
CHANNEL = "chat.a"


class RedisNode(Node):
    """A node with a reader of one channel."""

    broker: RedisBroker

    def __init__(self, url: str, prefix: str, timeout: float) -> None:
        broker = RedisBroker(
            url, lambda channel: RETENTION, self.now, prefix=prefix, timeout=timeout
        )
        super().__init__(broker, lambda name: RETENTION, [CHANNEL])

    async def read(self) -> Reader:
        """Read everything that arrives."""
        reader = self.readers[CHANNEL]
        await reader.started.wait()
        return reader

    async def publish(
        self, *texts: str, channel: str = CHANNEL, key: str | None = None
    ) -> list[str]:
        """Publish.

        Returns the ids. Raises the broker's error for the first event that is not stored.
        """
        results = await self.broker.publish(
            [NewEvent(channel, f'"{text}"'.encode(), self.now(), None, key) for text in texts]
        )
        for result in results:
            if isinstance(result, EventHubError):
                raise result
        return [str(result.position) for result in results if isinstance(result, Receipt)]


@asynccontextmanager
async def nodes(*urls: str, timeout: float = 5.0) -> AsyncIterator[list[RedisNode]]:
    """Running nodes that share a backend. Does not wait until they are ready."""
    prefix = secrets.token_hex(4)
    async with AsyncExitStack() as stack:
        running = [RedisNode(url, prefix, timeout) for url in urls]
        for node in running:
            task = asyncio.create_task(node.run())
            await node.hub.started.wait()
            stack.push_async_callback(_end, task)
        yield running


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
