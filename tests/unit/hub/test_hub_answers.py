"""hub.py: what sessions and requests ask of it, and what one error costs."""

import asyncio
from dataclasses import replace
from typing import Any

import orjson
import pytest

from eventhub.common.channel_pattern import ChannelPattern
from eventhub.common.machine import Machine
from eventhub.delivery.subscriber import Subscriber, SubscriberState
from eventhub.errors import InvalidChannel, RateLimited, ShuttingDown, UnknownChannel
from eventhub.events.channel_types import ChannelTypes
from eventhub.events.event import Earliest, Latest
from eventhub.hub.cluster import Cluster
from eventhub.hub.hub import Hub
from tests.harness.wire import Wire
from tests.unit.hub.hub_node import Node, fault, run, until


def quiet(node: Node) -> None:
    """From now on no channel type has presence."""
    node.hub.types = ChannelTypes(
        {kind.name: replace(kind, presence=False) for kind in node.hub.types}
    )


def member(channel: str = "drop.a", wire: Wire | None = None) -> Subscriber:
    return Subscriber(
        channel, Latest(), wire or Wire(), lambda *_: None, "ana", watching=True, session="s1"
    )


def test_a_member_is_present_from_its_subscription_to_its_end() -> None:
    async def scenario(node: Node) -> None:
        ana = member()
        node.hub.subscribe(ana)
        assert node.hub.members("drop.a") == ["ana"]
        watched = node.hub.watch(ana)
        assert orjson.loads(orjson.dumps(watched)) == {"count": 1, "members": [{"id": "ana"}]}
        node.hub.unsubscribe(ana)
        assert node.hub.members("drop.a") == []
        assert ana.state is SubscriberState.GONE

    run(scenario)


def test_a_type_without_presence_has_no_members_and_its_watchers_are_told_nothing() -> None:
    async def scenario(node: Node) -> None:
        quiet(node)
        ana = member()
        node.hub.subscribe(ana)
        assert node.hub.members("drop.a") == []
        assert node.hub.watch(ana) == {"count": 0, "members": []}
        node.hub.unsubscribe(ana)
        assert node.metrics.faults.counts == {}

    run(scenario)


def test_an_error_in_one_step_of_unsubscribing_is_noted_and_stops_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noted: list[tuple[str, object, object]] = []

    async def scenario(node: Node) -> None:
        def note(where: str, error: Exception, **fields: Any) -> None:
            noted.append((where, fields["session"], fields["channel"]))

        monkeypatch.setattr(node.hub.faults, "note", note)
        monkeypatch.setattr(node.hub.feeds, "leave", fault)
        monkeypatch.setattr(node.hub.nodes, "unwatch", fault)
        ana = member()
        node.hub.subscribe(ana)
        node.hub.unsubscribe(ana)
        assert node.hub.members("drop.a") == []
        assert noted == [("unsubscribe", "s1", "drop.a")] * 2

    run(scenario)


def test_what_is_asked_about_a_channel_that_cannot_be_is_refused() -> None:
    async def scenario(node: Node) -> None:
        with pytest.raises(UnknownChannel):
            node.hub.members("nope.a")
        with pytest.raises(InvalidChannel):
            node.hub.members("drop..a")
        with pytest.raises(UnknownChannel):
            await node.hub.history("nope.a", Earliest(), 1)

    run(scenario)


def test_history_is_a_page_of_the_broker_from_where_and_as_long_as_is_asked() -> None:
    async def scenario(node: Node) -> None:
        await node.publish("drop.a", *"abc")
        page = await node.hub.history("drop.a", Earliest(), 2)
        assert [event.data for event in page.events] == [b'"a"', b'"b"']

    run(scenario)


def test_a_closing_hub_refuses_without_making_a_feed_or_storing_anything() -> None:
    async def scenario(node: Node) -> None:
        node.hub.closing = True
        with pytest.raises(ShuttingDown):
            node.hub.subscribe(member())
        assert list(node.hub.feeds) == []
        with pytest.raises(ShuttingDown):
            await node.publish("drop.a", "1")
        assert (await node.hub.history("drop.a", Earliest(), 1)).events == []

    run(scenario)


