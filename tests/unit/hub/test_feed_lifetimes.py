"""hub/feed_registry.py: when the feed of a channel begins, and when it ends."""

import asyncio

import pytest

from eventhub.common.channel_pattern import ChannelPattern
from eventhub.delivery.subscriber import SubscriberState
from eventhub.events.channel_names import parse_pattern
from eventhub.events.event import Earliest, HistoryPage
from eventhub.hub import readings as readings_module
from tests.harness.eventually import turns_until
from tests.unit.hub.hub_node import Node, run, until
from tests.unit.hub.test_patterns import Reader


def test_channels_come_and_go_while_metrics_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings_module, "READ_SLICE", 1)

    async def scenario(node: Node) -> None:
        wires = [node.subscribe(f"drop.{number}") for number in range(9)]

        async def read() -> list[str]:
            return [name async for name, *_ in node.hub.readings()]

        reading = asyncio.create_task(read())
        async for _ in turns_until(reading.done):
            if wires:
                node.hub.unsubscribe(wires.pop().subscribers[0])
        assert "eventhub_channels" in reading.result()

    run(scenario)


def test_a_channel_that_a_pattern_reads_stays_when_its_last_subscriber_leaves() -> None:
    async def scenario(node: Node) -> None:
        reader = Reader(node, "drop.*")
        await until(lambda: reader.ready)
        wire = node.subscribe("drop.a")
        await until(lambda: wire.told("subscribed") == 1)
        feed = node.hub.feeds.get("drop.a")
        assert feed is not None
        node.hub.unsubscribe(wire.subscribers[0])
        assert node.hub.feeds.get("drop.a") is feed
        await node.publish("drop.a", "1")
        await until(lambda: reader.got == ["drop.a=1"])
        node.hub.unsubscribe(reader.subscriber)
        assert node.hub.feeds.get("drop.a") is None

    run(scenario)


def test_the_end_of_a_feed_that_was_given_up_is_not_that_of_its_successor() -> None:
    async def scenario(node: Node) -> None:
        node.subscribe("drop.a")
        feeds = node.hub.feeds
        given_up = feeds.get("drop.a")
        assert given_up is not None
        feeds.give_up("drop.a")
        wire = node.subscribe("drop.a")
        feeds.close_if_unused(given_up)
        assert feeds.get("drop.a") is not None
        await until(lambda: wire.told("subscribed") == 1)

    run(scenario)


def test_the_list_of_channels_has_those_with_subscribers() -> None:
    async def scenario(node: Node) -> None:
        every: ChannelPattern = parse_pattern(">")
        wires = [node.subscribe(name) for name in ("drop.b", "drop.a", "drop.a")]
        assert node.hub.subscribed_channels(every, "", 9) == ([("drop.a", 2), ("drop.b", 1)], None)
        node.hub.unsubscribe(wires[0].subscribers[0])
        assert node.hub.subscribed_channels(every, "", 9) == ([("drop.a", 2)], None)

    run(scenario)


def test_a_page_that_is_lost_for_a_feed_that_was_given_up_ends_nobody_at_its_successor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(node: Node) -> None:
        first = node.subscribe("drop.a")
        await until(lambda: first.told("subscribed") == 1)

        asked, fails = asyncio.Event(), asyncio.Event()

        async def history(*_: object) -> HistoryPage:
            asked.set()
            await fails.wait()
            raise ZeroDivisionError("a fault of ours")

        with monkeypatch.context() as broken:
            broken.setattr(node.broker, "history", history)
            node.hub.feeds.gap("drop.a")
            await asked.wait()
            node.hub.feeds.give_up("drop.a")
            second = node.subscribe("drop.a")
            fails.set()
            await until(lambda: node.hub.faults.counts["history"] == 1)
        await until(lambda: second.told("subscribed") == 1)
        await node.publish("drop.a", "1")
        await until(lambda: second.told("event") == 1)
        assert (first.failed, second.failed) == (["internal"], [])

    run(scenario)


def test_a_reader_whose_page_is_lost_has_left_its_feed_before_its_connection_ends() -> None:
    async def scenario(node: Node) -> None:
        await node.publish("drop.a", "1")
        wire = node.subscribe("drop.a", Earliest())
        (subscriber,) = wire.subscribers
        states: list[SubscriberState] = []
        wire.on_fail = lambda: states.append(subscriber.state)
        await until(lambda: node.hub.feeds.announcements.settled)
        node.broker.fault = ZeroDivisionError("a fault of ours")
        await until(lambda: bool(wire.failed))
        assert states == [SubscriberState.GONE]

    run(scenario)
