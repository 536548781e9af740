"""Nodes on one Redis, each a hub with a live reader, under a load of publishers; and the judge of what the readers were given."""

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

from eventhub.brokers.redis import RedisBroker
from eventhub.channels import ChannelType, ChannelTypes, Publisher, Retention, Slow
from eventhub.encoding import LINES, Encoding
from eventhub.errors import BrokerUnavailable, EventHubError
from eventhub.event import Earliest, Latest, NewEvent, Receipt
from eventhub.feed import Subscriber
from eventhub.hub import Hub
from eventhub.metrics import Metrics
from eventhub.schema import AnySchema

RETENTION = Retention(100_000, 3_600_000)
SECONDS = 20


class Reader:
    """A live subscriber that keeps what it is told."""

    encoding: Encoding = LINES
    full = False

    def __init__(self) -> None:
        self.messages: list[dict[str, str]] = []
        self.changed = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.messages += map(json.loads, data.splitlines())
        self.changed.set()

    def fail(self, error: EventHubError) -> None:
        raise AssertionError(error.code)

    def ids(self) -> list[str]:
        return [message["id"] for message in self.messages if message["type"] == "event"]

    def gaps(self) -> list[str]:
        return [message["reason"] for message in self.messages if message["type"] == "gap"]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not condition():  # looks at all messages: only for what comes soon
                self.changed.clear()
                await self.changed.wait()


class Node:
    """A hub on Redis. Times of events are real, so is its clock but for `skew`."""

    def __init__(self, url: str, prefix: str, timeout: float) -> None:
        self.skew = 0
        kind = ChannelType("chat", "json", AnySchema(), RETENTION, presence=False, slow=Slow.DROP, publish=frozenset(Publisher))
        types = ChannelTypes({"chat": kind})
        self.broker = RedisBroker(url, lambda channel: RETENTION, self.now, prefix=prefix, timeout=timeout)
        self.hub = Hub(types, self.broker, Metrics(["chat"]))

    def now(self) -> int:
        return Hub.now() + self.skew

    async def read(self, channel: str = "chat.a") -> Reader:
        """A reader of what comes from now on."""
        reader = Reader()
        started = asyncio.Event()
        self.hub.subscribe(Subscriber(channel, Latest(), reader, lambda subscriber, start: started.set()))
        async with asyncio.timeout(SECONDS):
            await started.wait()
        return reader

    async def publish(self, *texts: str, channel: str = "chat.a", key: str | None = None) -> list[str]:
        """The ids. Raises what the broker says of the first that is not stored."""
        results = await self.broker.publish([NewEvent(channel, f'"{text}"'.encode(), self.now(), None, key) for text in texts])
        for result in results:
            if isinstance(result, EventHubError):
                raise result
        return [str(result.position) for result in results if isinstance(result, Receipt)]

    async def becomes(self, *, ready: bool) -> None:
        async with asyncio.timeout(SECONDS):
            while (self.broker.unready() is None) is not ready:  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0.01)

    async def log(self, channel: str = "chat.a") -> dict[str, str]:
        """Everything retained: data by id."""
        events: dict[str, str] = {}
        since: object = Earliest()
        while True:
            piece = await self.broker.history(channel, since, 1000)  # type: ignore[arg-type]  # Earliest, then positions
            events |= {str(event.position): event.data.decode().strip('"') for event in piece.events}
            if piece.reached == piece.end:
                return events
            since = piece.reached


@asynccontextmanager
async def nodes(*urls: str, timeout: float = 5.0) -> AsyncIterator[list[Node]]:
    """Running nodes that share a backend; not waited for."""
    prefix = secrets.token_hex(4)
    async with AsyncExitStack() as stack:
        running = [Node(url, prefix, timeout) for url in urls]
        for node in running:
            task = asyncio.create_task(node.hub.run())
            await node.hub.started.wait()
            stack.push_async_callback(_end, task)
        yield running


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@dataclass
class Load:
    """Publishes on every node until stopped: events with a key, again until they are stored, and events without, once."""

    nodes: list[Node]
    acknowledged: dict[str, str] = field(default_factory=dict)
    failed: int = 0
    stopped: bool = False

    async def publish(self, node: Node, name: str, *, keyed: bool) -> None:
        number = 0
        while not self.stopped:
            number += 1
            text = f"{name}-{number}"
            while not await self._try(node, text, text if keyed else None) and keyed:
                pass
            await asyncio.sleep(0.002)

    async def _try(self, node: Node, text: str, key: str | None) -> bool:
        try:
            (position,) = await node.publish(text, key=key)
        except BrokerUnavailable:
            self.failed += 1
            return False
        self.acknowledged[position] = text
        return True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            for number, node in enumerate(self.nodes):
                for keyed in (False, True):
                    tasks.create_task(self.publish(node, f"{number}{'k' if keyed else 'u'}", keyed=keyed))
            yield
            self.stopped = True

    async def more(self, count: int = 50) -> None:
        """Until so many more are acknowledged."""
        aim = len(self.acknowledged) + count
        async with asyncio.timeout(SECONDS):
            while len(self.acknowledged) < aim:  # noqa: ASYNC110  # a load has no one event to wait for
                await asyncio.sleep(0.01)


async def judge(load: Load, readers: Iterable[Reader]) -> dict[str, str]:
    """Nothing lost, duplicated or out of order without the reader being told; the log at the end."""
    node = load.nodes[0]
    (last,) = await node.publish("last")
    for reader in readers:
        await reader.until(lambda reader=reader: last in reader.ids())  # type: ignore[misc]
    log = await node.log()
    keyed = Counter(text for text in log.values() if text.partition("-")[0].endswith("k"))
    assert not [text for text, times in keyed.items() if times > 1], "a key stored an event twice"
    gone = load.acknowledged.keys() - log.keys()
    for reader in readers:
        since_gap: list[str] = []
        for message in reader.messages:
            if message["type"] == "gap":
                since_gap = []
            elif message["type"] == "event":
                since_gap.append(message["id"])
        offsets = [int(position.partition("-")[2]) for position in since_gap]
        assert offsets == sorted(set(offsets)), "duplicates, or out of order"
        seen = set(reader.ids())
        assert log.keys() <= seen, "what is in the log was not delivered"
        unseen = load.acknowledged.keys() - seen
        assert not unseen or reader.gaps(), "lost, and not told"
        assert not gone or reader.gaps(), "the log lost events, and the reader was not told"
    return log
