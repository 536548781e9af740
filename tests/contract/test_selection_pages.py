"""Pages of several channels (hub/selection_pages.py), on every broker."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from eventhub.common.channel_selection import ChannelSelection
from eventhub.common.faults import Faults
from eventhub.config.loader import channel_types
from eventhub.config.settings import Settings
from eventhub.events.event import NewEvent
from eventhub.hub.cursor_journals import CursorJournals
from eventhub.hub.selection_pages import AskedPage, SelectionPage, SelectionPages
from eventhub.hub.tasks import Tasks
from eventhub.server.streams.selection_begin import begin_of
from tests.contract.conftest import Node

Start = Callable[[], AbstractAsyncContextManager[Node]]
TYPES = channel_types(
    Settings(channels={"many": {}, "few": {}, "kept": {"key": "/id"}, "keyed": {"key": "/id"}}),
    Path(),
)


class Reader:
    """A client that reads page after page of some channels."""

    def __init__(self, node: Node, *channels: str) -> None:
        self.node = node
        self.selection = ChannelSelection.of(*channels)
        self.got: dict[str, list[str]] = defaultdict(list)
        self.since = "earliest"

    async def read(self, limit: int = 100) -> SelectionPage:
        broker = self.node.broker
        begin = await begin_of(
            self.selection, self.since, None, CursorJournals(broker, Tasks(Faults()))
        )
        cursor = begin.cursor(self.selection.text, CursorJournals(broker, Tasks(Faults())))
        after = [*begin.moved, ""][-2:][0] if begin.moved else ""
        asked = AskedPage(self.selection, begin.since, after, limit, 1000, 1000)
        page = await SelectionPages(TYPES, broker).read(asked, cursor, self.node.clock())
        self.since = str(page.cursor)
        for event in page.events:
            self.got[event.channel].append(event.data.decode())
        return page


def run(start: Start, scenario: Callable[[Node], Awaitable[None]]) -> None:
    async def main() -> None:
        async with start() as node:
            await scenario(node)

    asyncio.run(main())


async def store(node: Node, *rows: tuple[str, str]) -> None:
    events = []
    for channel, data in rows:
        keyed = {"key": data} if channel.startswith("ke") else None
        events.append(NewEvent(channel, data.encode(), node.clock(), keyed))
    await node.broker.publish(events)


def test_pages_have_each_event_once_and_channels_born_later_from_their_first(start: Start) -> None:
    async def scenario(node: Node) -> None:
        reader = Reader(node, "many.>", "few.a")
        expected: dict[str, list[str]] = defaultdict(list)
        for step in range(4):
            rows = [(f"many.c{name}", str(step)) for name in range(step + 1)] + [
                ("few.a", str(step))
            ]
            for channel, data in rows:
                expected[channel].append(data)
            await store(node, *rows, ("many", "1"), ("few.b", "1"))
            await reader.read(3)
        while (await reader.read(3)).more:
            pass
        assert reader.got == expected
        last = await reader.read()
        assert (list(last.events), last.more, last.gaps) == ([], False, [])
        await store(node, *[("few.a", str(number)) for number in range(5)], ("many.new", "1"))
        page = await reader.read()
        assert [(channel, gap.reason) for channel, gap in page.gaps] == [("few.a", "expired")]
        assert reader.got["few.a"][-3:] == ["2", "3", "4"]
        assert reader.got["many.new"] == ["1"]

    run(start, scenario)


def test_a_state_is_read_in_pages_and_goes_on_with_the_log(start: Start) -> None:
    async def scenario(node: Node) -> None:
        await store(node, *[("kept.a", data) for data in ("1", "2", "3", "1", "2", "1", "1", "1")])
        await store(node, *[("keyed.b", data) for data in ("7", "8", "7")], ("many.c", "5"))
        reader = Reader(node, "*.*")
        reader.since = "state"
        while (await reader.read(2)).more:
            pass
        assert reader.got == {"kept.a": ["3", "2", "1"], "keyed.b": ["8", "7"]}
        await store(node, ("kept.a", "3"), ("keyed.b", "8"), ("many.c", "6"))
        await reader.read()
        assert reader.got["kept.a"][3:] + reader.got["keyed.b"][2:] == ["3", "8"]
        assert reader.got["many.c"] == ["6"]

    run(start, scenario)
