"""Feeds of a node: errors in one channel cost no other channel anything."""

import pytest

from eventhub.delivery.fanout import Fanout
from eventhub.delivery.feed import Feed
from eventhub.delivery.subscriber import Subscriber, SubscriberState
from eventhub.errors import (
    SlowConsumer,
)
from eventhub.events.event import (
    Earliest,
    HistoryPage,
    Position,
)
from eventhub.hub import repairs as repairs_module
from eventhub.observability.metrics import Metrics
from tests.unit.hub.hub_node import Node, Owned, fault, run, until


def test_a_reader_that_leaves_before_its_connection_is_closed_is_left_alone() -> None:
    async def scenario(node: Node) -> None:
        stuck = node.subscribe("disconnect.a")
        node.hub.feeds.fail(stuck.subscribers[0], SlowConsumer("too slow"))
        node.hub.unsubscribe(stuck.subscribers[0])
        await until(lambda: not node.hub.feeds._evictions._awake)
        assert stuck.failed == []

    run(scenario)


def test_an_error_in_one_channel_costs_no_other_and_is_repaired_from_history(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(repairs_module, "RETRY_SECONDS", 0)

    async def scenario(node: Node) -> None:
        wires = [node.subscribe(channel) for channel in ("drop.a", "drop.b")]
        await until(lambda: all(wire.told("subscribed") for wire in wires))
        with monkeypatch.context() as broken:
            broken.setattr(Feed, "deliver", fault)
            broken.setattr(Feed, "gap", fault)
            await node.publish("drop.a", "lost")
            node.hub.feeds.gap("drop.a")
        await node.publish("drop.b", "1")
        await until(lambda: [wire.told("event") for wire in wires] == [1, 1])
        await until(lambda: not node.hub.feeds.repairs.pending)

    run(scenario)


def test_an_error_over_a_page_is_repaired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repairs_module, "RETRY_SECONDS", 0)
    faults = [ZeroDivisionError("a fault"), ZeroDivisionError("another")]
    page = Feed.page

    def faulty(
        feed: Feed,
        subscriber: Subscriber | None,
        since: Position,
        piece: HistoryPage,
        generation: int,
    ) -> None:
        page(feed, subscriber, since, piece, generation)
        if subscriber is None and faults:
            raise faults.pop()

    monkeypatch.setattr(Feed, "page", faulty)

    async def scenario(node: Node) -> None:
        wire = node.subscribe("drop.a")
        await until(lambda: wire.told("subscribed") == 1)
        node.hub.feeds.gap("drop.a")
        await until(lambda: not faults and not node.hub.feeds.repairs.pending)
        await node.publish("drop.a", "1")
        await until(lambda: wire.told("event") == 1)

    run(scenario)


def test_an_error_while_one_channel_is_written_keeps_no_other_from_its_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(repairs_module, "RETRY_SECONDS", 0)

    async def scenario(node: Node) -> None:
        wires = [node.subscribe(channel) for channel in ("drop.a", "drop.b")]
        await until(lambda: all(wire.told("subscribed") for wire in wires))
        with monkeypatch.context() as broken:
            broken.setattr(
                node.hub.feeds._feeds["drop.a"],
                "live",
                FaultyOnce(node.hub.feeds._feeds["drop.a"].live),
            )
            await node.publish("drop.a", "1")
            await node.publish("drop.b", "1")
            await until(lambda: [wire.told("event") for wire in wires] == [1, 1])
        await node.publish("drop.a", "2")
        await until(lambda: wires[0].told("event") == 2)

    run(scenario)


def test_an_error_while_a_delivery_is_measured_costs_nobody_an_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(repairs_module, "RETRY_SECONDS", 0)
    faults = [ZeroDivisionError("a fault of ours")]

    def flushed(self: Metrics, kind: str, latencies: object, seconds: float) -> None:
        if faults:
            raise faults.pop()

    monkeypatch.setattr(Metrics, "flushed", flushed)

    async def scenario(node: Node) -> None:
        wires = [node.subscribe(channel) for channel in ("drop.a", "drop.b")]
        await until(lambda: all(wire.told("subscribed") for wire in wires))
        for number, channel in (
            ("1", "drop.a"),
            ("1", "drop.b"),
            ("2", "drop.a"),
            ("2", "drop.b"),
        ):  # in one turn of the loop
            await node.publish(channel, number)
        await until(lambda: [wire.told("event") for wire in wires] == [2, 2])
        assert not faults

    run(scenario)


class FaultyOnce:
    """A fan-out whose first `advance` fails."""

    def __init__(self, live: Fanout) -> None:
        self._live = live
        self._faults = 1

    def advance(self, limit: int) -> int:
        if self._faults:
            self._faults = 0
            raise ZeroDivisionError("a fault of ours")
        return self._live.advance(limit)

    def __bool__(self) -> bool:
        return bool(self._live)

    def __len__(self) -> int:
        return len(self._live)

    def __getattr__(self, name: str) -> object:
        return getattr(self._live, name)


