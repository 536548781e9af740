"""Nodes under load, and their accounts: every acknowledged event compared with what each reader
got, and with the log.
"""

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

from eventhub.brokers.base import Broker
from eventhub.delivery.encoding import LINES, Encoding
from eventhub.delivery.subscriber import Subscriber, SubscriptionStart
from eventhub.errors import BrokerUnavailable, EventHubError
from eventhub.events.channel_types import (
    ChannelType,
    ChannelTypes,
    PublisherKind,
    Retention,
    SlowReaderPolicy,
)
from eventhub.events.event import Earliest, NewEvent, Position, Receipt
from eventhub.events.schema import AnySchema
from eventhub.events.since import parse_since
from eventhub.hub.hub import Hub
from eventhub.observability.metrics import Metrics
from tests import SETTINGS
from tests.harness.eventually import async_eventually

CLEAN = {"lost": 0, "duplicate": 0, "disorder": 0, "misplaced": 0, "undelivered": 0, "untold": 0}
"""What `Books.faults` should find."""
PAUSE = 0 if "EVENTHUB_TEST_ROUNDS" in SETTINGS else 0.01
"""Seconds between two publishes of a publisher. The load takes most of a run's processor time."""
Place = tuple[Position, str]
"""An event: where it is and what it is."""


@dataclass
class Reader:
    """Subscribes to one channel from its beginning, and reads as fast as it can."""

    channel: str
    full: bool = False
    encoding: Encoding = LINES
    events: list[Place] = field(default_factory=list)
    gaps: list[dict[str, str]] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)
    """How many events came before each gap."""
    started: asyncio.Event = field(default_factory=asyncio.Event)

    def starts(self, subscriber: Subscriber, start: SubscriptionStart) -> None:
        self.started.set()

    def write(self, data: bytes) -> None:
        for line in data.decode().splitlines():
            message = json.loads(line)
            if message["type"] == "event":
                self.events.append((position(message["id"]), message["data"]))
            elif message["type"] == "gap":
                self.gaps.append(message)
                self.breaks.append(len(self.events))

    def takes_signal(self, size: int) -> bool:
        return not self.full

    def has(self, text: str) -> bool:
        """Whether the position is among the newest that it has."""
        return any(text == each for _, each in self.events[-50:])

    def reasons(self) -> list[str]:
        """The reasons of its gaps."""
        return [gap["reason"] for gap in self.gaps]

    def runs(self) -> Iterable[Sequence[Place]]:
        """Its events, divided at the gaps."""
        return (
            self.events[begin:end] for begin, end in pairwise((0, *self.breaks, len(self.events)))
        )

    def told_of(self, place: Position) -> bool:
        """Whether a gap says that this position may be missing."""
        return any(_covers(gap, place) for gap in self.gaps)

    def abort(self) -> None:
        raise AssertionError("cut off")

    def fail(self, error: EventHubError) -> None:
        raise AssertionError(error)


class Node:
    """A hub with its broker, and one reader per channel."""

    def __init__(
        self, broker: Broker, retention: Callable[[str], Retention], channels: Iterable[str]
    ) -> None:
        names = {channel.partition(".")[0] for channel in channels}
        self.hub = Hub(
            ChannelTypes({name: _kind(name, retention(name)) for name in names}),
            broker,
            Metrics(names),
        )
        self.broker = broker
        self.readers = {channel: Reader(channel) for channel in channels}
        self.skew = 0
        """Milliseconds by which its clock is wrong."""

    def now(self) -> int:
        return Hub.now() + self.skew

    async def run(self) -> None:
        asyncio.get_running_loop().call_soon(self._join)
        await self.hub.run()

    def _join(self) -> None:
        for reader in self.readers.values():
            self.hub.subscribe(Subscriber(reader.channel, Earliest(), reader, reader.starts))

    async def becomes(self, *, ready: bool) -> None:
        await async_eventually(
            f"ready: {ready}",
            self.broker.unready,
            lambda reason: (reason is None) is ready,
        )

    async def log(self, channel: str) -> list[Place]:
        """All retained events."""
        events: list[Place] = []
        since: Position | Earliest = Earliest()
        while True:
            piece = await self.broker.history(channel, since, 1000)
            assert piece.lost is None
            events += ((event.position, json.loads(event.data)) for event in piece.events)
            if piece.reached == piece.end:
                return events
            since = piece.reached


