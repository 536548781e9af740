"""Pages of the events that match a filter. Many events are looked at in turns of the loop."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from eventhub.delivery.filtering import BATCH_EVENTS
from eventhub.events.event import Event, HistoryPage, Position, State
from eventhub.filters.event_filter import EventFilter, FilterFailed


class Failure(NamedTuple):
    """Events on which a filter failed: how many, the first one, and why it failed there."""

    events: int
    id: str
    reason: str


class FilteredPage(NamedTuple):
    """The matching events of a page. `reached`: every event up to there has been looked at."""

    page: HistoryPage
    events: Sequence[Event]
    reached: Position
    failure: Failure | None

    @property
    def following(self) -> Position | State:
        """The `since` of the next page. The end of the log if this is the last one."""
        if self.reached == self.page.end or self.page.following is None:
            return self.reached
        if self.reached == self.page.reached:
            return self.page.following
        return replace(self.page.following, position=self.reached)


def first_of(page: HistoryPage, limit: int) -> FilteredPage:
    """The first events of a page, at most `limit`, without a filter."""
    if len(page.events) <= limit:
        return FilteredPage(page, page.events, page.reached, None)
    events = page.events[:limit]
    return FilteredPage(page, events, events[-1].position, None)


async def select_from(filter_: EventFilter, page: HistoryPage, limit: int) -> FilteredPage:
    """The first events of a page that match, at most `limit`. Raises InvalidFilter."""
    found: list[Event] = []
    failure: Failure | None = None
    for number, event in enumerate(page.events, 1):
        try:
            if filter_.matches(event):
                found.append(event)
        except FilterFailed as error:
            first = failure or Failure(0, str(event.position), str(error))
            failure = first._replace(events=first.events + 1)
        if len(found) == limit and number < len(page.events):
            return FilteredPage(page, found, event.position, failure)
        if number % BATCH_EVENTS == 0:
            await asyncio.sleep(0)
    return FilteredPage(page, found, page.reached, failure)
