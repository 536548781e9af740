"""hub/attaching.py: a pattern takes many channels, and leaves them, in turns of the event loop."""

import asyncio
from itertools import pairwise

import pytest

from eventhub.events.event import Position
from eventhub.hub import attaching
from tests.harness.eventually import turns_until
from tests.unit.hub.hub_node import Node, run, until
from tests.unit.hub.test_patterns import Reader

CHANNELS = [f"drop.{number}" for number in range(10)]


@pytest.fixture(autouse=True)
def few_in_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attaching, "TURN_FEEDS", 2)
    monkeypatch.setattr(attaching, "TURN_DETACHED", 2)


def attached(node: Node) -> int:
    return sum(bool(feed.audiences) for feed in node.hub.feeds)


def steps(found: list[int]) -> int:
    """The largest change in one turn."""
    return max(abs(after - before) for before, after in pairwise(found))


def test_a_pattern_takes_the_feeds_that_exist_in_turns() -> None:
    async def scenario(node: Node) -> None:
        for channel in CHANNELS:
            node.subscribe(channel)
        node.subscribe("latest.a")
        reader = Reader(node, "drop.*")
        growing = turns_until(lambda: reader.told("subscribed"))
        assert steps([attached(node), *[attached(node) async for _ in growing]]) == 2
        await until(lambda: reader.ready)
        assert '"channels":10' in reader.lines[0]
        for channel in CHANNELS:
            await node.publish(channel, "1")
        await until(lambda: len(reader.got) == 10)

    run(scenario)


def test_channels_close_in_turns_after_the_last_reader_of_a_pattern() -> None:
    async def scenario(node: Node) -> None:
        for channel in CHANNELS:
            await node.publish(channel, "1")
        reader = Reader(node, "drop.*")
        await until(lambda: reader.ready)
        left = [len(list(node.hub.feeds))]
        node.hub.unsubscribe(reader.subscriber)
        closing = turns_until(lambda: not list(node.hub.feeds))
        left += [8, *[len(list(node.hub.feeds)) async for _ in closing]]
        assert (left[0], left[-1], steps(left)) == (10, 0, 2)

    run(scenario)


def test_a_pattern_that_comes_again_meanwhile_keeps_its_channels_and_gets_each_event_once() -> None:
    async def scenario(node: Node) -> None:
        for channel in CHANNELS:
            await node.publish(channel, "1")
        first = Reader(node, "drop.*")
        await until(lambda: first.ready)
        node.hub.unsubscribe(first.subscriber)
        second = Reader(node, "drop.*")
        await until(lambda: second.ready)
        for channel in CHANNELS:
            await node.publish(channel, "2")
        await until(lambda: len(second.got) == 10)
        await asyncio.sleep(0)
        assert sorted(second.got) == sorted(f"{channel}=2" for channel in CHANNELS)
        assert (first.got, len(list(node.hub.feeds))) == ([], 10)

    run(scenario)


@pytest.mark.parametrize("turns", range(5))
def test_a_pattern_whose_last_reader_leaves_while_it_takes_feeds_takes_no_more(turns: int) -> None:
    async def scenario(node: Node) -> None:
        for channel in CHANNELS:
            node.subscribe(channel)
        reader = Reader(node, "drop.*")
        for _ in range(turns):
            await asyncio.sleep(0)
        node.hub.unsubscribe(reader.subscriber)
        for _ in range(20):
            await asyncio.sleep(0)
        assert attached(node) == 0

    run(scenario)


def test_a_channel_that_a_reader_names_is_taken_at_once_even_if_its_feed_is_about_to_close() -> (
    None
):
    async def scenario(node: Node) -> None:
        other = node.subscribe("drop.a")
        await until(lambda: other.told("subscribed") == 1)
        reader = Reader(node, "drop.*", {"drop.a": Position("k3x9", 1)})
        node.hub.unsubscribe(other.subscribers[0])
        await until(lambda: reader.told("gap") == 1)
        assert '"channels":1' in reader.lines[0]

    run(scenario)
