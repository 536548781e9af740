"""Births of channels, on every broker."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from eventhub.brokers.base import BIRTH_SECONDS
from eventhub.events.event import Earliest, NewEvent, Position, Receipt
from tests.contract.conftest import Node

StartNodes = Callable[[int], AbstractAsyncContextManager[list[Node]]]
EVERYWHERE = 24
"""Channels of which some are on every server of a backend."""


def run(start: StartNodes, scenario: Callable[[Node, Node], Awaitable[None]]) -> None:
    """The scenario of a publisher and of a node that hears of births."""

    async def main() -> None:
        async with start(2) as (publisher, hearer):
            await hearer.until(lambda: None in hearer.births)
            await scenario(publisher, hearer)

    asyncio.run(main())


async def store(node: Node, *channels: str, key: str | None = None) -> None:
    now = node.clock()
    results = await node.broker.publish(
        [NewEvent(channel, b"1", now, None, key) for channel in channels]
    )
    assert all(isinstance(result, Receipt) for result in results)


async def births(publisher: Node, hearer: Node, moment: str) -> list[str | None]:
    """All births before this moment. Each server of a backend tells of births in its own order."""
    last = [f"many.{moment}{number}" for number in range(EVERYWHERE)]
    await store(publisher, *last)
    await hearer.until(lambda: set(last).issubset(hearer.births))
    return hearer.births


async def told(
    publisher: Node, hearer: Node, channel: str, act: Callable[[], Awaitable[None]]
) -> int:
    """How many births of a channel an action brings about."""
    number = len(hearer.births)
    before = (await births(publisher, hearer, f"before{number}.")).count(channel)
    await act()
    after = (await births(publisher, hearer, f"after{number}.")).count(channel)
    return after - before


def test_every_node_hears_of_the_births_of_channels_that_it_has_not_subscribed_to(
    start_nodes: StartNodes,
) -> None:
    async def scenario(publisher: Node, hearer: Node) -> None:
        channels = {"many.a", "many.b.c", "few.d", "brief.e", "none.f", "one.g"}
        await store(publisher, *channels)
        await hearer.until(lambda: channels.issubset(hearer.births))
        await publisher.until(lambda: channels.issubset(publisher.births))

    run(start_nodes, scenario)


def test_further_events_and_reading_are_no_births(start_nodes: StartNodes) -> None:
    async def scenario(publisher: Node, hearer: Node) -> None:
        channels = ["many.a", "few.a", "brief.a", "one.a"]
        await store(publisher, *channels, *channels)

        async def more() -> None:
            await hearer.broker.subscribe("many.unborn")
            for _ in range(5):
                await store(publisher, *channels)

        for channel in channels:
            assert await told(publisher, hearer, channel, more) == 0
        assert "many.unborn" not in hearer.births

    run(start_nodes, scenario)


def test_a_channel_whose_events_have_all_expired_is_born_again(start_nodes: StartNodes) -> None:
    async def scenario(publisher: Node, hearer: Node) -> None:
        async def again() -> None:
            await store(publisher, "brief.a", "one.a", "many.a")

        await again()
        for channel in ("brief.a", "one.a"):
            publisher.clock.advance(59)
            assert await told(publisher, hearer, channel, again) == 0
            publisher.clock.advance(61)
            assert await told(publisher, hearer, channel, again) > 0
        publisher.clock.advance(61)
        assert await told(publisher, hearer, "many.a", again) == 0

    run(start_nodes, scenario)


def test_a_channel_that_retains_nothing_is_born_again_every_few_seconds(
    start_nodes: StartNodes,
) -> None:
    async def scenario(publisher: Node, hearer: Node) -> None:
        async def again() -> None:
            await store(publisher, "none.a")

        assert await told(publisher, hearer, "none.a", again) > 0
        publisher.clock.advance(BIRTH_SECONDS - 1)
        assert await told(publisher, hearer, "none.a", again) == 0
        publisher.clock.advance(1.001)
        assert await told(publisher, hearer, "none.a", again) > 0
        assert await told(publisher, hearer, "none.a", again) == 0

    run(start_nodes, scenario)


def test_a_replayed_event_is_no_birth(start_nodes: StartNodes) -> None:
    async def scenario(publisher: Node, hearer: Node) -> None:
        await store(publisher, "brief.a", key="k")
        publisher.clock.advance(61)

        async def again() -> None:
            await store(publisher, "brief.a", key="k")

        assert await told(publisher, hearer, "brief.a", again) == 0

    run(start_nodes, scenario)


def test_the_beginning_of_a_log_is_known_while_nothing_is_missing(start_nodes: StartNodes) -> None:
    async def scenario(publisher: Node, hearer: Node) -> None:
        for channel, lost in (("many.new", None), ("few.new", "expired")):
            await store(publisher, "many.old", "few.old", *[channel] * 50)
            end = (await hearer.broker.history(channel, Earliest(), 1)).end
            page = await hearer.broker.history(channel, Position(end.epoch, 0), 50)
            assert page.lost == lost
            assert len(page.events) == (50 if lost is None else 3)

    run(start_nodes, scenario)
