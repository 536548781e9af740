"""hub/naming_subscribers.py: many channels get their feeds in turns of the loop."""

import asyncio
from itertools import pairwise

import pytest

from eventhub.events.event import Position
from eventhub.hub import naming_subscribers
from eventhub.hub import patterns as patterns_module
from tests.harness.eventually import turns_until
from tests.unit.hub.hub_node import Node, fault, run, until
from tests.unit.hub.test_patterns import Reader

MANY = {f"drop.{number}": Position("k3x9", 1) for number in range(10)}


@pytest.fixture(autouse=True)
def few_in_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming_subscribers, "TURN_CHANNELS", 2)
    monkeypatch.setattr(patterns_module, "TURN_CHANNELS", 2)


def test_named_channels_get_feeds_in_turns_and_the_reader_begins_after_the_last() -> None:
    async def scenario(node: Node) -> None:
        first = Reader(node, "drop.*")
        await until(lambda: first.ready)
        reader = Reader(node, "drop.*", MANY)
        growing = turns_until(lambda: reader.told("subscribed"))
        found = [0, *[len(list(node.hub.feeds)) async for _ in growing]]
        assert max(after - before for before, after in pairwise(found)) == 2
        await until(lambda: reader.told("gap") == 10)
        assert '"channels":10' in reader.lines[0]

    run(scenario)


def test_a_reader_that_leaves_in_between_gets_nothing_and_its_names_make_room() -> None:
    async def scenario(node: Node) -> None:
        node.hub.patterns.most_channels = 10
        first = Reader(node, "drop.*")
        await until(lambda: first.ready)
        for _ in range(5):
            reader = Reader(node, "drop.*", {f"{name}x": at for name, at in MANY.items()})
            node.hub.unsubscribe(reader.subscriber)
            await asyncio.sleep(0)
        other = Reader(node, "drop.*", MANY)
        await until(lambda: other.ready)
        assert reader.lines == []
        assert node.hub.feeds.get("drop.9x") is None

    run(scenario)


def test_the_last_reader_may_leave_in_between() -> None:
    async def scenario(node: Node) -> None:
        reader = Reader(node, "drop.*", MANY)
        await asyncio.sleep(0)
        node.hub.unsubscribe(reader.subscriber)
        assert not list(node.hub.patterns)
        await until(lambda: node.hub.feeds.announcements.settled)
        assert not list(node.hub.feeds)
        assert reader.lines == []

    run(scenario)


def test_listed_channels_get_feeds_in_turns() -> None:
    async def scenario(node: Node) -> None:
        for name in MANY:
            await node.publish(name, "1")
        reader = Reader(node, "drop.*")
        growing = turns_until(lambda: reader.ready)
        found = [0, *[len(list(node.hub.feeds)) async for _ in growing]]
        assert max(after - before for before, after in pairwise(found)) == 2
        assert len(list(node.hub.feeds)) == 10

    run(scenario)


def test_names_that_nobody_waits_for_any_more_make_room() -> None:
    async def scenario(node: Node) -> None:
        node.hub.patterns.most_channels = 10
        first = Reader(node, "drop.*")
        await until(lambda: first.ready)
        for attempt in range(5):
            names = {f"drop.{attempt}x{number}": at for number, at in enumerate(MANY.values())}
            reader = Reader(node, "drop.*", names)
            node.hub.unsubscribe(reader.subscriber)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    run(scenario)


def test_only_channels_without_a_feed_count_as_named() -> None:
    async def scenario(node: Node) -> None:
        node.hub.patterns.most_channels = 4
        for name in ("drop.0", "drop.1"):
            await node.publish(name, "1")
        first = Reader(node, "drop.*")
        await until(lambda: first.ready)
        reader = Reader(node, "drop.*", {f"drop.{number}": MANY["drop.0"] for number in range(6)})
        await until(lambda: reader.told("subscribed") == 1)

    run(scenario)


def test_names_for_one_turn_get_their_feeds_at_once() -> None:
    async def scenario(node: Node) -> None:
        Reader(node, "drop.*", {name: MANY[name] for name in ("drop.0", "drop.1")})
        assert node.hub.feeds.get("drop.1") is not None

    run(scenario)


@pytest.mark.parametrize("turns", range(6))
def test_a_reader_may_leave_in_any_turn(turns: int) -> None:
    async def scenario(node: Node) -> None:
        reader = Reader(node, "drop.*", MANY)
        other = Reader(node, "drop.*")
        node.hub.unsubscribe(other.subscriber)
        assert list(node.hub.patterns), "the first one will join"
        for _ in range(turns):
            await asyncio.sleep(0)
        node.hub.unsubscribe(reader.subscriber)
        assert not list(node.hub.patterns)
        await until(lambda: node.hub.feeds.announcements.settled)
        assert not list(node.hub.feeds)
        assert reader.lines == []

    run(scenario)


def test_an_error_while_channels_get_their_feeds_ends_the_reader_that_named_them() -> None:
    async def scenario(node: Node) -> None:
        first = Reader(node, "drop.*")
        await until(lambda: first.ready)
        node.hub.patterns._cover = fault  # type: ignore[assignment, method-assign]
        reader = Reader(node, "drop.*", MANY)
        await until(lambda: reader.failed == ["internal"])
        assert not first.failed

    run(scenario)
