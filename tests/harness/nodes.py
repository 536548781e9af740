"""EventHub nodes behind real clients under faults, and the books on them: every acknowledged event
against what every reader got.

Readers follow PROTOCOL.md alone: they keep a cursor, come back with it to whichever node is there,
and believe gaps and nothing else.
"""

import asyncio
import itertools
import json
import operator
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, WebSocketException

from tests.harness.eventually import async_eventually

SETTLE_SECONDS = 40
"""Longest time after the last fault until every reader has everything."""


class Door(Protocol):
    """Where events are taken: a node, or what stands before several."""

    @property
    def url(self) -> str: ...


class Entrance(Door, Protocol):
    """And where clients connect."""

    @property
    def ws_url(self) -> str: ...


@dataclass
class Books:
    """What was found, as RESULTS.md reports it. Everything but the first three must be 0."""

    acknowledged: int = 0
    faults: int = 0
    gaps: int = 0
    lost: int = 0
    duplicates: int = 0
    disorder: int = 0
    stored_twice: int = 0

    def __str__(self) -> str:
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in vars(self).items())

    @property
    def clean(self) -> bool:
        """Nothing that was promised was broken."""
        return not (self.lost or self.duplicates or self.disorder or self.stored_twice)


@dataclass
class Reader:
    """A WebSocket client with its cursors. `nodes` are where it may connect."""

    nodes: Sequence[Entrance]
    channels: Sequence[str]
    cursors: dict[str, str] = field(default_factory=dict)
    events: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """By channel, the id and the data of each, over all connections."""
    gaps: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    disorder: int = 0
    duplicates: int = 0
    connections: int = 0
    started: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Read until cancelled; connect at once to another node whenever a connection ends."""
        for node in itertools.cycle(random.sample(list(self.nodes), len(self.nodes))):
            with suppress(OSError, InvalidHandshake, WebSocketException, TimeoutError):
                async with connect(
                    node.ws_url, open_timeout=5, ping_interval=2, ping_timeout=5, max_queue=None
                ) as socket:
                    self.connections += 1
                    for channel in self.channels:
                        since = self.cursors.get(channel, "earliest")
                        await socket.send(
                            json.dumps({"type": "subscribe", "channel": channel, "since": since})
                        )
                    seen: set[tuple[str, str]] = set()
                    async for text in socket:
                        self._take(json.loads(text), seen)
            await asyncio.sleep(
                random.uniform(0.05, 0.2)
            )  # as every client should before it comes back

    def _take(self, message: dict[str, Any], seen: set[tuple[str, str]]) -> None:
        channel = message.get("channel", "")
        match message["type"]:
            case "subscribed":
                self.cursors[channel] = message["position"]
                if self.cursors.keys() >= set(self.channels):
                    self.started.set()
            case "event":
                epoch, offset = message["id"].split("-")
                before_epoch, before = self.cursors[channel].split("-")
                if (channel, message["id"]) in seen:
                    self.duplicates += 1
                elif epoch == before_epoch and int(offset) <= int(before):
                    self.disorder += 1
                seen.add((channel, message["id"]))
                self.cursors[channel] = message["id"]
                self.events.setdefault(channel, []).append((message["id"], message["data"]["text"]))
            case "gap":
                self.gaps.setdefault(channel, []).append(message)
                self.cursors[channel] = message["position"]


@dataclass
class Publisher:
    """Publishes numbered events until told to stop, each with a key, and each again and again until
    it is acknowledged.
    """

    nodes: Sequence[Door]
    channels: Sequence[str]
    name: str
    pause: float
    acknowledged: list[tuple[str, str, str]] = field(default_factory=list)
    """Channel, id, text."""
    stopping: bool = False
    ended: bool = False
    retries: int = 0

    async def run(self) -> None:
        async with httpx.AsyncClient(verify=False, timeout=8, trust_env=False) as client:
            for number in itertools.count():
                if self.stopping:
                    self.ended = True
                    return
                channel, text = random.choice(self.channels), f"{self.name}-{number}"
                await self._publish(client, channel, text)
                await asyncio.sleep(self.pause)  # sets the rate of the load

    async def _publish(self, client: httpx.AsyncClient, channel: str, text: str) -> None:
        body = json.dumps({"sender": self.name, "text": text})
        while True:
            node = random.choice(self.nodes)
            with suppress(httpx.TransportError):
                answer = await client.post(
                    f"{node.url}/v1/channels/{channel}",
                    content=body,
                    headers={"Idempotency-Key": text},
                )
                if answer.status_code == 201:
                    self.acknowledged.append((channel, answer.json()["id"], text))
                    return
                assert answer.status_code in (502, 503), (
                    answer.status_code,
                    answer.text,
                )  # 502: a proxy, of a node that died
            self.retries += 1
            await asyncio.sleep(0.05)  # the node or its broker is away


class Trial:
    """Readers and publishers at work on nodes, while the test injects faults; then the books."""

    def __init__(
        self,
        nodes: Sequence[Entrance],
        *,
        readers: int,
        publishers: int,
        channels: Sequence[str],
        pause: float,
    ) -> None:
        self.nodes = nodes
        self.channels = channels
        self.readers = [Reader(nodes, channels) for _ in range(readers)]
        self.publishers = [
            Publisher(nodes, channels, f"p{number}", pause) for number in range(publishers)
        ]
        self.faults = 0

    def acknowledged(self) -> list[tuple[str, str, str]]:
        return [event for publisher in self.publishers for event in publisher.acknowledged]

    async def more(self, count: int) -> None:
        """Until so many more events have been acknowledged: the load goes on."""
        target = len(self.acknowledged()) + count
        await async_eventually(
            f"{count} more to be acknowledged",
            lambda: len(self.acknowledged()),
            lambda seen: seen >= target,
            seconds=SETTLE_SECONDS,
        )

    def missing(self) -> list[tuple[int, str, str]]:
        """Acknowledged events that a reader neither got nor was told of: no gap may hold them."""
        found = []
        for number, reader in enumerate(self.readers):
            got = {
                (channel, text) for channel, events in reader.events.items() for _, text in events
            }
            for channel, position, text in self.acknowledged():
                if (channel, text) not in got and not any(
                    covers(gap, position) for gap in reader.gaps.get(channel, ())
                ):
                    found.append((number, channel, text))
        return found

    def books(self) -> Books:
        """Of everything so far."""
        twice = 0
        for reader in self.readers:
            for events in reader.events.values():
                ids: dict[str, set[str]] = {}
                for position, text in events:
                    ids.setdefault(text, set()).add(position)
                twice += sum(len(positions) > 1 for positions in ids.values())
        return Books(
            acknowledged=len(self.acknowledged()),
            faults=self.faults,
            gaps=sum(len(gaps) for reader in self.readers for gaps in reader.gaps.values()),
            lost=len(self.missing()),
            duplicates=sum(reader.duplicates for reader in self.readers),
            disorder=sum(reader.disorder for reader in self.readers),
            stored_twice=twice,
        )


def covers(gap: dict[str, Any], position: str) -> bool:
    """Whether an event of that id may be what the gap says is gone."""
    epoch, offset = position.split("-")
    if gap["reason"] == "reset":
        after = gap["after"].split("-") if gap["after"] else (epoch, "-1")
        return (
            after[0] != epoch or int(offset) > int(after[1]) or gap["before"].split("-")[0] != epoch
        )
    before = gap["before"].split("-")
    return (
        epoch == before[0]
        and int(offset) < int(before[1])
        and (not gap["after"] or int(offset) > int(gap["after"].split("-")[1]))
    )


@asynccontextmanager
async def trial(
    nodes: Sequence[Entrance],
    *,
    readers: int = 6,
    publishers: int = 4,
    channels: int = 3,
    pause: float = 0.02,
) -> AsyncIterator[Trial]:
    """At work inside; on leaving, the load ends, all settles, and the books must be clean."""
    names = [f"chat.room{number}" for number in range(channels)]
    running = Trial(nodes, readers=readers, publishers=publishers, channels=names, pause=pause)
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        reading = [tasks.create_task(reader.run()) for reader in running.readers]
        for reader in running.readers:
            await asyncio.wait_for(reader.started.wait(), SETTLE_SECONDS)
        publishing = [tasks.create_task(publisher.run()) for publisher in running.publishers]
        try:
            await running.more(20)
            yield running
            await running.more(20)
        finally:
            for publisher in running.publishers:
                publisher.stopping = True
            try:
                await asyncio.wait_for(asyncio.gather(*publishing), SETTLE_SECONDS)
                with suppress(AssertionError):  # the books say which
                    await async_eventually(
                        "all to arrive", running.missing, operator.not_, seconds=SETTLE_SECONDS
                    )
            finally:
                for task in reading + publishing:
                    task.cancel()
