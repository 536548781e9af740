"""hub/patterns.py: channels that are born, or may have been, while a pattern has subscribers."""

from dataclasses import replace

import pytest

from eventhub.delivery.feed import Feed
from eventhub.events.channel_types import ChannelTypes, Retention
from eventhub.events.event import Position
from eventhub.hub.announcements import Birth
from tests.unit.hub.hub_node import Node, fault, run, until
from tests.unit.hub.test_patterns import Reader

PLACE = Position("k3x9", 5)


def begins(node: Node) -> list[Position | Birth | None]:
    """Where the feeds begin that are opened from now on."""
    found: list[Position | Birth | None] = []
    opened = node.hub.feeds.on_open

    def note(feed: Feed) -> Position | Birth | None:
        found.append(opened(feed))
        return found[-1]

    node.hub.feeds.on_open = note
    return found


def test_an_error_while_a_birth_is_taken_up_is_contained_and_counted() -> None:
    async def scenario(node: Node) -> None:
        reader = Reader(node, "drop.*")
        await until(lambda: reader.ready)
        node.hub.patterns._cover = fault  # type: ignore[assignment, method-assign]
        node.hub.patterns.born("drop.a")
        assert node.metrics.faults.counts["birth"] == 1

    run(scenario)


def test_only_the_channel_that_is_born_certainly_begins_with_its_first_event() -> None:
    async def scenario(node: Node) -> None:
        reader = Reader(node, "*.*")
        await until(lambda: reader.ready)
        found = begins(node)
        node.hub.patterns.born("drop.a")
        node.subscribe("drop.b")
        node.hub.patterns.born("nothing.a")  # another node declares its type
        node.subscribe("drop.c")
        assert found == [Birth.CERTAIN, Birth.POSSIBLE, Birth.POSSIBLE]

    run(scenario)


def test_after_births_were_missed_each_new_channel_of_the_patterns_there_may_be_older() -> None:
    async def scenario(node: Node) -> None:
        reader = Reader(node, "drop.*")
        await until(lambda: reader.ready)
        found = begins(node)
        node.hub.patterns.born(None)
        later = Reader(node, "latest.*")
        await until(lambda: later.ready)
        node.subscribe("drop.a")
        node.subscribe("latest.a")
        assert found == [Birth.CERTAIN, Birth.POSSIBLE]

    run(scenario)


def test_a_channel_goes_on_once_where_it_was_let_go() -> None:
    async def scenario(node: Node) -> None:
        reader = Reader(node, "drop.*")
        await until(lambda: reader.ready)
        found = begins(node)
        node.hub.patterns._left["drop.a"] = PLACE
        for _ in range(2):
            wire = node.subscribe("drop.a")
            assert node.hub.feeds.get("drop.a") is not None
            feed = node.hub.feeds.get("drop.a")
            assert feed is not None
            for audience in list(feed.audiences):
                audience.detach(feed)
            node.hub.unsubscribe(wire.subscribers[0])
        assert found == [PLACE, Birth.POSSIBLE]

    run(scenario)


def test_channels_that_no_list_has_are_taken_up_again_when_births_may_have_been_missed() -> None:
    async def scenario(node: Node) -> None:
        reader = Reader(node, "drop.*")
        await until(lambda: reader.ready)
        node.hub.patterns._left |= {"drop.a": PLACE, "drop.b": PLACE, "latest.a": PLACE}
        node.hub.patterns._is_listed = lambda channel: channel == "drop.b"  # type: ignore[method-assign]
        node.hub.patterns.born(None)
        assert node.hub.feeds.get("drop.a") is not None
        assert node.hub.feeds.get("drop.b") is None
        assert node.hub.feeds.get("latest.a") is None

    run(scenario)


def test_a_channel_whose_type_keeps_an_event_is_left_to_the_list() -> None:
    async def scenario(node: Node) -> None:
        reader = Reader(node, "*.*")
        await until(lambda: reader.ready)
        (kind, *_) = node.hub.types
        node.hub.patterns._types = ChannelTypes(
            {
                name: replace(kind, name=name, retention=Retention(events, None))
                for name, events in (("drop", 0), ("latest", 1))
            }
        )
        node.hub.patterns._left |= {"drop.a": PLACE, "latest.a": PLACE}
        node.hub.patterns.born(None)
        assert node.hub.feeds.get("drop.a") is not None
        assert node.hub.feeds.get("latest.a") is None

    run(scenario)


@pytest.mark.parametrize("channel", ["nothing.a", "drop..a", "drop.a b", ""])
def test_a_birth_that_this_node_cannot_serve_is_no_fault(channel: str) -> None:
    async def scenario(node: Node) -> None:
        reader = Reader(node, ">")
        await until(lambda: reader.ready)
        node.hub.patterns._cover(channel, Birth.CERTAIN)
        assert not node.metrics.faults.counts
        assert not list(node.hub.feeds)

    run(scenario)


def test_a_gap_of_a_channel_without_a_feed_is_a_birth() -> None:
    async def scenario(node: Node) -> None:
        reader = Reader(node, "drop.*")
        await until(lambda: reader.ready)
        found = begins(node)
        node.hub.feeds.gap("drop.a")
        node.hub.feeds.gap("latest.a")
        assert found == [Birth.CERTAIN]

    run(scenario)


def test_births_that_were_missed_are_forgotten_with_their_pattern() -> None:
    async def scenario(node: Node) -> None:
        reader = Reader(node, "drop.*")
        await until(lambda: reader.ready)
        node.hub.patterns.born(None)
        node.hub.unsubscribe(reader.subscriber)
        reader = Reader(node, "drop.*")
        await until(lambda: reader.ready)
        found = begins(node)
        node.subscribe("drop.a")
        assert found == [Birth.POSSIBLE]

    run(scenario)


def test_where_a_channel_was_let_go_is_better_known_than_that_births_were_missed() -> None:
    async def scenario(node: Node) -> None:
        reader = Reader(node, "drop.*")
        await until(lambda: reader.ready)
        found = begins(node)
        node.hub.patterns.born(None)
        node.hub.patterns._left["drop.a"] = PLACE
        node.subscribe("drop.a")
        assert found == [PLACE]

    run(scenario)


def test_one_pattern_that_knows_its_channels_says_where_a_new_one_begins() -> None:
    async def scenario(node: Node) -> None:
        first = Reader(node, "drop.*")
        await until(lambda: first.ready)
        second = Reader(node, ">")
        found = begins(node)
        node.subscribe("drop.a")
        node.subscribe("latest.a")
        assert not second.ready
        assert found == [Birth.POSSIBLE, None]

    run(scenario)
