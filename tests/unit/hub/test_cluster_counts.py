"""hub/cluster.py: subscribers that are told how many members there are."""

import asyncio
from collections.abc import Iterator

from eventhub.delivery.subscriber import Subscriber
from eventhub.events.event import Latest
from eventhub.hub.cluster import GATHER_SECONDS
from eventhub.presence.counts import COUNT_SECONDS
from tests.harness.virtual_time import in_virtual_time, turns
from tests.harness.wire import Wire
from tests.unit.hub.cluster_node import LIST, Node, subscriber


def counting(pattern: str, wire: Wire) -> Subscriber:
    return Subscriber(pattern, Latest(), wire, lambda *_: None, watching="count")


def counts(wire: Wire) -> list[int]:
    return [message["count"] for message in wire.messages]


@in_virtual_time
async def test_members_of_this_and_of_other_nodes_are_counted() -> None:
    node, wire = Node(), Wire()
    node.cluster.join(subscriber("chat.a", "ana"))
    assert node.cluster.watch_count(counting("chat.*", wire)) == {"count": 1}
    assert node.cluster.count("chat.a") == 1
    async with node.running():
        node.hear("n2", **LIST, rooms={"chat.a": ["bob"], "chat.b": ["ana"], "iot.a": ["cem"]})
        await asyncio.sleep(2 * GATHER_SECONDS)
        assert counts(wire) == [3]
        node.cluster.leave(subscriber("chat.a", "ana"))
        await asyncio.sleep(COUNT_SECONDS + 2 * GATHER_SECONDS)
    assert counts(wire) == [3, 2]


@in_virtual_time
async def test_whoever_left_is_told_nothing_and_whoever_was_full_gets_the_number() -> None:
    node = Node()
    wires = [Wire(), Wire()]
    gone, full = (counting("chat.>", wire) for wire in wires)
    for each in (gone, full):
        node.cluster.watch_count(each)
    wires[1].full = True
    async with node.running():
        node.cluster.unwatch(gone)
        node.cluster.join(subscriber("chat.a", "ana"))
        await asyncio.sleep(2 * COUNT_SECONDS)
        wires[1].full = False
        node.cluster.drained(full)
        await asyncio.sleep(2 * COUNT_SECONDS)
    assert [counts(wire) for wire in wires] == [[], [1]]


class Broken(Wire):
    """A writer that always fails."""

    def write(self, data: bytes) -> None:
        raise ZeroDivisionError


@in_virtual_time
async def test_a_counter_that_cannot_be_written_to_is_ended() -> None:
    node = Node()
    broken = counting("chat.>", Broken())
    node.cluster.watch_count(broken)
    async with node.running():
        node.cluster.join(subscriber("chat.a", "ana"))
        await asyncio.sleep(2 * GATHER_SECONDS)
    assert node.failed == [broken]


@in_virtual_time
async def test_without_a_change_the_task_that_tells_watchers_sleeps() -> None:
    node = Node()
    node.cluster.watch_count(counting("chat.>", Wire()))
    told: list[float] = []
    flush = node.cluster._counts.flush

    def noted(now: float) -> Iterator[None]:
        told.append(now)
        return flush(now)

    node.cluster._counts.flush = noted  # type: ignore[method-assign]
    async with node.running():
        await turns()
        node.cluster.join(subscriber("chat.a", "ana"))
        await asyncio.sleep(100 * GATHER_SECONDS)
    assert len(told) == 1
