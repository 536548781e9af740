"""hub/counting.py: how many events follow a position, over pages."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventhub.events.event import Event, EventCount, HistoryPage, Position, Start
from eventhub.filters.registry import Filters
from eventhub.hub import counting
from eventhub.hub.counting import count_events, count_matching
from tests.harness.virtual_time import in_virtual_time


def at(offset: int) -> Position:
    return Position("e", offset)


class Log:
    """A log of `size` events, of which a page has at most `most`."""

    def __init__(self, size: int, most: int = 1000) -> None:
        self.size, self.most = size, most
        self.asked: list[tuple[Start, int]] = []
        self.expires: dict[int, int] = {}
        """Before this call, events up to an offset expire."""
        self._first = 0

    async def read(self, since: Start, limit: int) -> HistoryPage:
        self.asked.append((since, limit))
        self._first = self.expires.get(len(self.asked), self._first)
        assert isinstance(since, Position)
        begin = max(since.offset, self._first)
        last = min(self.size, begin + min(limit, self.most))
        events: Sequence[Any] = [
            Event("a", "e", offset, offset - 1, 0, b"%d" % offset, None)
            for offset in range(begin + 1, last + 1)
        ]
        lost = "expired" if begin > since.offset else None
        return HistoryPage(at(begin), events, at(self.size), lost)


@pytest.mark.parametrize("most_of_a_page", [1, 2, 1000])
@pytest.mark.parametrize(("size", "most"), [(0, 5), (4, 5), (5, 5), (6, 5), (60, 5), (3, 1)])
@in_virtual_time
async def test_events_are_counted_up_to_a_number(size: int, most: int, most_of_a_page: int) -> None:
    log = Log(size, most_of_a_page)
    found = await count_events(log.read, at(0), most)
    assert found == EventCount(min(size, most), size > most, at(0), at(size), None)
    assert sum(limit for _, limit in log.asked[:1]) == most + 1
    assert len(log.asked) <= most + 1


@in_virtual_time
async def test_what_expires_while_it_is_counted_is_not_counted() -> None:
    log = Log(6, 2)
    log.expires = {2: 3}
    assert await count_events(log.read, at(0), 10) == EventCount(
        3, more=False, start=at(3), end=at(6), lost="expired"
    )
    log = Log(6, 2)
    log.expires = {1: 1}
    assert await count_events(log.read, at(0), 10) == EventCount(
        5, more=False, start=at(1), end=at(6), lost="expired"
    )


@given(
    size=st.integers(0, 40),
    most=st.integers(1, 45),
    most_of_a_page=st.integers(1, 12),
    expired=st.lists(st.integers(0, 40), max_size=8),
)
def test_the_count_is_that_of_the_events_after_the_position_that_it_names(
    size: int, most: int, most_of_a_page: int, expired: list[int]
) -> None:
    log = Log(size, most_of_a_page)
    log.expires = dict(enumerate(sorted(min(each, size) for each in expired), 1))
    found = asyncio.run(count_events(log.read, at(0), most))
    assert isinstance(found.start, Position)
    left = size - found.start.offset
    lost = None if found.start == at(0) else "expired"
    assert found == EventCount(min(left, most), left > most, found.start, at(size), lost)


ODD = Filters().get("data % 2 == 1")


@pytest.mark.parametrize("most_of_a_page", [1, 2, 1000])
@pytest.mark.parametrize(("size", "most"), [(0, 5), (7, 5), (9, 5), (10, 5), (11, 5), (3, 2)])
@in_virtual_time
async def test_matching_events_are_counted_up_to_a_number(
    size: int, most: int, most_of_a_page: int
) -> None:
    found = await count_matching(Log(size, most_of_a_page).read, at(0), most, ODD)
    matching = (size + 1) // 2
    looked_at = min(size, counting.FILTERED_PAGES * min(most_of_a_page, most))
    expected = min((looked_at + 1) // 2, most)
    assert found.events == expected
    assert found.more == (matching > expected or looked_at < size)


@in_virtual_time
async def test_matching_events_that_expire_meanwhile_are_not_counted() -> None:
    log = Log(8, 2)
    log.expires = {3: 5}
    found = await count_matching(log.read, at(0), 10, ODD)
    assert found == EventCount(1, more=False, start=at(5), end=at(8), lost="expired")


@in_virtual_time
async def test_a_filter_looks_at_so_many_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "FILTERED_PAGES", 3)
    log = Log(100, 2)
    found = await count_matching(log.read, at(0), 10, ODD)
    assert found == EventCount(3, more=True, start=at(0), end=at(100), lost=None)
    assert log.asked == [(at(0), 10), (at(2), 10), (at(4), 10)]
