"""The list of channels, on every broker."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from eventhub.common.channel_pattern import ChannelPattern
from eventhub.common.sorted_names import SCAN
from eventhub.events.event import ChannelSummary, NewEvent, Receipt
from tests.contract.conftest import Node

Start = Callable[[], AbstractAsyncContextManager[Node]]
StartNodes = Callable[[int], AbstractAsyncContextManager[list[Node]]]


def run(start: Start, scenario: Callable[[Node], Awaitable[None]]) -> None:
    async def main() -> None:
        async with start() as node:
            await scenario(node)

    asyncio.run(main())


async def store(node: Node, *channels: str) -> list[Receipt]:
    now = node.clock()
    results = await node.broker.publish([NewEvent(channel, b"1", now) for channel in channels])
    found = [result for result in results if isinstance(result, Receipt)]
    assert len(found) == len(channels)
    return found


async def read(node: Node, pattern: str = ">", limit: int = 1000) -> list[ChannelSummary]:
    """All pages."""
    found: list[ChannelSummary] = []
    after: str | None = ""
    while after is not None:
        page = await node.broker.channels(ChannelPattern(pattern), after, limit)
        assert len(page.channels) <= limit
        assert page.next is None or page.next > after
        found += page.channels
        after = page.next
    return found


async def names(node: Node, pattern: str = ">", limit: int = 1000) -> list[str]:
    return [summary.channel for summary in await read(node, pattern, limit)]


def test_the_list_has_each_channel_with_events_in_order_of_names(start: Start) -> None:
    async def scenario(node: Node) -> None:
        assert await read(node) == []
        await store(node, "many.b", "few.z", "many.B", "many.a.x", "many.a")
        node.clock.advance(5)
        (newest,) = await store(node, "many.a")
        assert await names(node) == ["few.z", "many.B", "many.a", "many.a.x", "many.b"]
        (found,) = await read(node, "many.a")
        assert found == ChannelSummary("many.a", newest.position, newest.time, 2)
        page = await node.broker.history("many.a", newest.position, 1)
        assert page.end == found.head

    run(start, scenario)


def test_reading_and_subscribing_put_no_channel_into_the_list(start: Start) -> None:
    async def scenario(node: Node) -> None:
        await node.broker.subscribe("many.a")
        await node.broker.history("many.b", (await store(node, "many.c"))[0].position, 10)
        assert await names(node) == ["many.c"]

    run(start, scenario)


def test_the_list_has_only_names_that_fit(start: Start) -> None:
    async def scenario(node: Node) -> None:
        await store(node, "few.a", "many.a", "many.a.b", "many.ab", "many.b", "many.b.b", "many")
        assert await names(node, "many.*") == ["many.a", "many.ab", "many.b"]
        assert await names(node, "many.>") == [
            "many.a",
            "many.a.b",
            "many.ab",
            "many.b",
            "many.b.b",
        ]
        assert await names(node, "many.a.>") == ["many.a.b"]
        assert await names(node, "many.*.b") == ["many.a.b", "many.b.b"]
        assert await names(node, "*.a") == ["few.a", "many.a"]
        assert await names(node, "*") == ["many"]
        assert await names(node, "many.a") == ["many.a"]
        assert await names(node, "brief.>") == []

    run(start, scenario)


def test_pages_have_each_channel_once_whatever_their_size(start: Start) -> None:
    async def scenario(node: Node) -> None:
        await store(node, *(f"many.c{number}" for number in range(5)))
        every = await names(node)
        assert len(every) == 5
        for limit in (1, 2, 5, 6):
            assert await names(node, limit=limit) == every
        page = await node.broker.channels(ChannelPattern("many.>"), "many.c2x", 100)
        assert [summary.channel for summary in page.channels] == every[3:]

    run(start, scenario)


def test_a_list_with_more_names_than_a_page_looks_at_is_complete(start: Start) -> None:
    async def scenario(node: Node) -> None:
        channels = [f"many.c{number:05d}.a" for number in range(SCAN + 10)]
        for begin in range(0, len(channels), 500):
            await store(node, *channels[begin : begin + 500])
        await store(node, "many.c01000.b", "many.d.b")
        assert await names(node, "many.*.a", limit=1000) == channels
        assert await names(node, "many.*.b") == ["many.c01000.b", "many.d.b"]

    run(start, scenario)


def test_channels_without_retained_events_are_not_in_the_list(start: Start) -> None:
    async def scenario(node: Node) -> None:
        await store(node, "none.a", "brief.a", "brief.b", "many.a")
        node.clock.advance(59)
        await store(node, "brief.b")
        assert await names(node) == ["brief.a", "brief.b", "many.a"]
        node.clock.advance(2)
        assert await names(node) == ["brief.b", "many.a"]
        await store(node, "brief.a")
        assert await names(node) == ["brief.a", "brief.b", "many.a"]

    run(start, scenario)


def test_events_beyond_retention_by_count_are_not_counted(start: Start) -> None:
    async def scenario(node: Node) -> None:
        await store(node, *["few.a"] * 5)
        assert [summary.events for summary in await read(node)] == [3]

    run(start, scenario)


def test_nodes_share_one_list(start_nodes: StartNodes) -> None:
    async def main() -> None:
        async with start_nodes(2) as (here, there):
            await store(here, "many.a")
            await store(there, "many.b")
            assert await read(here) == await read(there)
            assert await names(here) == ["many.a", "many.b"]

    asyncio.run(main())
