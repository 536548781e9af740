"""Signals in the broker contract: to whoever subscribes, on every node, and stored nowhere."""

import asyncio

from eventhub.common.channel_pattern import ChannelPattern
from eventhub.events.event import Earliest
from eventhub.events.signal import Signal
from tests.contract.conftest import Node
from tests.contract.test_broker import Start, StartNodes, event, run, store


def signal(node: Node, text: str, channel: str = "many.a") -> Signal:
    return Signal(channel, f'"{text}"'.encode(), node.clock())


def texts(node: Node) -> list[str]:
    return [found.data.decode().strip('"') for found in node.signals]


async def heard(node: Node, last: str) -> list[str]:
    """The signals so far, once this one has come."""
    await node.until(lambda: last in texts(node))
    return texts(node)


def test_a_signal_reaches_the_subscribers_of_its_channel_on_every_node(
    start_nodes: StartNodes,
) -> None:
    async def main() -> None:
        async with start_nodes(2) as nodes:
            first, second = nodes
            for node in nodes:
                await node.broker.subscribe("many.a")
            sent = Signal("many.a", b'{"n":1}', first.clock(), {"by": "ana", "subject": "\u00e9"})
            first.broker.signal(sent)
            second.broker.signal(sent._replace(attributes=None))
            for node in nodes:
                await node.until(lambda node=node: len(node.signals) >= 2)  # type: ignore[misc]
                assert sorted(node.signals, key=lambda each: each.attributes is None) == [
                    sent,
                    sent._replace(attributes=None),
                ]

    asyncio.run(main())


def test_signals_of_one_node_come_in_their_order(start_nodes: StartNodes) -> None:
    async def main() -> None:
        async with start_nodes(2) as (first, second):
            await second.broker.subscribe("many.a")
            sent = [f"{n}" for n in range(100)]
            for text in sent:
                first.broker.signal(signal(first, text))
            assert await heard(second, "99") == sent

    asyncio.run(main())


def test_a_channel_without_a_subscription_gets_no_signal(start: Start) -> None:
    async def scenario(node: Node) -> None:
        await node.broker.subscribe("many.a")
        await node.broker.subscribe("many.gone")
        await node.broker.unsubscribe("many.gone")
        for channel in ("many.gone", "many.never"):
            node.broker.signal(signal(node, "no", channel))
        node.broker.signal(signal(node, "yes"))
        assert await heard(node, "yes") == ["yes"]

    run(start, scenario)


def test_a_signal_is_stored_nowhere(start: Start) -> None:
    async def scenario(node: Node) -> None:
        position = await node.broker.subscribe("many.a")
        node.broker.signal(signal(node, "1"))
        await heard(node, "1")
        page = await node.broker.history("many.a", Earliest(), 10)
        assert (list(page.events), page.end, page.lost) == ([], position, None)
        assert (await node.broker.channels(ChannelPattern(">"), "", 10)).channels == []
        (stored,) = await store(node, "many.a", "event")
        (announced,) = await node.announced(1)
        assert (announced.position, announced.previous) == (stored, position.offset)

    run(start, scenario)


def test_signals_among_events_cost_no_event_its_place(start: Start) -> None:
    async def scenario(node: Node) -> None:
        await node.broker.subscribe("many.a")
        for number in range(20):
            node.broker.signal(signal(node, f"{number}a"))
            await node.broker.publish([event(node, "many.a", f"{number}")])
            node.broker.signal(signal(node, f"{number}b"))
        assert await heard(node, "19b") == [f"{n}{part}" for n in range(20) for part in "ab"]
        log = (await node.broker.history("many.a", Earliest(), 100)).events
        assert await node.announced(20) == list(log)
        assert node.gaps == []

    run(start, scenario)
