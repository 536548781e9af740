"""Counts the events after a position, page by page."""

from collections.abc import Awaitable, Callable

from eventhub.events.event import EventCount, HistoryPage, Start
from eventhub.filters.event_filter import EventFilter
from eventhub.hub.filtered_reading import select_from

FILTERED_PAGES = 10
"""Pages of `most` events that the count of a filter looks at."""

ReadPage = Callable[[Start, int], Awaitable[HistoryPage]]


async def count_events(read: ReadPage, since: Start, most: int) -> EventCount:
    """Count the events after `since`, up to `most`. Raises what `read` raises."""
    page = await read(since, most + 1)
    start, lost, found = page.start, page.lost, len(page.events)
    while page.reached != page.end and found <= most:
        page = await read(page.following or page.reached, most + 1 - found)
        if page.lost:  # what was counted before has expired, or its log is gone
            start, lost, found = page.start, page.lost, 0
        found += len(page.events)
    return EventCount(min(found, most), found > most, start, page.end, lost)


async def count_matching(
    read: ReadPage, since: Start, most: int, filter_: EventFilter
) -> EventCount:
    """Count those that match, up to `most`, on at most FILTERED_PAGES pages. Raises InvalidFilter.

    `more` also if there are pages left.
    """
    page = await read(since, most)
    start, lost = page.start, page.lost
    found = len((await select_from(filter_, page, most)).events)
    for _ in range(FILTERED_PAGES - 1):
        if page.reached == page.end or found > most:
            break
        page = await read(page.following or page.reached, most)
        if page.lost:
            start, lost, found = page.start, page.lost, 0
        found += len((await select_from(filter_, page, most)).events)
    more = found > most or page.reached != page.end
    return EventCount(min(found, most), more, start, page.end, lost)
