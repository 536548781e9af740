"""The CPU time of an event, and of a birth, beside many patterns; in one process without sockets.

    python -m tests.bench.pattern_lookups

A row for each kind and number of subscriptions. `event`: microseconds of this process for an event
of one channel, published and written to all its readers. `birth`: for the first event of a channel
that no pattern covers.
"""

import asyncio
import logging
import sys
import time
from itertools import islice, product

import structlog

from eventhub.delivery.encoding import WEBSOCKET, Encoding
from eventhub.delivery.pattern_subscriber import PatternSubscriber
from eventhub.delivery.subscriber import Subscriber
from eventhub.errors import EventHubError
from eventhub.events.event import LATEST
from tests.unit.hub.hub_node import Node, run, until

EVENTS = 500
CHANNEL = "drop." + ".".join("x" * 10)
CASES = [
    ("the channel", 1000),
    ("one pattern", 1000),
    ("patterns that cover it", 1),
    ("patterns that cover it", 1000),
    ("other patterns", 1000),
    ("other patterns", 10_000),
]
"""What is subscribed to, and by how many readers, each with a connection of its own."""


class Reader:
    """A connection that is never full."""

    encoding: Encoding = WEBSOCKET
    full = False
    written = 0

    def write(self, _: bytes) -> None:
        self.written += 1

    def takes_signal(self, _: int) -> bool:
        return True

    def fail(self, error: EventHubError) -> None:
        raise error

    def abort(self) -> None:
        raise AssertionError("nothing fails")


def subscriptions(kind: str, count: int) -> list[str]:
    match kind:
        case "the channel":
            return [CHANNEL] * count
        case "one pattern":
            return ["drop.>"] * count
        case "patterns that cover it":
            return ["drop." + ".".join(each) for each in islice(product("x*", repeat=10), count)]
        case _:
            return [f"drop.other-{number}.>" for number in range(count)]


def begun(subscriber: Subscriber, _: object) -> None:
    subscriber.writer.write(b"")


async def measure(node: Node, kind: str, count: int) -> None:
    readers = [Reader() for _ in range(count)]
    await node.publish(CHANNEL, "0")
    for reader, name in zip(readers, subscriptions(kind, count), strict=True):
        if kind == "the channel":
            node.hub.subscribe(Subscriber(name, LATEST, reader, begun))
        else:
            node.hub.subscribe(PatternSubscriber(name, LATEST, reader, begun))
    await until(lambda: all(reader.written for reader in readers))
    begin, before = time.process_time(), sum(reader.written for reader in readers)
    for _ in range(EVENTS):
        await node.publish(CHANNEL, "hello")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    event = (time.process_time() - begin) / EVENTS * 1e6
    begin = time.process_time()
    for number in range(EVENTS):
        await node.publish(f"latest.born-{number}", "hello")
    birth = (time.process_time() - begin) / EVENTS * 1e6
    each = (sum(reader.written for reader in readers) - before) / EVENTS
    sys.stdout.write(f"{kind:24}{count:8} {event:10.0f} {birth:10.0f} {each:8.1f}\n")


def main() -> None:
    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=silent)
    sys.stdout.write("subscribed to            readers   us/event   us/birth   writes\n")
    for kind, count in CASES:

        async def case(node: Node, kind: str = kind, count: int = count) -> None:
            await measure(node, kind, count)

        run(case)


if __name__ == "__main__":
    main()
