"""hub/patterns.py: when a channel without events is let go, and when an event may be under way."""

import asyncio

import pytest

from eventhub.delivery.pattern_audience import PatternAudience
from eventhub.events.event import Position
from eventhub.hub import patterns as patterns_module
from eventhub.hub.covered_channels import CoveredChannels
from eventhub.hub.patterns import LIST_SECONDS, RETRY_SECONDS
from tests.harness.virtual_time import turns
from tests.unit.hub.hub_node import Node, run, until
from tests.unit.hub.pattern_lists import Lists, audience_of, away, run_for_minutes
from tests.unit.hub.test_births import begins
from tests.unit.hub.test_patterns import Reader

SILENT = {"drop.a": Position("k3x9", 1)}


def test_a_channel_is_kept_while_births_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns_module, "LIST_SECONDS", 0.0)

    async def scenario(node: Node) -> None:
        reader = Reader(node, "drop.*", SILENT)
        for _ in range(200):
            node.hub.patterns.born("drop.a")  # its announcement may be under way
            await turns(1)
            assert node.hub.feeds.get("drop.a") is not None
        assert reader.ready
        await until(lambda: node.hub.feeds.get("drop.a") is None)

    run(scenario)


def test_readings_right_after_one_another_let_no_channel_go() -> None:
    async def scenario(node: Node) -> None:
        reader = Reader(node, "drop.*", SILENT)
        await until(lambda: reader.ready)
        for _ in range(200):
            node.hub.patterns.born(None)
            await turns(1)
        assert node.hub.feeds.get("drop.a") is not None

    run(scenario)


def test_a_channel_is_silent_two_readings_after_its_birth() -> None:
    channels = CoveredChannels("drop.*", 10, 60.0)
    assert channels.is_silent("drop.a")
    channels.born("drop.a")
    assert not channels.is_silent("drop.a")
    channels.was_read()
    assert not channels.is_silent("drop.a")
    channels.was_read()
    assert channels.is_silent("drop.a")


READINGS = 2.5 * LIST_SECONDS
"""After this long the list was read three times: a silent channel has been let go."""


def test_a_channel_goes_after_two_lists_without_it_and_goes_on_where_it_was() -> None:
    async def scenario(node: Node) -> None:
        Lists(node)
        Reader(node, "drop.*", SILENT)
        await asyncio.sleep(0.5 * LIST_SECONDS)
        feed = node.hub.feeds.get("drop.a")
        assert feed is not None
        assert audience_of(node).feeds == {"drop.a": feed}
        await asyncio.sleep(LIST_SECONDS)
        assert node.hub.feeds.get("drop.a") is None
        assert not audience_of(node).feeds
        found = begins(node)
        node.subscribe("drop.a")
        assert found == [feed.continuity.delivered]

    run_for_minutes(scenario)


def test_a_channel_that_every_list_has_is_kept() -> None:
    async def scenario(node: Node) -> None:
        Lists(node, "drop.a")
        Reader(node, "drop.*", SILENT)
        await asyncio.sleep(READINGS)
        assert list(audience_of(node).feeds) == ["drop.a"]

    run_for_minutes(scenario)


def test_a_channel_that_the_last_list_has_is_kept() -> None:
    async def scenario(node: Node) -> None:
        lists = Lists(node)
        Reader(node, "drop.*", SILENT)
        await asyncio.sleep(0.5 * LIST_SECONDS)
        lists.channels = ["drop.a"]
        await asyncio.sleep(LIST_SECONDS)
        assert list(audience_of(node).feeds) == ["drop.a"]
        lists.channels = []
        await asyncio.sleep(LIST_SECONDS)
        assert list(audience_of(node).feeds) == ["drop.a"], "it counts from its last list on"
        await asyncio.sleep(LIST_SECONDS)
        assert not audience_of(node).feeds

    run_for_minutes(scenario)


@pytest.mark.parametrize("moment", ["between two readings", "while a list is read"])
def test_a_channel_that_had_an_event_is_kept_though_no_list_has_it(moment: str) -> None:
    """The event had expired when the list was read."""

    async def scenario(node: Node) -> None:
        lists = Lists(node)
        reader = Reader(node, "drop.*", SILENT)
        await asyncio.sleep(0.5 * LIST_SECONDS)
        feed = node.hub.feeds.get("drop.a")
        assert feed is not None
        feed.continuity.delivered_count += moment == "between two readings"

        async def event() -> None:
            feed.continuity.delivered_count += moment == "while a list is read"

        lists.meanwhile = event
        await asyncio.sleep(LIST_SECONDS)
        assert list(audience_of(node).feeds) == ["drop.a"]
        assert reader.ready

    run_for_minutes(scenario)


def test_the_lists_before_and_after_one_that_cannot_be_read_do_not_let_a_channel_go() -> None:
    async def scenario(node: Node) -> None:
        lists = Lists(node)
        Reader(node, "drop.*", SILENT)
        await asyncio.sleep(0.5 * LIST_SECONDS)
        lists.failure = away()
        await asyncio.sleep(0.5 * LIST_SECONDS + 1.5 * RETRY_SECONDS)
        assert len(lists.calls) == 3
        assert list(audience_of(node).feeds) == ["drop.a"]
        await asyncio.sleep(LIST_SECONDS)
        assert not audience_of(node).feeds

    run_for_minutes(scenario)


def test_a_channel_with_a_subscriber_of_its_own_is_kept_for_the_pattern_too() -> None:
    async def scenario(node: Node) -> None:
        node.subscribe("drop.a")
        reader = Reader(node, "drop.*")
        Lists(node)
        await asyncio.sleep(READINGS)
        assert list(audience_of(node).feeds) == ["drop.a"]
        await node.publish("drop.a", "1")
        await turns()
        assert reader.got == ["drop.a=1"]

    run_for_minutes(scenario)


def test_a_channel_of_which_something_may_be_missing_is_kept() -> None:
    async def scenario(node: Node) -> None:
        Lists(node)
        Reader(node, "drop.*", SILENT)
        await asyncio.sleep(0.5 * LIST_SECONDS)
        node.broker.away = 10_000
        node.hub.feeds.gap("drop.a")
        await asyncio.sleep(READINGS)
        assert list(audience_of(node).feeds) == ["drop.a"]

    run_for_minutes(scenario)


def test_a_channel_where_a_subscriber_is_about_to_begin_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needed = True
    monkeypatch.setattr(PatternAudience, "needs", lambda *_: needed)

    async def scenario(node: Node) -> None:
        nonlocal needed
        Lists(node)
        Reader(node, "drop.*", SILENT)
        await asyncio.sleep(READINGS)
        assert list(audience_of(node).feeds) == ["drop.a"]
        needed = False
        await asyncio.sleep(LIST_SECONDS)
        assert not audience_of(node).feeds

    run_for_minutes(scenario)


@pytest.mark.parametrize(("most", "kept"), [(1, ["drop.c"]), (2, ["drop.b", "drop.c"])])
def test_where_the_newest_channels_were_let_go_is_remembered(
    monkeypatch: pytest.MonkeyPatch, most: int, kept: list[str]
) -> None:
    monkeypatch.setattr(patterns_module, "LEFT", most)

    async def scenario(node: Node) -> None:
        Lists(node)
        Reader(node, "drop.*", {f"drop.{name}": SILENT["drop.a"] for name in "abc"})
        await asyncio.sleep(READINGS)
        assert list(node.hub.patterns._left) == kept

    run_for_minutes(scenario)
