"""One channel's log in memory, its retention, and pages of it."""

from collections.abc import Sequence
from operator import itemgetter

from eventhub.brokers.base import BIRTH_SECONDS, PAGE_BYTES
from eventhub.brokers.retained import RetainedEvents
from eventhub.events.channel_types import Retention
from eventhub.events.event import Age, Earliest, Event, HistoryPage, Last, Position

EVENT_OVERHEAD = 250
"""Bytes an event costs beyond its data."""

_DATA = itemgetter(Event._fields.index("data"))  # twice as fast as the name


class Ledger:
    """The bytes that all logs hold together."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0


class MemoryLog:
    """One channel's events. Those up to offset `trimmed` are gone, `tip` is the newest offset."""

    __slots__ = ("bytes", "events", "ledger", "noticed", "retention", "tip", "trimmed")

    def __init__(self, retention: Retention, floor: int, ledger: Ledger) -> None:
        self.events = RetainedEvents()
        self.ledger = ledger
        self.retention = retention
        self.tip = self.trimmed = floor
        self.bytes = 0
        self.noticed: int | None = None
        """For types that keep one event or none: when `is_birth` last noticed one."""

    def extend(self, events: Sequence[Event]) -> None:
        """Append events with consecutive offsets."""
        self.tip = events[-1].offset
        if self.retention.events == 0:
            self.trimmed = self.tip
            return
        self.events.extend(events)
        size = _size(events)
        self.bytes += size
        self.ledger.bytes += size
        self.trim(len(self.events) - self.retention.events)
        self.expire(events[-1].time)

    def append(self, event: Event) -> None:
        """Append the event with the next offset."""
        self.tip = event.offset
        if self.retention.events == 0:
            self.trimmed = self.tip
            return
        self.events.append(event)
        size = len(event.data) + EVENT_OVERHEAD
        self.bytes += size
        self.ledger.bytes += size
        if len(self.events) > self.retention.events:
            self.trim(1)
        self.expire(event.time)

    def trim(self, count: int) -> None:
        """Forget the `count` oldest events."""
        if count <= 0:
            return
        gone = self.events.pop_oldest(count)
        self.trimmed = gone[-1].offset
        size = _size(gone)
        self.bytes -= size
        self.ledger.bytes -= size
        if not self.bytes:
            self.noticed = None

    def is_birth(self, time: int) -> bool:
        """Whether there were no retained events before those just added, up to this time.

        Asked when none of those before are left.
        """
        keep, before = self.retention.events, self.noticed
        if keep > 1:
            return True
        pause = self.retention.age if keep else BIRTH_SECONDS * 1000
        known = before is not None and before <= time and (pause is None or time <= before + pause)
        if keep or not known:
            self.noticed = time
        return not known

    def expire(self, now: int) -> None:
        """Forget events beyond the age of retention."""
        if self.retention.age is not None:
            oldest = now - self.retention.age
            while self.events and self.events[0].time < oldest:
                self.trim(1)


def _size(events: Sequence[Event]) -> int:
    return sum(map(len, map(_DATA, events))) + EVENT_OVERHEAD * len(events)


def read_page(
    log: MemoryLog, end: Position, since: Position | Earliest | Last | Age, limit: int, now: int
) -> HistoryPage:
    """A page of `log`. Its cost is that of the page and, for an age, of a binary search."""
    lost = None
    offset = log.trimmed
    match since:
        case Position() if since.epoch != end.epoch or since.offset > end.offset:
            lost = "reset"
        case Position() if since.offset < log.trimmed:
            lost = "expired"
        case Position():
            offset = since.offset
        case Last() if since.count < len(log.events):
            offset = log.tip - since.count
        case Age():
            offset = log.trimmed + log.events.first_since(now - since.milliseconds)
        case _:
            pass
    index = offset - log.trimmed  # offsets of one log are consecutive
    events: list[Event] = []
    size = 0
    while index < len(log.events) and len(events) < limit and size < PAGE_BYTES:
        event = log.events[index]
        events.append(event)
        size += len(event.data)
        index += 1
    return HistoryPage(Position(end.epoch, offset), events, end, lost)
