"""Nodes under load, and the books on them: what was acknowledged against what each node's readers got."""

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

from eventhub.brokers.base import Broker
from eventhub.channels import ChannelType, ChannelTypes, Publisher, Retention, Slow
from eventhub.encoding import LINES, Encoding
from eventhub.errors import BrokerUnavailable, EventHubError
from eventhub.event import Earliest, NewEvent, Position, Receipt, parse_since
from eventhub.feed import Start, Subscriber
from eventhub.hub import Hub
from eventhub.metrics import Metrics
from eventhub.schema import AnySchema


@dataclass
class Reader:
    """A subscriber of one channel, from its beginning, that is always ready for more."""

    channel: str
    full: bool = False
    encoding: Encoding = LINES
    events: list[tuple[Position, str]] = field(default_factory=list)
    gaps: list[dict[str, str]] = field(default_factory=list)

    def write(self, data: bytes) -> None:
        for line in data.decode().splitlines():
            message = json.loads(line)
            if message["type"] == "event":
                self.events.append((position(message["id"]), message["data"]))
            elif message["type"] == "gap":
                self.gaps.append(message)

    def has(self, text: str) -> bool:
        """It is among the newest."""
        return any(text == each for _, each in self.events[-50:])

    def fail(self, error: EventHubError) -> None:
        raise AssertionError(error)


class Node:
    """A hub with its broker, and one reader per channel."""

    def __init__(self, broker: Broker, retention: Callable[[str], Retention], channels: Iterable[str]) -> None:
        names = {channel.partition(".")[0] for channel in channels}
        self.hub = Hub(ChannelTypes({name: _kind(name, retention(name)) for name in names}), broker, Metrics(names))
        self.broker = broker
        self.readers = {channel: Reader(channel) for channel in channels}

    async def run(self) -> None:
        asyncio.get_running_loop().call_soon(self._join)
        await self.hub.run()

    def _join(self) -> None:
        for reader in self.readers.values():
            self.hub.subscribe(Subscriber(reader.channel, Earliest(), reader, _started))


class Books:
    """Publishes, and remembers what was acknowledged."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, dict[str, Position]] = {}
        self.unknown: set[str] = set()
        self.failures: Counter[str] = Counter()
        self._stop = asyncio.Event()

    async def load(self, node: Node, batch: int = 5) -> None:
        """Publish to all channels until `stop`: in turn without keys, and with keys and retries until it is acknowledged."""
        turn = 0
        while not self._stop.is_set():
            turn += 1
            for channel in node.readers:
                await (self.insist(node, channel) if turn % 2 else self.publish(node, channel, batch))

    def stop(self) -> None:
        self._stop.set()

    async def publish(self, node: Node, channel: str, batch: int) -> None:
        texts = [secrets.token_hex(8) for _ in range(batch)]
        events = [NewEvent(channel, json.dumps(text).encode(), Hub.now()) for text in texts]
        try:
            async with asyncio.timeout(8):
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
        event = NewEvent(channel, json.dumps(text).encode(), Hub.now(), None, text)
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

    async def close(self, nodes: list[Node]) -> None:
        """Publish one more event per channel and wait until every reader has it."""
        for channel in nodes[0].readers:
            last = await self.insist(nodes[0], channel)
            for node in nodes:
                await until(partial(node.readers[channel].has, last))

    def faults(self, nodes: list[Node]) -> dict[str, int]:
        """Counts of what must not be; all of them are 0."""
        found = {"lost": 0, "duplicate": 0, "disorder": 0, "misplaced": 0}
        for node in nodes:
            for channel, reader in node.readers.items():
                texts = Counter(text for _, text in reader.events)
                found["duplicate"] += sum(count - 1 for count in texts.values())
                places = [place for place, _ in reader.events]
                if not reader.gaps:
                    found["disorder"] += sum(a.epoch != b.epoch or a.offset >= b.offset for a, b in pairwise(places))
                got = {text: place for place, text in reader.events}
                for text, place in self.acknowledged.get(channel, {}).items():
                    if text not in got:
                        found["lost"] += not any(_covers(gap, place) for gap in reader.gaps)
                    else:
                        found["misplaced"] += got[text] != place
        return found


def position(text: str) -> Position:
    found = parse_since(text)
    assert isinstance(found, Position)
    return found


async def until(condition: Callable[[], object], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  (whatever it is, it has no event)
            await asyncio.sleep(0.01)


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
    return ChannelType(name, "json", AnySchema(), retention, presence=False, slow=Slow.DROP, publish=frozenset(Publisher))


def _started(subscriber: Subscriber, start: Start) -> None:
    """The reader needs nothing more."""
