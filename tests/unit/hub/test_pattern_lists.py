"""hub/patterns.py: when the list of channels is read, and which channels of it get feeds."""

import asyncio

import pytest

from eventhub.delivery.pattern_audience import PatternAudience
from eventhub.hub import patterns as patterns_module
from eventhub.hub.announcements import Birth
from eventhub.hub.patterns import LIST_SECONDS, RETRY_SECONDS
from tests.harness.virtual_time import turns
from tests.unit.hub.hub_node import Node
from tests.unit.hub.pattern_lists import Lists, audience_of, away, run_for_minutes
from tests.unit.hub.test_births import begins
from tests.unit.hub.test_patterns import Reader


def test_the_list_is_read_again_after_its_time_and_cursors_are_renewed_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    renewed: list[float] = []
    monkeypatch.setattr(PatternAudience, "renew_cursors", lambda _, now: renewed.append(now))

    async def scenario(node: Node) -> None:
        lists = Lists(node)
        Reader(node, "drop.*")
        begin = asyncio.get_running_loop().time()
        await asyncio.sleep(2.5 * LIST_SECONDS)
        assert lists.calls == ["drop.*"] * 3
        assert renewed == [begin, begin + LIST_SECONDS, begin + 2 * LIST_SECONDS]

    run_for_minutes(scenario)


def test_a_list_that_cannot_be_read_is_read_again_soon() -> None:
    async def scenario(node: Node) -> None:
        lists = Lists(node)
        lists.failure = away()
        reader = Reader(node, "drop.*")
        await turns()
        assert not reader.ready
        await asyncio.sleep(1.5 * RETRY_SECONDS)
        assert reader.ready
        assert len(lists.calls) == 2

    run_for_minutes(scenario)


def test_all_pages_of_the_list_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns_module, "LIST_PAGE", 2)

    async def scenario(node: Node) -> None:
        lists = Lists(node, "drop.a", "drop.b", "drop.c", "drop.d", "drop.e", "latest.f")
        Reader(node, "drop.*")
        await turns()
        assert list(audience_of(node).feeds) == ["drop.a", "drop.b", "drop.c", "drop.d", "drop.e"]
        assert lists.limits == [2, 2, 2]

    run_for_minutes(scenario)


def test_a_channel_that_is_first_seen_in_a_later_list_begins_with_its_first_event() -> None:
    async def scenario(node: Node) -> None:
        lists = Lists(node)
        Reader(node, "drop.*")
        await turns()
        found = begins(node)
        lists.channels = ["drop.a"]
        await asyncio.sleep(LIST_SECONDS)
        assert found == [Birth.CERTAIN]

    run_for_minutes(scenario)


def test_a_pattern_takes_the_feeds_that_are_there_and_fit() -> None:
    async def scenario(node: Node) -> None:
        node.subscribe("drop.a")
        node.subscribe("latest.a")
        Lists(node)
        Reader(node, "drop.*")
        await turns()
        assert list(audience_of(node).feeds) == ["drop.a"]

    run_for_minutes(scenario)


def test_listed_channels_count_though_they_had_feeds_before() -> None:
    async def scenario(node: Node) -> None:
        node.hub.patterns.most_channels = 1
        Lists(node, "drop.a", "drop.b")
        node.subscribe("drop.a")
        node.subscribe("drop.b")
        reader = Reader(node, "drop.*")
        await turns()
        assert reader.failed == ["too_many_subscriptions"]
        assert not list(node.hub.patterns)

    run_for_minutes(scenario)


@pytest.mark.parametrize("failure", [None, away()], ids=["read", "away"])
def test_a_pattern_that_closes_while_its_list_is_read_opens_no_feed_and_leaves_no_task(
    failure: Exception | None,
) -> None:
    async def scenario(node: Node) -> None:
        lists = Lists(node, "drop.a", "drop.b")
        await turns()
        tasks = len(asyncio.all_tasks())
        reader = Reader(node, "drop.*")

        async def leave() -> None:
            node.hub.unsubscribe(reader.subscriber)
            lists.failure = failure

        lists.meanwhile = leave
        await turns()
        assert not list(node.hub.feeds)
        assert len(asyncio.all_tasks()) == tasks
        assert lists.calls == ["drop.*"]

    run_for_minutes(scenario)


def test_a_pattern_that_closes_between_two_readings_leaves_no_task() -> None:
    async def scenario(node: Node) -> None:
        lists = Lists(node)
        await turns()
        tasks = len(asyncio.all_tasks())
        reader = Reader(node, "drop.*")
        await turns()
        node.hub.unsubscribe(reader.subscriber)
        await turns()
        assert len(asyncio.all_tasks()) == tasks
        assert len(lists.calls) == 1

    run_for_minutes(scenario)


def test_a_pattern_whose_list_cannot_be_read_at_all_ends_its_readers() -> None:
    async def scenario(node: Node) -> None:
        lists = Lists(node)
        lists.failure = ZeroDivisionError()
        reader, other = Reader(node, "drop.*"), Reader(node, "latest.*")
        await turns()
        assert reader.failed == ["internal"]
        assert [audience.channel for audience in node.hub.patterns] == ["latest.*"]
        assert not other.failed
        assert node.metrics.faults.counts.pop("patterns") == 1

    run_for_minutes(scenario)


def test_a_pattern_that_cannot_be_written_to_ends_its_readers() -> None:
    async def scenario(node: Node) -> None:
        Lists(node, "drop.a")
        readers = [Reader(node, "drop." + "*") for _ in range(2)]
        await turns()
        node.hub.feeds.audience_failed("latest.*")  # it has closed meanwhile
        node.hub.feeds.audience_failed("drop.*")
        assert not list(node.hub.patterns), "who comes now gets another audience"
        await turns()
        assert [reader.failed for reader in readers] == [["internal"]] * 2
        assert not list(node.hub.patterns)
        assert not list(node.hub.feeds)

    run_for_minutes(scenario)


def test_a_channel_that_cannot_be_served_ends_the_readers_of_its_patterns() -> None:
    async def scenario(node: Node) -> None:
        Lists(node, "drop.a", "latest.a")
        reader, other = Reader(node, "drop.*"), Reader(node, "latest.*")
        await turns()
        node.hub.feeds.give_up("drop.a")
        await turns()
        assert (reader.failed, other.failed) == (["internal"], [])

    run_for_minutes(scenario)


def test_the_readers_of_a_pattern_share_its_text() -> None:
    async def scenario(node: Node) -> None:
        texts = ["".join(["drop", ".*"]) for _ in range(2)]
        assert texts[0] is not texts[1]
        first, second = (Reader(node, text) for text in texts)
        assert first.subscriber.channel is second.subscriber.channel

    run_for_minutes(scenario)
