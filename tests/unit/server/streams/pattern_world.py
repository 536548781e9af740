"""Streams of a pattern on a node that may be killed, and clients that are cut off in any byte.

Time is that of tests/harness/virtual_time.py. Each client must get every event of every channel
once and in order, whatever happened, or a gap.
"""

import asyncio
import json
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import Any

from eventhub.auth.principal import ANYONE
from eventhub.brokers.memory import MemoryBroker
from eventhub.config.loader import channel_types
from eventhub.config.settings import Settings
from eventhub.events.channel_types import JOURNAL_TYPE, Retention
from eventhub.events.event import NewEvent
from eventhub.hub.hub import Hub
from eventhub.observability.metrics import Metrics
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.security.authentication import Authentication
from eventhub.server.streams.pattern_query import PatternQuery
from eventhub.server.streams.response import FORMS, StreamResponse

PATTERN = "logs.>"
SEVERAL = "channel=logs.a.*&channel=logs.alone&channel=logs.b.>"
"""Two patterns and a channel."""
TYPES = {"logs": {"payload": "json", "history": {"events": 100_000}, "slow": "drop"}}


class SlowMemory(MemoryBroker):
    """A memory broker that takes its time to store the records of cursors."""

    delay = 0.0

    async def publish(self, events: Any) -> Any:
        if events[0].channel.startswith(JOURNAL_TYPE):
            await asyncio.sleep(self.delay)
        return await super().publish(events)


class World:
    """One broker, the node that runs on it, and the clients."""

    def __init__(
        self, seed: int, *, channels: int, bound: int = 1 << 20, several: bool = False
    ) -> None:
        self.chance = Random(seed)
        self.settings = Settings(channels=TYPES, limits={"buffer_bytes": bound})
        self.types = channel_types(self.settings, Path())
        self.broker = SlowMemory(lambda channel: Retention(100_000, None), Hub.now)
        self.selection = SEVERAL if several else f"channel={PATTERN}"
        self.names = [f"logs.greenhouse.{number}" for number in range(channels)]
        if several:
            self.names = ["logs.alone"] + [
                f"logs.a.{number}" if number % 2 else f"logs.b.{number}.x"
                for number in range(channels)
            ]
        self.published: dict[str, int] = defaultdict(int)
        self.manager: ConnectionManager
        self.task: asyncio.Task[None]
        self.clients: list[Client] = []

    async def start(self) -> None:
        """A node on the broker. The one before may have been killed: it does nothing any more."""
        metrics = Metrics(kind.name for kind in self.types)
        hub = Hub(self.types, self.broker, metrics)
        authentication = Authentication(self.settings.auth, Path(), Hub.now)
        self.manager = ConnectionManager(self.settings, hub, authentication)
        self.task = asyncio.create_task(hub.run())
        await hub.started.wait()
        await asyncio.sleep(0)

    async def kill(self) -> None:
        """All at once, with everything that it holds."""
        for client in self.clients:
            client.response = None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.start()

    async def publish(self, count: int) -> None:
        events = []
        for _ in range(count):
            channel = self.chance.choice(self.names)
            self.published[channel] += 1
            events.append(NewEvent(channel, b"%d" % self.published[channel], Hub.now()))
        for event in events:
            await self.manager.hub.publish([event])

    async def step(self) -> None:
        """Something happens."""
        chance = self.chance
        match chance.randrange(10):
            case 0 | 1 | 2 | 3:
                await self.publish(chance.choice([1, 3, 40]))
            case 4 | 5:
                await asyncio.sleep(chance.choice([0, 0.001, 0.1, 10]))
            case 6 | 7 | 8:
                client = chance.choice(self.clients)
                if client.response is None:
                    await client.connect()
                else:
                    client.read(chance.choice([1, 100, 3000, 10**6]))
                    if chance.random() < 0.3:
                        client.cut()
            case _:
                if chance.random() < 0.2:
                    await self.kill()
                self.broker.delay = chance.choice([0, 0, 0.01, 1])

    async def finish(self) -> None:
        """Everything arrives."""
        self.broker.delay = 0
        for client in self.clients:
            if client.response is None:
                await client.connect()
        for _ in range(200):
            await asyncio.sleep(0.01)
            for client in self.clients:
                client.read(10**6)
        for client in self.clients:
            for channel, number in self.published.items():
                begins = client.may_begin_after(channel) if channel not in client.got else 0
                assert number - client.got.get(channel, 0) <= begins

    async def run(self, clients: list[tuple[str, str]], steps: int) -> None:
        """The clients' transports and `since`."""
        await self.start()
        self.clients = [Client(self, *each) for each in clients]
        for _ in range(steps):
            await self.step()
        await self.finish()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


class Client:
    """A client that resumes with the last cursor it has read completely."""

    def __init__(self, world: World, transport: str, since: str) -> None:
        self.world, self.transport, self.since = world, transport, since
        self.response: StreamResponse | None = None
        self.cursor = ""
        self.got: dict[str, int] = defaultdict(int)
        """The number of the last event, by channel."""
        self.longest = 0
        self.known: dict[str, int] | None = None if since == "latest" else {}
        """What was published when it got its first cursor."""
        self._bytes = b""

    async def connect(self) -> None:
        sse = self.transport == "sse"
        since = self.since if sse or not self.cursor else self.cursor
        address = f"{self.world.selection}&since={since}".encode()
        query = PatternQuery(address, None, self.cursor if sse else None)
        manager = self.world.manager
        await query.read(self.world.types, ANYONE, manager.hub.patterns.cursors)
        identity = manager.registry.new_identity(ANYONE, "192.0.2.1")
        self.response = StreamResponse(
            manager, self.transport, query, identity, FORMS[self.transport]
        )
        self._bytes = b""

    def read(self, count: int) -> None:
        """Take what is there, up to so many bytes, and as much of it as is complete."""
        if self.response is None:
            return
        outbox = self.response._outbox
        while len(self._bytes) < count and outbox._chunks:
            self._bytes += outbox._take_chunks()
        taken, self._bytes = self._bytes[:count], self._bytes[count:]
        end = b"\n\n" if self.transport == "sse" else b"\n"
        *blocks, rest = taken.split(end)
        self._bytes = rest + self._bytes
        for block in blocks:
            self._take(block)
        if outbox.error is not None:
            self.cut()

    def cut(self) -> None:
        """The connection breaks. The node notices at once."""
        response, self.response = self.response, None
        if response is not None:
            response._outbox.discard()
            response._manager.end_session(response._session)

    def may_begin_after(self, channel: str) -> int:
        """The number of the last event that it need not get, because it begins with the latest."""
        known = self.world.published if self.known is None else self.known
        return known.get(channel, 0)

    def _take(self, block: bytes) -> None:
        if self.transport == "sse":
            fields = dict(line.split(": ", 1) for line in block.decode().splitlines())
            message, cursor = json.loads(fields["data"]), fields.get("id")
        else:
            message = json.loads(block)
            cursor = message.get("cursor")
        match message["type"]:
            case "event":
                channel = message["channel"]
                number = message["data"]
                if channel not in self.got and number - 1 <= self.may_begin_after(channel):
                    self.got[channel] = number - 1
                assert number == self.got[channel] + 1, f"{channel}: {self.got[channel]}"
                self.got[channel] += 1
            case "gap":
                assert message["reason"] == "slow", message
                self.got[message["channel"]] += message["skipped"]
            case "subscribed":
                assert message["recovered"]
        if cursor is not None:
            if self.known is None:
                self.known = dict(self.world.published)
            self.cursor = cursor
            self.longest = max(self.longest, len(cursor))
