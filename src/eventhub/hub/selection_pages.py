"""Pages of history of several channels, such as all that fit a pattern.

The channels take turns in a ring: the parts of the selection in their order, and the channels of
each part in order of their names. A page begins with the channel after the last one of the page
before, and goes on until it is full or has gone round. So a channel with many events keeps no other
one waiting. Its cursor names where the reader stands in every channel (delivery/pattern_cursor.py).
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import accumulate
from operator import itemgetter
from typing import NamedTuple

from eventhub.brokers.base import PAGE_BYTES, Broker
from eventhub.common.channel_pattern import ChannelPattern
from eventhub.common.channel_selection import ChannelSelection
from eventhub.delivery.pattern_cursor import PatternCursor
from eventhub.delivery.pattern_subscriber import Begins, PatternSince
from eventhub.errors import EventHubError, TooManySubscriptions
from eventhub.events.channel_types import ChannelTypes
from eventhub.events.event import (
    Age,
    ChannelSummary,
    Event,
    Gap,
    HistoryPage,
    Latest,
    Position,
    Since,
    Start,
    State,
)
from eventhub.filters.event_filter import EventFilter
from eventhub.hub.filtered_reading import Failure, FilteredPage, first_of, select_from

LIST_PAGE = 1000
"""Channels in a page of the broker's list."""
READS_AT_ONCE = 8
"""Channels whose history is read at the same time."""


@dataclass(frozen=True, slots=True)
class AskedPage:
    """A page that a client asks for. `after`: the last channel of the page before, or "".

    It has at most `limit` events, of at most `most` that are looked at, from at most `most`
    channels. A selection has at most `channels` channels.
    """

    selection: ChannelSelection
    since: PatternSince
    after: str
    limit: int
    most: int
    channels: int
    filter: EventFilter | None = None

    def since_of(self, channel: str) -> Since | None:
        """Where the reader stands in a channel. None: before its first event."""
        if isinstance(self.since, Mapping):
            return self.since.get(channel, self.otherwise)
        return self.since

    @property
    def otherwise(self) -> Since | None:
        """Where it begins in channels that it has not read. None: they were born later."""
        if isinstance(self.since, Begins):
            return self.since.otherwise
        return None if isinstance(self.since, Mapping) else self.since


class SelectionPage(NamedTuple):
    """Events in the order of their times; those of one channel in the order of its log.

    `more`: some channels may have further events. `failure` has the channel of its event.
    """

    events: Sequence[Event]
    gaps: Sequence[tuple[str, Gap]]
    cursor: PatternCursor
    more: bool
    failure: tuple[str, Failure] | None


class SelectionPages:
    """Reads pages for clients of this node."""

    def __init__(self, types: ChannelTypes, broker: Broker) -> None:
        self._types = types
        self._broker = broker

    async def read(self, asked: AskedPage, cursor: PatternCursor, now: int) -> SelectionPage:
        """The page at `now`, in milliseconds. `cursor` stands at its `since`.

        Raises TooManySubscriptions, InvalidFilter, BrokerUnavailable.
        """
        page = _Filling(asked, cursor)
        due: list[tuple[str, Start]] = []
        async with aclosing(self._ring(asked)) as ring:
            async for summary in ring:
                since = self._start(asked, summary, now)
                if since is None:
                    page.stand(summary)
                    continue
                due.append((summary.channel, since))
                if len(due) == READS_AT_ONCE:
                    await self._fill(page, due)
                    due = []
                if page.full:
                    return page.done()
        await self._fill(page, due)
        return page.done()

    def _start(self, asked: AskedPage, summary: ChannelSummary, now: int) -> Start | None:
        """Where the reader begins in a channel. None: at its head."""
        since = asked.since_of(summary.channel)
        if since is None:
            return Position(summary.head.epoch, 0)
        if isinstance(since, Latest) or since == summary.head:
            return None
        if isinstance(since, Age) and summary.time < now - since.milliseconds:
            return None
        if isinstance(since, State) and self._types.resolve(summary.channel).key is None:
            return None
        return since

    async def _fill(self, page: "_Filling", due: Sequence[tuple[str, Start]]) -> None:
        read = self._broker.history
        found = await asyncio.gather(*[read(name, since, page.room) for name, since in due])
        for (channel, since), history in zip(due, found, strict=True):
            if page.full:
                return  # the next page reads it again
            await page.add(channel, since, history)

    async def _ring(self, asked: AskedPage) -> AsyncGenerator[ChannelSummary]:
        parts, after = asked.selection.parts, asked.after
        first = next((number for number, part in enumerate(parts) if part.covers(after)), 0)
        count = 0
        for number in range(len(parts) + bool(after)):
            part = parts[(first + number) % len(parts)]
            async for summary in self._listed(part, "" if number else after):
                if number == len(parts) and summary.channel > after:
                    return
                if (count := count + 1) > asked.channels:
                    raise TooManySubscriptions(
                        f"{asked.selection.text!r} covers more than {asked.channels} channels; "
                        "at most that many are allowed (limits.pattern_channels)"
                    ).with_limit("pattern_channels")
                yield summary

    async def _listed(self, part: ChannelPattern, after: str) -> AsyncGenerator[ChannelSummary]:
        following: str | None = after
        while following is not None:
            page = await self._broker.channels(part, following, LIST_PAGE)
            for summary in page.channels:
                if self._is_declared(summary.channel):
                    yield summary
            following = page.next

    def _is_declared(self, channel: str) -> bool:
        try:
            self._types.resolve(channel)
        except EventHubError:  # another node declares its type, not this one
            return False
        return True