class Books:
    """Publishes, and remembers which events were acknowledged."""

    def __init__(self) -> None:
        self.logs: dict[str, list[Place]] = {}
        """At the end, by channel."""
        self.acknowledged: dict[str, dict[str, Position]] = {}
        self.unknown: set[str] = set()
        self.failures: Counter[str] = Counter()
        self._stop = asyncio.Event()

    async def load(self, node: Node, batch: int = 5) -> None:
        """Publish to all channels until `stop`, in every second turn with keys and retries."""
        turn = 0
        while not self._stop.is_set():
            turn += 1
            for channel in node.readers:
                await (
                    self.insist(node, channel) if turn % 2 else self.publish(node, channel, batch)
                )
                await asyncio.sleep(PAUSE)  # sets the rate of the load

    @asynccontextmanager
    async def loading(self, nodes: Sequence[Node], publishers: int = 4) -> AsyncIterator[None]:
        """Publish from so many tasks while the context lasts, on one node after the other."""
        async with asyncio.TaskGroup() as tasks:
            for publisher in range(publishers):
                tasks.create_task(self.load(nodes[publisher % len(nodes)]))
            try:
                yield
            finally:
                self._stop.set()

    async def more(self, count: int = 50) -> None:
        """Wait until so many more are acknowledged."""
        aim = self._count() + count
        await async_eventually(f"{aim} events", self._count, lambda seen: seen >= aim)

    def _count(self) -> int:
        return sum(map(len, self.acknowledged.values()))

    async def publish(self, node: Node, channel: str, batch: int) -> None:
        texts = [secrets.token_hex(8) for _ in range(batch)]
        events = [NewEvent(channel, json.dumps(text).encode(), node.now()) for text in texts]
        try:
            async with asyncio.timeout(30):
                results = await node.broker.publish(events)
        except BrokerUnavailable as error:
            self.failures[error.message] += 1
            self.unknown.update(texts)
            return
        for text, result in zip(texts, results, strict=True):
            if isinstance(result, Receipt):
                self.acknowledged.setdefault(channel, {})[text] = result.position
            else:
                self.failures[result.message] += 1
                self.unknown.add(text)

    async def insist(self, node: Node, channel: str, seconds: float = 60) -> str:
        """Publish one event with a key until it is acknowledged."""
        text = secrets.token_hex(8)
        event = NewEvent(channel, json.dumps(text).encode(), node.now(), None, text)
        async with asyncio.timeout(seconds):
            while True:
                try:
                    (result,) = await node.broker.publish([event])
                except BrokerUnavailable as error:
                    result = error
                if isinstance(result, Receipt):
                    self.acknowledged.setdefault(channel, {})[text] = result.position
                    return text
                self.failures[result.message] += 1
                await asyncio.sleep(0.05)

    async def close(self, nodes: Sequence[Node]) -> None:
        """Publish one more event per channel, wait until every reader has it, and read the logs."""
        for channel in nodes[0].readers:
            last = await self.insist(nodes[0], channel)
            for node in nodes:
                await async_eventually(
                    f"{last} on {channel}", partial(node.readers[channel].has, last)
                )
            self.logs[channel] = await nodes[0].log(channel)

    def gone(self, channel: str) -> set[Position]:
        """The acknowledged events that are not in the log."""
        return set(self.acknowledged.get(channel, {}).values()) - {
            place for place, _ in self.logs[channel]
        }

    def faults(self, nodes: Sequence[Node]) -> dict[str, int]:
        """Counts of what must never happen: all must be 0."""
        found = Counter(dict.fromkeys(CLEAN, 0))
        for channel, log in self.logs.items():
            found["duplicate"] += _repeated(log)
            for node in nodes:
                found.update(self._faults(node.readers[channel], log))
        return dict(found)

    def _faults(self, reader: Reader, log: Sequence[Place]) -> Counter[str]:
        found: Counter[str] = Counter()
        for run in reader.runs():
            found["duplicate"] += _repeated(run)
            found["disorder"] += sum(
                a.epoch != b.epoch or a.offset >= b.offset for (a, _), (b, _) in pairwise(run)
            )
        got = {text: place for place, text in reader.events}
        for text, place in self.acknowledged.get(reader.channel, {}).items():
            if text not in got:
                found["lost"] += not reader.told_of(place)
            else:
                found["misplaced"] += got[text] != place
        found["undelivered"] += len(set(log) - set(reader.events))
        found["untold"] += sum(not reader.told_of(place) for place in self.gone(reader.channel))
        return found


def _repeated(events: Sequence[Place]) -> int:
    return sum(count - 1 for count in Counter(text for _, text in events).values())


def position(text: str) -> Position:
    found = parse_since(text)
    assert isinstance(found, Position)
    return found


async def on_nodes(nodes: list[Node], scenario: Callable[[], Awaitable[None]]) -> None:
    """Run the nodes while the scenario lasts."""

    async def whole(tasks: asyncio.TaskGroup) -> None:
        running = [tasks.create_task(node.run()) for node in nodes]
        await scenario()
        for task in running:
            task.cancel()

    async with asyncio.TaskGroup() as tasks:
        await whole(tasks)


def _covers(gap: dict[str, str], place: Position) -> bool:
    after, before = gap.get("after"), position(gap["before"])
    if gap["reason"] == "reset":
        return after is None or position(after).epoch == place.epoch
    return (after is None or position(after) < place) and place < before


def _kind(name: str, retention: Retention) -> ChannelType:
    return ChannelType(
        name,
        "json",
        AnySchema(),
        retention,
        presence=False,
        slow=SlowReaderPolicy.DROP,
        publish=frozenset(PublisherKind),
    )