async def live(node: Node, channel: str, count: int = 1) -> list[Owned]:
    """Subscribers that have begun."""
    wires = [node.subscribe(channel) for _ in range(count)]
    await until(lambda: all(wire.told("subscribed") for wire in wires))
    return wires


def test_a_channel_that_is_given_up_closes_its_connections_and_serves_new_ones() -> None:
    async def scenario(node: Node) -> None:
        wires = await live(node, "drop.a", 2)
        (other,) = await live(node, "drop.b")
        states = [wire.subscribers[0] for wire in wires]
        node.hub.feeds.give_up("drop.a")
        assert [wire.failed for wire in wires] == [[], []], "never from inside the call"
        assert [subscriber.state for subscriber in states] == [SubscriberState.GONE] * 2
        await until(lambda: all(wire.failed for wire in wires))
        assert [wire.failed for wire in wires] == [["internal"], ["internal"]]
        (again,) = await live(node, "drop.a")
        for channel in ("drop.a", "drop.b"):
            await node.publish(channel, "1")
        await until(lambda: again.told("event") == other.told("event") == 1)
        assert [wire.told("event") for wire in wires] == [0, 0]
        assert other.failed == []

    run(scenario)


def test_a_channel_that_is_not_served_can_be_given_up() -> None:
    async def scenario(node: Node) -> None:
        node.hub.feeds.give_up("drop.a")
        assert node.hub.feeds.announcements.settled

    run(scenario)


def test_a_channel_that_cannot_be_subscribed_closes_its_connections() -> None:
    async def scenario(node: Node) -> None:
        node.broker.fault = ZeroDivisionError("a fault of ours")
        wire = node.subscribe("drop.a")
        await until(lambda: bool(wire.failed))
        assert wire.failed == ["internal"]
        assert node.hub.faults.counts["announcements"] == 1

    run(scenario)


def test_a_page_that_cannot_be_read_closes_only_the_connections_that_wait_for_it() -> None:
    async def scenario(node: Node) -> None:
        (first,) = await live(node, "drop.a")
        await node.publish("drop.a", "1")
        node.broker.fault = ZeroDivisionError("a fault of ours")
        late = node.subscribe("drop.a", Earliest())
        subscriber = late.subscribers[0]
        await until(lambda: bool(late.failed))
        assert (late.failed, subscriber.state) == (["internal"], SubscriberState.GONE)
        assert node.hub.faults.counts["history"] == 1
        await node.publish("drop.a", "2")
        await until(lambda: first.told("event") == 2)
        assert first.failed == []

    run(scenario)


def test_a_page_for_the_live_readers_that_cannot_be_read_closes_all_connections() -> None:
    async def scenario(node: Node) -> None:
        wires = await live(node, "drop.a", 2)
        node.broker.fault = ZeroDivisionError("a fault of ours")
        node.hub.feeds.gap("drop.a")
        await until(lambda: all(wire.failed for wire in wires))
        assert [wire.failed for wire in wires] == [["internal"], ["internal"]]

    run(scenario)


def test_a_channel_that_fails_again_and_again_closes_its_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(repairs_module, "RETRY_SECONDS", 0)
    monkeypatch.setattr(Feed, "gap", fault)

    async def scenario(node: Node) -> None:
        (wire,) = await live(node, "drop.a")
        node.hub.feeds.gap("drop.a")
        assert node.hub.feeds.repairs.pending
        await until(lambda: bool(wire.failed))
        assert wire.failed == ["internal"]
        assert node.hub.faults.counts["channel"] == 1 + repairs_module.REPAIRS

    run(scenario)


@pytest.mark.parametrize("call", ["deliver", "page"])
def test_an_error_in_a_feed_is_noted_and_its_channel_repaired(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr(repairs_module, "RETRY_SECONDS", 0)
    noted: list[tuple[str, str, object]] = []

    async def scenario(node: Node) -> None:
        monkeypatch.setattr(
            node.hub.faults,
            "note",
            lambda where, error, **fields: noted.append((where, str(error), fields["channel"])),
        )
        (wire,) = await live(node, "drop.a")
        with monkeypatch.context() as broken:
            broken.setattr(Feed, call, fault)
            await node.publish("drop.a", "1")
            if call == "page":
                node.hub.feeds.gap("drop.a")
            await until(lambda: bool(noted))
        await until(lambda: wire.told("event") == 1)
        assert set(noted) == {("channel", "a fault of ours", "drop.a")}

    run(scenario)


def test_a_connection_that_cannot_be_closed_is_noted_and_aborted() -> None:
    async def scenario(node: Node) -> None:
        (wire,) = await live(node, "drop.a")
        subscriber = wire.subscribers[0]
        wire.on_fail = fault
        node.hub.feeds.serving_failed(subscriber, ZeroDivisionError("a fault of ours"))
        await until(lambda: len(wire.failed) == 2)
        assert wire.failed == ["internal", "internal"], "closed, then aborted"
        assert node.hub.faults.counts["subscriber"] == 1
        assert node.hub.faults.counts["ending"] == 2

    run(scenario)
