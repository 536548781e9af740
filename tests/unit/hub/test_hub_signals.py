"""A hub and its signals: who gets them, and what they cost nobody."""

import asyncio

import orjson
import pytest

from eventhub.delivery.subscriber import SubscriberState
from eventhub.errors import BrokerUnavailable, InvalidEvent, RateLimited, ShuttingDown
from eventhub.events.event import Earliest
from eventhub.events.signal import Signal
from tests.unit.hub.hub_node import Node, Owned, run, until
from tests.unit.hub.test_patterns import Reader as PatternReader


def signal(text: str = "s", channel: str = "drop.a") -> Signal:
    return Signal(channel, f'"{text}"'.encode(), 1000)


def heard(wire: Owned) -> list[str]:
    """Events and signals, in the order in which they were written."""
    return [
        f"{message['type']} {message['data']}"
        for message in wire.messages
        if message["type"] in ("event", "signal")
    ]


async def live(node: Node, channel: str = "drop.a") -> Owned:
    wire = node.subscribe(channel)
    await until(lambda: wire.subscribers[0].state is SubscriberState.LIVE)
    return wire


def test_the_live_subscribers_of_the_channel_get_a_signal_and_nobody_else_does() -> None:
    async def scenario(node: Node) -> None:
        wires = [await live(node), await live(node)]
        other = await live(node, "drop.b")
        node.hub.signal(signal())
        await until(lambda: all(wire.told("signal") for wire in wires))
        assert [heard(wire) for wire in (*wires, other)] == [["signal s"]] * 2 + [[]]
        late = await live(node)
        await node.publish("drop.a", "1")
        await until(lambda: late.told("event") == 1)
        assert heard(late) == ["event 1"], "it was not there"

    run(scenario)


def test_a_subscriber_that_is_catching_up_gets_none_and_then_all_later_ones() -> None:
    async def scenario(node: Node) -> None:
        await node.publish("drop.a", "1", "2")
        wire = node.subscribe("drop.a", Earliest())
        assert wire.subscribers[0].state is SubscriberState.CATCHING_UP
        node.hub.signal(signal("early"))
        await until(lambda: wire.subscribers[0].state is SubscriberState.LIVE)
        node.hub.signal(signal("late"))
        await until(lambda: bool(wire.told("signal")))
        assert heard(wire) == ["event 1", "event 2", "signal late"]

    run(scenario)


@pytest.mark.parametrize("policy", ["disconnect", "drop", "latest"])
def test_signals_cost_a_slow_reader_nothing(policy: str) -> None:
    async def scenario(node: Node) -> None:
        channel = f"{policy}.a"
        slow, fast = await live(node, channel), await live(node, channel)
        slow.full = True
        node.hub.congested(slow.subscribers[0])
        for _ in range(100):
            node.hub.signal(signal(channel=channel))
        await until(lambda: fast.told("signal") == 100)
        slow.full = False
        node.hub.drained(slow.subscribers[0])
        await node.publish(channel, "1")
        await until(lambda: slow.told("event") == 1)
        assert heard(slow) == ["event 1"]
        assert (slow.told("gap"), slow.failed) == (0, [])

    run(scenario)


def test_a_live_reader_without_room_gets_events_and_no_signals() -> None:
    async def scenario(node: Node) -> None:
        wire = await live(node)
        wire.full = True  # its owner has not said so yet
        node.hub.signal(signal())
        counters = node.metrics.counters["drop"]
        await until(lambda: counters.signals_dropped["slow"] == 1)
        assert counters.signals == 0
        wire.full = False
        await node.publish("drop.a", "1")
        await until(lambda: wire.told("event") == 1)
        assert heard(wire) == ["event 1"]

    run(scenario)


def test_a_node_that_drains_sends_signals_until_its_connections_are_closed() -> None:
    async def scenario(node: Node) -> None:
        wire = await live(node)
        node.hub.draining = True
        node.hub.signal(signal())
        await until(lambda: wire.told("signal") == 1)
        node.hub.closing = True
        with pytest.raises(ShuttingDown, match="the signal was not sent"):
            node.hub.signal(signal())

    run(scenario)


def test_signals_are_counted_and_so_are_those_that_are_refused() -> None:
    async def scenario(node: Node) -> None:
        node.hub.signal(signal())
        node.hub.signal_rejected("drop.a", InvalidEvent("no"))
        node.hub.signal_rejected("nope.a", RateLimited("no").with_limit("signal_rate"))
        text = (await node.metrics.scrape()).decode()
        for line in (
            'eventhub_signals_sent_total{type="drop"} 1.0',
            'eventhub_signals_rejected_total{code="invalid_event",type="drop"} 1.0',
            'eventhub_signals_rejected_total{code="rate_limited",type="unknown"} 1.0',
            'eventhub_refused_total{limit="signal_rate"} 1.0',
            'eventhub_signals_dropped_total{reason="busy",type="drop"} 0.0',
        ):
            assert f"{line}\n" in text
        assert "eventhub_events_rejected_total{" not in text

    run(scenario)


def test_a_broker_that_is_away_refuses_the_signal_which_is_not_counted_as_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(signal: Signal) -> None:
        raise BrokerUnavailable("away")

    async def scenario(node: Node) -> None:
        monkeypatch.setattr(node.broker, "signal", away)
        with pytest.raises(BrokerUnavailable):
            node.hub.signal(signal())
        assert node.metrics._signals["drop"] == 0

    run(scenario)


def test_a_fault_over_a_signal_costs_nobody_an_event() -> None:
    async def scenario(node: Node) -> None:
        wire = await live(node)
        node.hub.feeds.signal(Signal("drop.a", None, 0))  # type: ignore[arg-type]  # a fault
        await node.publish("drop.a", "1")
        await until(lambda: wire.told("event") == 1)
        node.hub.signal(signal())
        await until(lambda: wire.told("signal") == 1)
        assert orjson.loads(wire.lines[-1])["data"] == "s"
        assert (wire.told("gap"), wire.failed) == (0, [])
        assert node.metrics.faults.counts["signal"] == 1

    run(scenario)


def test_the_live_subscribers_of_a_pattern_get_a_signal_once_and_it_counts_for_its_type() -> None:
    async def scenario(node: Node) -> None:
        await node.publish("drop.a", "before")
        pattern, single = PatternReader(node, "drop.*"), await live(node)
        await until(lambda: pattern.ready)
        node.hub.signal(signal())
        await until(lambda: pattern.told("signal") == 1 and single.told("signal") == 1)
        await node.publish("drop.a", "1")
        await until(lambda: pattern.told("event") == 1)
        assert heard(pattern) == ["signal s", "event 1"]
        assert node.metrics.counters["drop"].signals == 2
        pattern.full = True
        node.hub.signal(signal())
        await until(lambda: single.told("signal") == 2)
        assert pattern.told("signal") == 1
        assert node.metrics.counters["drop"].signals_dropped["slow"] == 1

    run(scenario)


def test_while_a_pattern_s_subscriber_changes_places_it_gets_no_signal_twice() -> None:
    async def scenario(node: Node) -> None:
        await node.publish("drop.a", "1")
        pattern = PatternReader(node, "drop.*", Earliest())
        for number in range(50):
            node.hub.signal(signal(str(number)))
            await asyncio.sleep(0)
        await until(lambda: pattern.ready)
        node.hub.signal(signal("last"))
        await until(lambda: heard(pattern)[-1] == "signal last")
        assert len(heard(pattern)) == len(set(heard(pattern)))
        assert heard(pattern)[0] == "event 1"

    run(scenario)