def test_a_publisher_that_waited_until_the_hub_closed_is_refused() -> None:
    async def scenario(node: Node) -> None:
        node.hub.backpressure.fell_behind("drop.a")
        waiting = asyncio.create_task(node.publish("drop.a", "1"))
        await asyncio.sleep(0)
        assert not waiting.done()
        node.hub.closing = True
        node.hub.backpressure.caught_up("drop.a")
        with pytest.raises(ShuttingDown):
            await waiting

    run(scenario)


def test_the_parts_that_are_not_ready_are_told_with_the_reason() -> None:
    async def scenario(node: Node) -> None:
        assert node.hub.unready() == {}
        assert not node.hub.ended
        node.broker.trouble = "gone"
        node.hub.draining = True
        assert node.hub.unready() == {"server": "about to stop", "broker": "gone"}

    run(scenario)


def test_refusals_rejections_delays_and_answers_reach_the_metrics() -> None:
    async def scenario(node: Node) -> None:
        node.hub.refused(RateLimited("slow").with_limit("stranger_bytes"))
        node.hub.delayed("commands")
        node.hub.rejected("drop.a", InvalidChannel("no"))
        node.hub.answered("drop.a", 0.1)
        text = (await node.metrics.scrape()).decode()
        for line in (
            'eventhub_refused_total{limit="stranger_bytes"} 1.0',
            'eventhub_refused_total{limit="commands"} 1.0',
            'eventhub_events_rejected_total{code="invalid_channel",type="drop"} 1.0',
        ):
            assert line in text, text

    run(scenario)


def test_an_error_while_a_stored_event_is_counted_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(node: Node) -> None:
        monkeypatch.setattr(node.metrics, "published", fault)
        await node.publish("drop.a", "1")
        assert node.hub.faults.counts == {"metrics": 1}

    run(scenario)


def test_channels_with_subscribers_here_are_listed_by_pattern_in_pages() -> None:
    async def scenario(node: Node) -> None:
        for channel in ("drop.a", "drop.b", "drop.b", "latest.c"):
            node.subscribe(channel)
        first = node.hub.subscribed_channels(ChannelPattern("drop.*"), "", 1)
        assert first == ([("drop.a", 1)], "drop.a")
        second = node.hub.subscribed_channels(ChannelPattern("drop.*"), "drop.a", 1)
        assert second == ([("drop.b", 2)], None)

    run(scenario)


def test_a_watcher_whose_writer_has_room_again_gets_events_and_members() -> None:
    async def scenario(node: Node) -> None:
        wire = Wire()
        ana = member(wire=wire)

        def states() -> list[SubscriberState]:
            return [ana.state]

        node.hub.subscribe(ana)
        await until(lambda: ana.state is SubscriberState.LIVE)
        node.hub.watch(ana)
        wire.full = True
        node.hub.congested(ana)
        assert states() == [SubscriberState.LAGGING]
        other = Subscriber("drop.a", Latest(), Wire(), lambda *_: None, "bob")
        node.hub.subscribe(other)
        await until(lambda: ana in node.hub.nodes._watchers._channels["drop.a"].behind)
        wire.full = False
        node.hub.drained(ana)
        assert states() == [SubscriberState.LIVE]
        await until(lambda: wire.told("presence") == 1)

    run(scenario)


def test_the_feeds_and_the_cluster_use_the_machine_that_is_given() -> None:
    node = Node()
    hub = Hub(node.hub.types, node.broker, node.metrics, machine=Machine(lambda: 5.0, "n7"))
    assert hub.nodes.own == "n7"
    assert hub.metrics is node.metrics
    assert (hub.faults, hub.tracing) == (node.metrics.faults, None)


def test_work_that_a_part_spawns_runs_in_the_hub() -> None:
    async def scenario(node: Node) -> None:
        done: list[str] = []

        async def work() -> None:
            done.append("work")

        node.hub.spawn(work(), "place", lambda _: None)
        await until(lambda: bool(done))

    run(scenario)


def test_an_error_while_presence_is_attended_or_told_does_not_end_the_hub(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def failing(_: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    for work in ("attend", "notify"):
        monkeypatch.setattr(Cluster, work, failing)

    async def scenario(node: Node) -> None:
        await until(lambda: len(node.metrics.faults.counts) == 2)
        assert node.metrics.faults.counts == {"presence": 1, "watchers": 1}
        assert not node.hub.ended

    run(scenario)
