"""hub/selection_pages.py: what ends a page, where the next one begins, and what is left out."""

import pytest

from eventhub.hub import selection_pages
from tests.unit.hub.test_selection_pages import World, number_of

NAMES = [f"logs.{number}" for number in range(6)]


def test_a_list_of_several_pages_has_all_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection_pages, "LIST_PAGE", 2)

    async def scenario(world: World) -> None:
        await world.publish(*NAMES)
        await world.read_all()
        assert world.got == world.published

    World().run(scenario)


def test_channels_of_types_that_this_node_does_not_have_are_left_out() -> None:
    async def scenario(world: World) -> None:
        await world.publish("logs.a", "other.a", "logs.b")
        page = await world.read(selection=(">",))
        assert [event.channel for event in page.events] == ["logs.a", "logs.b"]

    World().run(scenario)


def test_as_many_channels_are_covered_as_are_allowed() -> None:
    async def scenario(world: World) -> None:
        await world.publish(*NAMES)
        assert len((await world.read(channels=len(NAMES))).events) == len(NAMES)

    World().run(scenario)


def test_a_page_without_news_writes_no_record_of_a_cursor() -> None:
    async def scenario(world: World) -> None:
        await world.publish(*(f"logs.{number}" for number in range(200)))
        await world.read_all()
        added, cursor = world.journals.added, world.since
        await world.read_all()
        assert (world.journals.added, world.since) == (added, cursor)

    World().run(scenario)


def test_failures_of_several_channels_are_counted_with_the_first_one() -> None:
    async def scenario(world: World) -> None:
        await world.publish(*["logs.a", "logs.b"] * 3)
        page = await world.read(filter_=world.filters.get("data.x"))
        assert page.failure is not None
        channel, failure = page.failure
        assert (channel, failure.events) == ("logs.a", 6)

    World().run(scenario)


def test_a_page_ends_when_its_events_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection_pages, "PAGE_BYTES", 20)

    async def scenario(world: World) -> None:
        await world.publish(*NAMES)
        page = await world.read()
        assert (len(page.events), page.more) == (3, True), "seven bytes each"
        await world.read_all()
        assert world.got == world.published

    World().run(scenario)


def test_a_page_ends_when_enough_events_were_looked_at() -> None:
    async def scenario(world: World) -> None:
        await world.publish(*["logs.a"] * 10, "logs.b")
        page = await world.read(most=5)
        assert {event.channel for event in page.events} == {"logs.a"}
        assert page.more
        await world.read_all()
        assert world.got == world.published

    World().run(scenario)


def test_channels_that_a_full_page_has_not_reached_begin_where_since_says() -> None:
    async def scenario(world: World) -> None:
        await world.publish(*["logs.a", "logs.b", "logs.c"] * 3)
        world.since = "-1"
        while (page := await world.read(1)).more:
            assert [number_of(event) for event in page.events] == [3]
        assert world.got == {"logs.a": [3], "logs.b": [3], "logs.c": [3]}

    World().run(scenario)


def test_busy_channels_take_turns() -> None:
    async def scenario(world: World) -> None:
        await world.publish(*["logs.a", "logs.b", "logs.c"] * 20)
        for _ in range(9):
            await world.read(2)
        assert {channel: len(got) for channel, got in world.got.items()} == {
            "logs.a": 6,
            "logs.b": 6,
            "logs.c": 6,
        }

    World().run(scenario)
