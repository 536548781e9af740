"""Counts the events after a position, page by page."""

from collections.abc import Awaitable, Callable

from eventhub.events.event import EventCount, HistoryPage, Start

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