class _Filling:
    """A page that is being filled."""

    def __init__(self, asked: AskedPage, cursor: PatternCursor) -> None:
        self.full = False
        self._asked = asked
        self._cursor = cursor
        self._last = ""
        self._stands: dict[str, str] = {}
        self._rows: list[tuple[int, Event]] = []
        self._gaps: list[tuple[str, Gap]] = []
        self._failure: tuple[str, Failure] | None = None
        self._looked = self._bytes = self._reads = 0

    @property
    def room(self) -> int:
        """Events that may be read of each channel."""
        asked = self._asked
        if asked.filter is None:
            return asked.limit - len(self._rows)
        return asked.most - self._looked

    def stand(self, summary: ChannelSummary) -> None:
        """The reader stands at the head of a channel."""
        if self._asked.since_of(summary.channel) != summary.head:
            self._stands[summary.channel] = str(summary.head)

    async def add(self, channel: str, since: Start, history: HistoryPage) -> None:
        """What was read of the next channel of the ring. Raises InvalidFilter."""
        asked = self._asked
        found = await self._selected(history)
        self._last = channel
        self._stands[channel] = str(found.following)
        if history.lost:
            self._gaps.append((channel, Gap.of(since, history)))
        if found.failure is not None:
            before, of_channel = self._failure, found.failure
            first = (channel, of_channel) if before is None else before
            events = of_channel.events + (0 if before is None else before[1].events)
            self._failure = first[0], first[1]._replace(events=events)
        times = accumulate([event.time for event in found.events], max)
        self._rows += zip(times, found.events, strict=True)
        self._looked += len(history.events)
        self._bytes += sum([len(event.data) for event in found.events])
        self._reads += 1
        self.full = (
            found.following != history.end
            or len(self._rows) >= asked.limit
            or self._bytes >= PAGE_BYTES
            or max(self._looked, self._reads) >= asked.most
        )

    async def _selected(self, history: HistoryPage) -> FilteredPage:
        asked, left = self._asked, self._asked.limit - len(self._rows)
        if asked.filter is None:
            return first_of(history, left)
        return await select_from(asked.filter, history, left)

    def done(self) -> SelectionPage:
        """The page. If it has gone round the ring, all channels have begun."""
        cursor, since = self._cursor, self._asked.since
        if not self.full and self._asked.otherwise is not None:
            known = since if isinstance(since, Mapping) else {}
            cursor = cursor.completed({name: str(at) for name, at in known.items()})
        cursor.move_all(self._stands.items())
        if self.full:
            cursor.end_with(self._last, self._stands[self._last])
        self._rows.sort(key=itemgetter(0))  # stable
        events = [event for _, event in self._rows]
        return SelectionPage(events, self._gaps, cursor, self.full, self._failure)
