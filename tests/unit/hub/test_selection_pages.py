"""hub/selection_pages.py: pages have every event of every channel once, in order, or a gap."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from random import Random

import pytest

from eventhub.brokers.memory import MemoryBroker
from eventhub.common.channel_selection import ChannelSelection
from eventhub.common.faults import Faults
from eventhub.config.loader import channel_types
from eventhub.config.settings import Settings
from eventhub.delivery.pattern_cursor import parse_pattern_cursor
from eventhub.errors import TooManySubscriptions
from eventhub.events.channel_types import Retention
from eventhub.events.event import Event, HistoryPage, NewEvent, Start
from eventhub.filters.event_filter import EventFilter
from eventhub.filters.registry import Filters
from eventhub.hub.cursor_journals import CursorJournals
from eventhub.hub.selection_pages import READS_AT_ONCE, AskedPage, SelectionPage, SelectionPages
from eventhub.hub.tasks import Tasks
from eventhub.server.streams.selection_begin import begin_of
from tests.harness.clock import Clock

TYPES = channel_types(
    Settings(channels={"logs": {"payload": "json"}, "chat": {}, "orders": {"key": "/id"}}),
    Path(),
)


class Broker(MemoryBroker):
    """Counts the pages that are read of channels."""

    def __init__(self, clock: Clock, kept: int) -> None:
        super().__init__(lambda _: Retention(kept, None), clock)
        self.read: list[str] = []

    async def history(self, channel: str, since: Start, limit: int) -> HistoryPage:
        if not channel.startswith("_"):
            self.read.append(channel)
        return await super().history(channel, since, limit)


class World:
    """A broker, and a client that reads page after page and says what it misses."""

    def __init__(self, kept: int = 100_000) -> None:
        self.clock = Clock()
        self.broker = Broker(self.clock, kept)
        self.published: dict[str, list[int]] = defaultdict(list)
        self.got: dict[str, list[int]] = defaultdict(list)
        self.since = "earliest"
        self.journals: CursorJournals
        self.filters = Filters()

    async def publish(self, *channels: str) -> None:
        for channel in channels:
            number = len(self.published[channel]) + 1
            self.published[channel].append(number)
            event = NewEvent(channel, b'{"n":%d}' % number, self.clock())
            await self.broker.publish([event])

    async def read(
        self,
        limit: int = 1000,
        *,
        selection: Iterable[str] = ("logs.>",),
        filter_: EventFilter | None = None,
        most: int = 1000,
        channels: int = 10_000,
    ) -> SelectionPage:
        named = ChannelSelection.of(*selection)
        begin = await begin_of(named, self.since, None, self.journals)
        after = ""
        if self.since.startswith("*"):
            after = [*parse_pattern_cursor(self.since, "since").moved, ""][-2:][0]
        asked = AskedPage(named, begin.since, after, limit, most, channels, filter_)
        cursor = begin.cursor(named.text, self.journals)
        page = await SelectionPages(TYPES, self.broker).read(asked, cursor, self.clock())
        self.since = str(page.cursor)
        await self.journals.all_stored()
        for channel, gap in page.gaps:
            assert gap.reason == "expired"
            first = gap.before.offset
            known = self.got[channel]
            known += range(len(known) + 1, first)  # the client knows that it misses them
        for event in page.events:
            self.got[event.channel].append(number_of(event))
        assert len(page.events) <= limit
        assert len(self.since) <= 1300
        return page

    async def read_all(self, limit: int = 1000) -> int:
        """Pages until there is nothing more. Returns how many."""
        for number in range(1, 1000):
            if not (await self.read(limit)).more:
                return number
        raise AssertionError("there is always more")

    def run(self, scenario: object) -> None:
        async def main() -> None:
            tasks = Tasks(Faults())
            async with asyncio.TaskGroup() as tasks.group:
                self.journals = CursorJournals(self.broker, tasks)
                await scenario(self)  # type: ignore[operator]

        asyncio.run(main())


def number_of(event: Event) -> int:
    return int(event.data.strip(b'{}"n:'))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kept", [100_000, 5])
def test_pages_have_each_event_once_and_in_order_however_they_interleave(
    seed: int, kept: int
) -> None:
    chance = Random(seed)
    names = [f"logs.greenhouse.{number}" for number in range(chance.choice([3, 20, 90]))]

    async def scenario(world: World) -> None:
        await world.read()
        for _ in range(40):
            busy = chance.choice(names)
            some = chance.choices(names, k=chance.randint(0, 30)) + [busy] * chance.randint(0, 9)
            await world.publish(*some)
            world.clock.advance(chance.choice([0, 1]))
            await world.read(chance.choice([1, 3, 10, 100]))
        await world.read_all()
        assert world.got == world.published

    World(kept).run(scenario)


def test_a_busy_channel_keeps_no_other_one_waiting() -> None:
    async def scenario(world: World) -> None:
        await world.publish(*["logs.a"] * 100, "logs.b", "logs.c")
        for _ in range(5):
            await world.publish(*["logs.a"] * 10)
            await world.read(4)
        assert (world.got["logs.b"], world.got["logs.c"]) == ([1], [1])
        assert world.got["logs.a"] == [*range(1, len(world.got["logs.a"]) + 1)]

    World().run(scenario)


def test_channels_without_news_are_not_read() -> None:
    async def scenario(world: World) -> None:
        names = [f"logs.{number}" for number in range(200)]
        await world.publish(*names)
        await world.read_all()
        world.broker.read.clear()
        await world.publish("logs.7")
        assert await world.read_all() == 1
        assert world.broker.read == ["logs.7"]
        world.broker.read.clear()
        await world.publish(*names)
        await world.read(1)
        assert len(world.broker.read) == READS_AT_ONCE, "no more are read than at once"

    World().run(scenario)


def test_a_page_is_in_order_of_time_and_each_channel_in_order_of_its_log() -> None:
    async def scenario(world: World) -> None:
        for step, channel in enumerate("abacab"):
            world.clock.advance(-30 if step == 4 else 1)  # the clock is set back
            await world.publish(f"logs.{channel}")
        page = await world.read()
        assert [event.channel[-1] for event in page.events] == ["a", "b", "b", "a", "a", "c"]

    World().run(scenario)


@pytest.mark.parametrize("since", ["latest", "-2", "1s"])
def test_channels_born_after_the_end_of_a_page_come_from_their_first_event(since: str) -> None:
    async def scenario(world: World) -> None:
        await world.publish("logs.a", "logs.a", "logs.a")
        world.clock.advance(5)
        world.since = since
        page = await world.read()
        assert len(page.events) == (2 if since == "-2" else 0)
        assert not page.more
        await world.publish(*["logs.b"] * 5, "logs.a")
        page = await world.read()
        assert sorted((event.channel, number_of(event)) for event in page.events) == [
            ("logs.a", 4),
            *[("logs.b", number) for number in range(1, 6)],
        ]

    World().run(scenario)


def test_a_filter_looks_at_a_bounded_number_of_events_and_the_cursor_moves_over_them() -> None:
    async def scenario(world: World) -> None:
        odd = world.filters.get("data.n % 10 == 0 || data.x")
        await world.publish(*["logs.a", "logs.b"] * 50)
        page = await world.read(1000, filter_=odd, most=30)
        assert page.more
        assert (len(page.events), page.failure and page.failure[1].events) == (3, 27)
        pages = 1
        while page.more:
            page, pages = await world.read(1000, filter_=odd, most=30), pages + 1
        assert pages <= 6
        assert world.got["logs.a"] == world.got["logs.b"] == [10, 20, 30, 40, 50]
        assert not (await world.read(1000, filter_=odd)).events

    World().run(scenario)


def test_several_parts_are_one_ring() -> None:
    async def scenario(world: World) -> None:
        selection = ("logs.*", "chat.a", "orders.>")
        await world.publish(*["logs.a", "chat.a", "chat.b", "orders.eu", "logs.b", "other.a"] * 3)
        while (await world.read(2, selection=selection)).more:
            pass
        del world.published["chat.b"], world.published["other.a"]
        assert world.got == world.published

    World().run(scenario)


def test_a_state_skips_channels_without_keys_and_too_many_channels_are_refused() -> None:
    async def scenario(world: World) -> None:
        await world.publish("logs.a", "logs.b", "logs.c")
        world.since = "state"
        assert not (await world.read()).events
        with pytest.raises(TooManySubscriptions, match="covers more than 2 channels"):
            await world.read(channels=2)

    World().run(scenario)
