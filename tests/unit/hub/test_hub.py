"""A hub: subscribing, publishing, readiness, and what its metrics read."""

import asyncio
from contextlib import suppress

import pytest

from eventhub.errors import (
    ShuttingDown,
    UnknownChannel,
)
from eventhub.events.event import (
    Earliest,
    Event,
    EventCount,
    HistoryPage,
    NewEvent,
    NewEvents,
    Position,
    Receipt,
    Receipts,
)
from eventhub.hub import announcements as announcements_module
from eventhub.hub import history as reads_module
from eventhub.hub.readings import READ_SLICE
from tests.harness.eventually import turns_until
from tests.unit.hub.hub_node import Node, run, until


def test_events_reach_subscribers_and_a_channel_ends_with_its_last_one() -> None:
    async def scenario(node: Node) -> None:
        wire = node.subscribe("drop.a")
        await until(lambda: wire.told("subscribed") == 1)
        await node.publish("drop.a", "1", "2")
        await until(lambda: wire.told("event") == 2)
        node.hub.unsubscribe(wire.subscribers[0])
        await until(lambda: node.hub.feeds.announcements.settled)
        assert list(node.hub.feeds) == []
        assert node.hub.feeds.announcements.channels == set()
        await node.publish("drop.a", "3")
        assert wire.told("event") == 2

    run(scenario)


def test_leaving_and_coming_back_at_once_misses_nothing() -> None:
    async def scenario(node: Node) -> None:
        for _ in range(5):
            wire = node.subscribe("drop.a")
            node.hub.unsubscribe(wire.subscribers[0])
        wire = node.subscribe("drop.a")
        await until(lambda: wire.told("subscribed") == 1)
        await until(lambda: node.hub.feeds.announcements.settled)
        await node.publish("drop.a", "1")
        await until(lambda: wire.told("event") == 1)

    run(scenario)


def test_a_broker_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcements_module, "RETRY_SECONDS", 0)

    async def scenario(node: Node) -> None:
        await node.publish("drop.a", "1")
        node.broker.away = 3
        wire = node.subscribe("drop.a", Earliest())
        await until(lambda: wire.told("event") == 1)

    run(scenario)


def test_what_cannot_be_subscribed_is_refused() -> None:
    async def scenario(node: Node) -> None:
        with pytest.raises(UnknownChannel):
            node.subscribe("nope.a")
        node.hub.closing = True
        with pytest.raises(ShuttingDown):
            node.subscribe("drop.a")
        with pytest.raises(ShuttingDown):
            await node.publish("drop.a", "1")

    run(scenario)


def test_a_draining_hub_is_not_ready_and_still_serves_its_subscribers() -> None:
    async def scenario(node: Node) -> None:
        node.hub.draining = True
        assert node.hub.unready() == {"server": "about to stop"}
        wire = node.subscribe("drop.a", Earliest())
        await node.publish("drop.a", "1")
        await until(lambda: wire.told("event") == 1)

    run(scenario)


def test_a_hub_that_does_not_run_is_not_ready() -> None:
    assert Node().hub.unready() == {"hub": "not started"}


def test_a_hub_that_has_ended_says_so() -> None:
    async def main() -> Node:
        node = Node()
        task = asyncio.create_task(node.hub.run())
        await node.hub.started.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return node

    node = asyncio.run(main())
    assert node.hub.ended
    assert node.hub.unready() == {"hub": "ended"}


def test_further_live_readers_cost_the_broker_nothing() -> None:
    async def scenario(node: Node) -> None:
        first = node.subscribe("drop.a")
        await until(lambda: first.told("subscribed") == 1)
        others = [node.subscribe("drop.a") for _ in range(100)]
        assert all(wire.told("subscribed") == 1 for wire in others), "at once"
        await node.publish("drop.a", "x")
        await until(lambda: all(wire.told("event") == 1 for wire in others))
        assert (node.broker.subscribed, node.broker.asked) == (1, 0)

    run(scenario)


def test_a_crowd_that_reconnects_reads_each_page_once() -> None:
    async def scenario(node: Node) -> None:
        first, *_ = await node.publish("drop.a", *"abcde")
        assert isinstance(first, Receipt)
        crowd = [node.subscribe("drop.a", first.position) for _ in range(500)]
        await until(lambda: all(wire.told("event") == 4 for wire in crowd))
        assert node.broker.asked == 1
        later = [node.subscribe("drop.a", first.position) for _ in range(3)]
        await until(lambda: all(wire.told("event") == 4 for wire in later))
        assert node.broker.asked == 1, "what has just been read is not read again"
        await node.publish("drop.a", "f")
        await until(lambda: all(wire.told("event") == 5 for wire in crowd + later))

    run(scenario)


