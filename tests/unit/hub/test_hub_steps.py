"""hub.py: the steps of subscribing and leaving in their order, and the tasks of a running hub."""

import asyncio

import pytest

from eventhub.delivery.subscriber import Subscriber, SubscriberState, SubscriptionStart
from eventhub.errors import InvalidSince, UnknownChannel
from eventhub.events.event import Earliest, Latest, State
from eventhub.hub import subscription_log
from eventhub.hub.cluster import PRESENCE_SECONDS
from eventhub.hub.hub import Hub
from tests.harness.hubs import running
from tests.harness.virtual_time import in_virtual_time
from tests.unit.hub.hub_node import Node, Owned, run, until
from tests.unit.hub.test_patterns import Reader


@in_virtual_time
async def test_a_running_hub_tells_other_nodes_that_it_is_there() -> None:
    node, sent = Node(), list[bytes]()

    async def broadcast(message: bytes) -> None:
        sent.append(message)

    node.broker.broadcast = broadcast  # type: ignore[method-assign]  # no node hears it
    async with running(node.hub):
        await asyncio.sleep(2 * PRESENCE_SECONDS)
    assert any(b'"ask":null' in message for message in sent)


def test_a_member_is_present_when_its_subscription_is_answered() -> None:
    async def scenario(node: Node) -> None:
        first = node.subscribe("drop.a")
        await until(lambda: first.told("subscribed") == 1)
        present: list[list[str]] = []

        def started(subscriber: Subscriber, start: SubscriptionStart) -> None:
            present.append(node.hub.members("drop.a"))

        node.hub.subscribe(Subscriber("drop.a", Latest(), Owned(node), started, "ana"))
        await until(lambda: bool(present))
        assert present == [["ana"]]

    run(scenario)


def test_the_end_of_a_subscription_is_logged_with_the_state_that_it_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    states: list[SubscriberState] = []
    monkeypatch.setattr(subscription_log, "ended", lambda gone: states.append(gone.state))

    async def scenario(node: Node) -> None:
        wire = node.subscribe("drop.a")
        await until(lambda: wire.told("subscribed") == 1)
        node.hub.unsubscribe(wire.subscribers[0])
        assert states == [SubscriberState.LIVE]

    run(scenario)


def test_who_leaves_is_not_told_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []

    async def scenario(node: Node) -> None:
        wire = node.subscribe("drop.a", member="ana")
        await until(lambda: wire.told("subscribed") == 1)
        for name in ("unwatch", "leave"):
            monkeypatch.setattr(node.hub.nodes, name, lambda _, name=name: steps.append(name))
        node.hub.unsubscribe(wire.subscribers[0])
        assert steps == ["unwatch", "leave"]

    run(scenario)


def test_the_subscriber_of_a_pattern_leaves_without_a_fault() -> None:
    async def scenario(node: Node) -> None:
        reader = Reader(node, "drop.*")
        await until(lambda: reader.ready)
        node.hub.unsubscribe(reader.subscriber)
        assert node.hub.faults.counts == {}

    run(scenario)


def test_subscribers_of_a_channel_share_its_name() -> None:
    async def scenario(node: Node) -> None:
        names = ["".join(("drop", ".a")) for _ in range(2)]
        assert names[0] is not names[1]
        first, second = (node.subscribe(name).subscribers[0] for name in names)
        assert first.channel is second.channel

    run(scenario)


def test_subscriptions_are_counted_beside_channels() -> None:
    async def scenario(node: Node) -> None:
        for channel in ("drop.a", "drop.a", "drop.b"):
            node.subscribe(channel)
        read = {name: dict(values) async for name, _, values, _ in node.hub.readings()}
        assert read["eventhub_channels"]["drop",] == 2
        assert read["eventhub_subscriptions"]["drop",] == 3

    run(scenario)


def test_the_history_of_a_channel_that_nothing_declares_is_not_read() -> None:
    async def scenario(node: Node) -> None:
        with pytest.raises(UnknownChannel):
            await node.hub.history("other.a", Earliest(), 1)
        assert node.broker.asked == 0

    run(scenario)


def test_nothing_is_stored_at_once_with_a_broker_that_waits() -> None:
    node = Node()
    node.broker.publish_now = None  # type: ignore[assignment, method-assign]  # as brokers that wait have it
    hub = Hub(node.hub.types, node.broker, node.metrics)
    assert not hub.publishes_now


def test_a_broker_that_calls_back_publishes_unless_publishers_wait_or_the_hub_closes() -> None:
    node = Node()
    node.broker.publish_later = lambda events, done: True  # type: ignore[assignment]
    hub = Hub(node.hub.types, node.broker, node.metrics)
    assert hub.publishes_later
    hub.backpressure.fell_behind("drop.b")
    assert not hub.publishes_later
    hub.backpressure.caught_up("drop.b")
    hub.closing = True
    assert not hub.publishes_later


def test_a_state_that_channels_of_a_type_do_not_have_is_refused_and_leaves_no_feed() -> None:
    async def scenario(node: Node) -> None:
        with pytest.raises(InvalidSince, match="has no key"):
            node.subscribe("drop.a", State())
        assert node.hub.feeds.get("drop.a") is None

    run(scenario)
