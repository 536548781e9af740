"""filtered_reading.py and counting.py: pages and counts of the events that match a filter."""

import asyncio

import pytest

from eventhub.events.event import Event, HistoryPage, Position, Start, State
from eventhub.filters.registry import Filters
from eventhub.hub.counting import count_matching
from eventhub.hub.filtered_reading import FilteredPage, select_from

END = Position("e", 20)


def page(*offsets: int, following: State | None = None, start: int = 0) -> HistoryPage:
    events = [Event("a.a", "e", offset, offset - 1, 0, b"%d" % offset) for offset in offsets]
    return HistoryPage(Position("e", start), events, END, following=following)


def select(page: HistoryPage, where: str, limit: int) -> FilteredPage:
    return asyncio.run(select_from(Filters().get(where), page, limit))


@pytest.mark.parametrize(
    ("limit", "found", "following"),
    [(1, [2], "e-2"), (2, [2, 4], "e-4"), (3, [2, 4, 6], "e-6"), (4, [2, 4, 6], "e-6")],
)
def test_a_page_ends_at_its_last_event_or_where_it_has_enough(
    limit: int, found: list[int], following: str
) -> None:
    selected = select(page(1, 2, 3, 4, 5, 6), "data % 2 == 0", limit)
    assert [event.offset for event in selected.events] == found
    assert str(selected.following) == following


@pytest.mark.parametrize(
    ("limit", "found", "following"),
    [(1, [2], "state:e-2:9"), (2, [2, 4], "state:e-8:9"), (3, [2, 4], "state:e-8:9")],
)
def test_a_page_of_a_state_that_has_enough_leaves_out_no_later_key(
    limit: int, found: list[int], following: str
) -> None:
    of_state = page(1, 2, 4, following=State(Position("e", 8), 9))
    selected = select(of_state, "data % 2 == 0", limit)
    assert [event.offset for event in selected.events] == found
    assert str(selected.following) == following


def test_the_last_page_of_a_state_ends_at_the_end_of_the_log() -> None:
    selected = select(page(1, 2, 3, following=State(END)), "data == 2", 5)
    assert selected.following == END


def test_a_count_of_a_state_goes_on_with_the_state() -> None:
    asked: list[Start] = []

    async def read(since: Start, limit: int) -> HistoryPage:
        asked.append(since)
        if len(asked) == 1:
            return page(1, 2, following=State(Position("e", 2), 9))
        return page(18, 20, following=State(END, 9), start=2)

    counted = asyncio.run(count_matching(read, State(), 2, Filters().get("data >= 2")))
    assert (counted.events, counted.more) == (2, True)
    assert asked == [State(), State(Position("e", 2), 9)]
