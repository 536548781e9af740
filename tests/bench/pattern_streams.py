"""The CPU time of events that live streams of a pattern get, in one process without sockets.

    python -m tests.bench.pattern_streams

A row for each number of channels and readers: microseconds of this process for an event (published,
fanned out and put into every reader's buffer) and for a delivery, beside streams of one channel;
and the records that the cursors needed.
"""

import asyncio
import logging
import sys
import time

import structlog

from eventhub.auth.principal import ANYONE
from eventhub.events.event import NewEvent
from eventhub.hub.hub import Hub
from eventhub.server.streams.query import StreamQuery
from eventhub.server.streams.response import FORMS, StreamResponse
from tests.harness.virtual_time import VirtualTimeLoop
from tests.unit.server.streams.pattern_world import Client, World

EVENTS = 2000
TICK_EVENTS = 20
"""Events in a hundredth of a second: 2,000 a second."""
CASES = [(1, 1), (20, 1), (10_000, 1), (1, 1000), (20, 1000), (10_000, 1000)]
"""Channels and readers. One channel: streams of that channel."""


async def streams(world: World, channels: int, readers: int) -> list[StreamResponse]:
    found = []
    for _ in range(readers):
        if channels > 1:
            client = Client(world, "sse", "latest")
            await client.connect()
            assert client.response is not None
            found.append(client.response)
        else:
            identity = world.manager.registry.new_identity(ANYONE, "192.0.2.1")
            query = StreamQuery(b"channel=" + world.names[0].encode())
            found.append(StreamResponse(world.manager, "sse", query, identity, FORMS["sse"]))
    return found


def take(responses: list[StreamResponse]) -> None:
    """As if everything had been sent."""
    for response in responses:
        response._outbox._chunks.clear()
        response._outbox.size = 0


async def measure(channels: int, readers: int) -> None:
    world = World(1, channels=channels, bound=1 << 26)
    await world.start()
    publish = world.manager.hub.publish
    for name in world.names:
        await publish([NewEvent(name, b"0", Hub.now())])
    responses = await streams(world, channels, readers)
    await asyncio.sleep(1)
    records = world.manager.hub.patterns.cursors.added
    begin = time.process_time()
    for number in range(EVENTS):
        name = world.names[number * 7919 % channels]
        await publish([NewEvent(name, b'{"value":21.5}', Hub.now())])
        if number % TICK_EVENTS == TICK_EVENTS - 1:
            await asyncio.sleep(0.01)
        if number % (5 * TICK_EVENTS) == 0:
            take(responses)
    await asyncio.sleep(1)
    spent = (time.process_time() - begin) / EVENTS * 1e6
    records = world.manager.hub.patterns.cursors.added - records
    row = f"{channels:8} {readers:8} {spent:10.0f} {spent / readers:11.3f} {records:8}\n"
    sys.stdout.write(row)
    world.task.cancel()
    await asyncio.gather(world.task, return_exceptions=True)


def main() -> None:
    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=silent)
    sys.stdout.write("channels  readers   us/event us/delivery records\n")
    for channels, readers in CASES:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(measure(channels, readers))


if __name__ == "__main__":
    main()
