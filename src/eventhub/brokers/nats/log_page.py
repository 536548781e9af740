"""Pages of a channel's history.

A position is proven by its own message: the message is read first, and must be there with the
right stamp. Otherwise the position has expired, or the log was reset.
"""

from collections.abc import Iterator

from eventhub.brokers.base import PAGE_BYTES
from eventhub.brokers.nats.log import NatsLog, StreamState
from eventhub.brokers.nats.message import STAMPS, StreamMessage, offset_of
from eventhub.events.event import Age, Earliest, Event, HistoryPage, Last, Position


async def read_page(
    log: NatsLog,
    since: Position | Earliest | Last | Age,
    limit: int,
    now: int,
    announced: Position | None,
) -> HistoryPage:
    """A page of a log. Raises JetStreamError, BrokerUnavailable.

    `announced` is the position of this node's announcements: an empty channel's own position.
    """
    if (newest := await log.newest()) is None:
        state = await log.state()
        if (newest := await log.newest()) is None:  # none was stored before the state was read
            return _empty_page(log.epoch, since, state, announced)
    age = log.retention.age
    return await LogPage(log, newest, limit, 0 if age is None else now - age).read(since, now)


def _empty_page(
    epoch: str,
    since: Position | Earliest | Last | Age,
    state: StreamState,
    announced: Position | None,
) -> HistoryPage:
    here = announced or Position(epoch, offset_of(state.last + 1, 0))
    lost = None
    if isinstance(since, Position) and since != here:
        sequence, stamp = divmod(since.offset, STAMPS)
        if since.epoch != epoch or since.offset > offset_of(state.last + 1, 0):
            lost = "reset"
        elif state.may_have_lost(sequence) if stamp == 0 else state.first != sequence + 1:
            lost = "expired"
    return HistoryPage(here, [], here, lost)


class LogPage:
    """One page of a log that is not empty, up to its newest message.

    Events before the time `oldest` have expired.
    """

    def __init__(self, log: NatsLog, newest: StreamMessage, limit: int, oldest: int) -> None:
        self._log = log
        self._newest = newest
        self._limit = limit
        self._oldest = oldest
        self._end = Position(log.epoch, newest.offset)
        self._retained_events = log.retention.events

    async def read(self, since: Position | Earliest | Last | Age, now: int) -> HistoryPage:
        """The page for `since`."""
        match since:
            case Position():
                return await self._from_position(since)
            case Last():
                return await self._last(min(since.count, self._retained_events))
            case Age():
                self._oldest = max(self._oldest, now - since.milliseconds)
        return await self._earliest()

    async def _from_position(self, since: Position) -> HistoryPage:
        if since == self._end:
            return self._page(since.offset, [])
        if since.epoch != self._end.epoch or since.offset > self._end.offset:
            return await self._earliest("reset")
        sequence, stamp = divmod(since.offset, STAMPS)
        if stamp == 0 and (await self._log.state()).may_have_lost(sequence):
            return await self._earliest("expired")
        async with self._log.reader(sequence) as reader:
            own = 1 if stamp else 0
            found = await self._log.pull(reader, own, self._limit, self._newest.sequence)
        if stamp and (not found or found[0].sequence != sequence):
            return await self._earliest("expired")
        if stamp and found[0].offset != since.offset:
            return await self._earliest("reset")
        after = found[own:]
        if reader.total - own > self._retained_events or (after and after[0].time < self._oldest):
            return await self._earliest("expired")
        return self._page(since.offset, after)

    async def _earliest(self, lost: str | None = None) -> HistoryPage:
        if self._retained_events == 0 or self._newest.time < self._oldest:
            return self._page(self._end.offset, [], lost)
        async with self._log.reader(1) as reader:
            skip = max(0, reader.total - self._retained_events)
            found = await self._log.pull(reader, skip, self._limit, self._newest.sequence)
        return await self._without_expired(found, skip, lost)

    async def _last(self, count: int) -> HistoryPage:
        """Look back until one message more than `count` is found.

        The number found so far decides how far to look back next.
        """
        if count == 0:
            return self._page(self._end.offset, [])
        width, newest = count + 1, self._newest.sequence
        while True:
            begin = max(1, newest - width + 1)
            async with self._log.reader(begin) as reader:
                if reader.total > count or begin == 1:
                    skip = max(0, reader.total - count)
                    found = await self._log.pull(reader, skip, self._limit, newest)
                    return await self._without_expired(found, skip, None)
            width *= max(2, min(64, 3 * count // (2 * max(reader.total, 1))))

    async def _without_expired(
        self, found: list[StreamMessage], skip: int, lost: str | None
    ) -> HistoryPage:
        """A page of messages, without the first `skip` and without those that have expired."""
        if len(found) <= skip:  # trimmed meanwhile
            return self._page(self._end.offset, [], lost)
        if found[skip].time < self._oldest:
            before = await self._newest_expired(found[skip])
            async with self._log.reader(before.sequence) as reader:
                found = await self._log.pull(reader, 1, self._limit, self._newest.sequence)
            skip = 1 if found and found[0].sequence == before.sequence else 0
            if len(found) <= skip:
                return self._page(self._end.offset, [], lost)
        start = found[skip - 1].offset if skip else offset_of(found[0].sequence, 0)
        return self._page(start, found[skip:], lost)

    async def _newest_expired(self, low: StreamMessage) -> StreamMessage:
        """The message before the oldest one that has not expired, found by binary search.

        `low` has expired.
        """
        if self._newest.time < self._oldest:
            return self._newest
        high = self._newest.sequence
        while low.sequence < high:
            middle = (low.sequence + high) // 2
            found = await self._log.following(middle)
            if found is None or found.time >= self._oldest:
                high = middle
            else:
                low = found
        return low

    def _page(self, start: int, found: list[StreamMessage], lost: str | None = None) -> HistoryPage:
        """The page of the messages that follow offset `start`."""
        begin = Position(self._end.epoch, start)
        return self._log.page(begin, self._rows(start, found), self._end, lost)

    def _rows(self, start: int, found: list[StreamMessage]) -> Iterator[Event | int]:
        previous, size = start, 0
        for stored in found[: self._limit]:
            if size >= PAGE_BYTES:
                break
            yield self._log.event(stored, previous) if stored.readable else stored.offset
            previous = stored.offset
            size += len(stored.data)
