"""A broker on fake servers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

from eventhub.brokers.nats.broker import NatsBroker
from eventhub.errors import BrokerUnavailable
from eventhub.events.channel_types import Retention
from eventhub.events.event import Event, NewEvent
from tests.harness.clock import Clock
from tests.harness.eventually import async_eventually
from tests.unit.brokers.listening import serving
from tests.unit.brokers.nats.links import add_stream
from tests.unit.brokers.nats.server import FakeNats

LONG = 3600.0
FULL = {"error": {"code": 503, "err_code": 10023, "description": "insufficient resources"}}


class Node:
    """A broker on a fake server, and what it announces."""

    def __init__(
        self, *servers: FakeNats, options: str = "?prefix=p", timeout: float = LONG
    ) -> None:
        self.server = servers[0]
        self.events: list[Event] = []
        self.gaps: list[tuple[str, int]] = []
        """Channels, with the number of the connection that told the gap."""
        self.heard: list[bytes] = []
        self.born: list[str | None] = []
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
        url = f"nats://{hosts}{options}"
        self.broker = NatsBroker(url, retention, Clock(), timeout=timeout)
        self.task: asyncio.Task[None]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[NatsBroker]:
        run = self.broker.run(self.events.append, self._gap, self.heard.append, self.born.append)
        self.task = asyncio.create_task(run)
        try:
            yield self.broker
        finally:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    def _gap(self, channel: str) -> None:
        self.gaps.append((channel, len(self.server.logins)))

    async def says(self, part: str | None) -> None:
        """Until it gives this reason for not being ready; None: until it is ready."""
        if part is None:
            await async_eventually("readiness", self.broker.unready, lambda found: found is None)
        else:
            await async_eventually(part, self.broker.unready, lambda found: part in str(found))


def retention(channel: str) -> Retention:
    return Retention(10, None)


def event(text: bytes = b"1", channel: str = "log.a") -> NewEvent:
    return NewEvent(channel, text, 1000)


@asynccontextmanager
async def node(**options: Any) -> AsyncIterator[Node]:
    """A node that is ready, on a server with a stream of `log`."""
    server = FakeNats(nonce="n")
    add_stream(server)
    async with serving(server):
        each = Node(server, **options)
        async with each.running():
            await each.says(None)
            yield each


async def ended(call: Awaitable[object]) -> BaseException:
    """How a call failed."""
    async with asyncio.timeout(30):
        try:
            result = await call
        except (BrokerUnavailable, asyncio.CancelledError) as error:
            return error
    raise AssertionError(result)
