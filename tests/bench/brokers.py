"""`python -m tests.bench.brokers`: the throughput of a node through its broker, beside redis-py
called once for each event.

128 bytes an event, 64 publishers.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import redis.asyncio
import uvloop

from eventhub.brokers.base import Broker
from eventhub.brokers.nats import NatsBroker
from eventhub.brokers.redis import RedisBroker
from eventhub.brokers.sqlite import SqliteBroker
from eventhub.errors import EventHubError
from eventhub.events.channel_types import Retention
from eventhub.events.event import Event, NewEvent, Receipt
from eventhub.hub.hub import Hub
from tests.harness import nats_servers, redis_servers

DATA = b'{"pad":"' + b"x" * 118 + b'"}'
PUBLISHERS = 64
SECONDS = 3.0


def retention(channel: str) -> Retention:
    return Retention(1000, None)


@dataclass(frozen=True, slots=True)
class Rate:
    """Events for a second of the clock, and for a second of this process' CPU time."""

    clock: float
    cpu: float


async def rate(publish: Callable[[], Awaitable[int]]) -> Rate:
    """With `PUBLISHERS` concurrent calls of `publish`, which returns its number of events."""
    total, end = 0, time.perf_counter() + SECONDS

    async def publisher() -> None:
        nonlocal total
        while time.perf_counter() < end:
            done = await publish()
            total += done

    begin, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(publisher() for _ in range(PUBLISHERS)))
    return Rate(
        total / (time.perf_counter() - begin),
        total / (time.process_time() - cpu),
    )


async def stored(broker: Broker, events: list[NewEvent]) -> int:
    """Publish as a request does: with `publish_later`, if it takes these events."""
    if (later := broker.publish_later) is not None:
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def done(found: Sequence[Receipt | EventHubError] | Exception | None) -> None:
            if isinstance(found, Exception):
                answer.set_exception(found)
            elif found is None:
                answer.set_result(0)
            else:
                answer.set_result(len(found))

        if later(events, done):
            return await answer
    return len(await broker.publish(events))


@asynccontextmanager
async def running(broker: Broker, heard: list[Event]) -> AsyncIterator[Broker]:
    task = asyncio.create_task(
        broker.run(heard.append, lambda channel: None, lambda message: None, lambda channel: None)
    )
    while broker.unready():  # noqa: ASYNC110  # it tells nobody when it turns ready
        await asyncio.sleep(0.01)
    try:
        yield broker
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def measure(name: str, broker: Broker, yardstick: float = 0.0) -> None:
    heard: list[Event] = []
    async with running(broker, heard):
        for batch in (1, 10, 100):
            numbers = count()

            async def publish(batch: int = batch, numbers: "count[int]" = numbers) -> int:
                channel = f"bench.{next(numbers) % 16}"
                return await stored(broker, [NewEvent(channel, DATA, Hub.now())] * batch)

            found = await rate(publish)
            beside = f", {found.clock / yardstick:.1f} times redis-py" if yardstick else ""
            say(
                f"{name}: {found.clock:,.0f} events/s in batches of {batch}{beside}, "
                f"{found.cpu:,.0f} for a second of the node's CPU time"
            )
        await broker.subscribe("bench.heard")
        cpu, begin = time.process_time(), time.perf_counter()
        for _ in range(200):
            await broker.publish([NewEvent("bench.heard", DATA, Hub.now())] * 256)
        while len(heard) < 200 * 256:  # noqa: ASYNC110  # announcements of other processes are waited for
            await asyncio.sleep(0.01)
        wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
        say(
            f"{name}: {200 * 256 / wall:,.0f} events/s published and heard, "
            f"{200 * 256 / cpu:,.0f} for a second of the node's CPU time"
        )


async def redis_py(url: str) -> float:
    """One command for each event, as most programs do."""
    client = redis.asyncio.Redis.from_url(url)

    async def publish() -> int:
        await client.publish("bench", DATA)
        return 1

    found = await rate(publish)
    await client.aclose()
    say(f"redis-py: {found.clock:,.0f} PUBLISH/s, one an event")
    return found.clock


async def main() -> None:
    """Each broker in turn."""
    url = redis_servers.single("redis-server").url
    await measure("Redis", RedisBroker(url, retention, Hub.now), await redis_py(url))
    await measure("NATS", NatsBroker(nats_servers.single().url, retention, Hub.now))
    with tempfile.TemporaryDirectory() as directory:
        await measure("SQLite", SqliteBroker(Path(directory) / "events.db", retention, Hub.now))


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(main())