def test_a_cached_page_does_not_hide_newer_events(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(node: Node) -> None:
        first, *_ = await node.publish("drop.a", *"abc")
        assert isinstance(first, Receipt)
        early = node.subscribe("drop.a", first.position)
        await until(lambda: early.told("event") == 2)
        await node.publish("drop.a", *"de")
        late = node.subscribe("drop.a", first.position)
        await until(lambda: late.told("event") == 4)
        await node.publish("drop.a", "f")
        await until(lambda: late.told("event") == early.told("event") == 5)
        assert [line for line in late.lines if "event" in line] == [
            line for line in early.lines if "event" in line
        ]

    run(scenario)


def test_a_page_is_cached_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads_module, "CACHE_SECONDS", 0)

    async def scenario(node: Node) -> None:
        first, *_ = await node.publish("drop.a", *"abc")
        assert isinstance(first, Receipt)
        for asked in (1, 2):
            wire = node.subscribe("drop.a", first.position)
            await until(lambda wire=wire: wire.told("event") == 2)  # type: ignore[misc]  # mypy: lambdas with defaults
            await until(lambda: not node.hub.feeds._history._cached)
            assert node.broker.asked == asked

    run(scenario)


def test_a_reader_that_leaves_while_a_crowd_is_served_gets_nothing_more() -> None:
    async def scenario(node: Node) -> None:
        first, *_ = await node.publish("drop.a", *"abc")
        assert isinstance(first, Receipt)
        crowd = [node.subscribe("drop.a", first.position) for _ in range(200)]
        await until(lambda: crowd[0].told("event") == 2)
        assert crowd[-1].told("event") == 0, "they are served in turns"
        node.hub.unsubscribe(crowd[-1].subscribers[0])
        await until(lambda: all(wire.told("event") == 2 for wire in crowd[:-1]))
        assert crowd[-1].lines == []

    run(scenario)


def test_a_scrape_counts_a_bounded_number_of_channels_in_a_turn() -> None:
    async def scenario(node: Node) -> None:
        for number in range(3 * READ_SLICE):
            node.subscribe(f"drop.{number}")
        await until(lambda: node.hub.feeds.announcements.settled)

        async def read() -> dict[str, dict[tuple[str, ...], float]]:
            return {name: dict(values) async for name, _, values, _ in node.hub.readings()}

        reading = asyncio.create_task(read())
        turns = [turn async for turn in turns_until(reading.done)]
        assert reading.result()["eventhub_channels"]["drop",] == 3 * READ_SLICE
        assert reading.result()["eventhub_subscriptions"]["drop",] == 3 * READ_SLICE
        assert len(turns) > 3

    run(scenario)


def test_the_metrics_say_whether_the_broker_is_up_and_how_long_it_takes() -> None:
    async def scenario(node: Node) -> None:
        async def up() -> float:
            (found,) = [
                values[()]
                async for name, _, values, _ in node.hub.readings()
                if name == "eventhub_broker_up"
            ]
            return found

        assert await up() == 1
        node.broker.trouble = "gone"
        assert await up() == 0
        await node.publish("drop.a", "1", "2")
        text = (await node.metrics.scrape()).decode()
        assert "eventhub_broker_publish_seconds_count 1.0\n" in text

    run(scenario)


def test_events_are_stored_at_once_unless_publishers_wait_or_the_hub_closes() -> None:
    node = Node()
    assert node.hub.publishes_now
    assert isinstance(node.hub.publish_now(NewEvent("drop.a", b"1", 0)), Receipt)
    assert isinstance(node.hub.publish_all_now(NewEvents("drop.a", [b"1", b"2"], 0)), Receipts)
    node.hub.backpressure.fell_behind("drop.b")
    assert not node.hub.publishes_now
    node.hub.backpressure.caught_up("drop.b")
    node.hub.closing = True
    assert not node.hub.publishes_now


def test_events_are_counted_over_several_pages() -> None:
    async def scenario(node: Node) -> None:
        await node.publish("drop.a", *("1" * 60_000 for _ in range(9)))  # 256 KiB fill a page
        counted = await node.hub.count("drop.a", Earliest(), 9)
        assert (counted.events, counted.more, counted.lost) == (9, False, None)
        bounded = await node.hub.count("drop.a", Earliest(), 8)
        assert (bounded.events, bounded.more) == (8, True)
        assert counted.start == bounded.start
        assert counted.start.offset < counted.end.offset

    run(scenario)


def test_a_count_begins_again_when_its_events_expire_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pages = [
        HistoryPage(Position("e", 0), [_stored(1)], Position("e", 3)),
        HistoryPage(Position("e", 2), [_stored(3)], Position("e", 3), "expired"),
    ]

    async def scenario(node: Node) -> None:
        async def history(*_: object) -> HistoryPage:
            return pages.pop(0)

        monkeypatch.setattr(node.hub, "history", history)
        counted = await node.hub.count("drop.a", Earliest(), 8)
        assert counted == EventCount(
            1, more=False, start=Position("e", 2), end=Position("e", 3), lost="expired"
        )

    run(scenario)


def _stored(offset: int) -> Event:
    return Event("drop.a", "e", offset, offset - 1, 0, b"1")
