"""One channel's log in memory, its retention, and pages of it."""

from collections.abc import Sequence
from operator import itemgetter

from eventhub.brokers.base import BIRTH_SECONDS, PAGE_BYTES
from eventhub.brokers.memory_state import EVENT_OVERHEAD, Ledger, MemoryState
from eventhub.brokers.retained import RetainedEvents
from eventhub.events.channel_types import Retention
from eventhub.events.event import Age, Earliest, Event, HistoryPage, Last, Position, State

_DATA = itemgetter(Event._fields.index("data"))  # twice as fast as the name


class MemoryLog:
    """One channel's events. Those up to offset `trimmed` are gone, `tip` is the newest offset."""

    __slots__ = (
        "bytes", "events", "ledger", "noticed", "retention", "state", "tip", "trimmed",
    )  # fmt: skip

    def __init__(self, retention: Retention, floor: int, ledger: Ledger) -> None:
        self.events = RetainedEvents()
        self.ledger = ledger
        self.retention = retention
        self.tip = self.trimmed = floor
        self.bytes = 0
        self.noticed: int | None = None
        """For types that keep one event or none: when `is_birth` last noticed one."""
        self.state: MemoryState | None = None
        """None if the events have no keys."""
        if retention.state is not None:
            self.state = MemoryState(retention.state, floor, ledger)

    def extend(self, events: Sequence[Event]) -> None:
        """Append events with consecutive offsets."""
        self.tip = events[-1].offset
        if self.state is not None:
            for event in events:
                self.state.add(event)
        if self.retention.events == 0:
            self._trimmed(self.tip)
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
        if self.state is not None:
            self.state.add(event)
        if self.retention.events == 0:
            self._trimmed(self.tip)
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
        self._trimmed(gone[-1].offset)
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
        if self.state is not None:
            self.state.expire(now)

    def shrink(self) -> None:
        """Forget the older half."""
        self.trim((len(self.events) + 1) // 2)
        if self.state is not None:
            self.state.shrink()

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return self.bytes if self.state is None else self.bytes + self.state.bytes

    def __bool__(self) -> bool:
        """Whether there is anything in it."""
        return bool(self.events) or (self.state is not None and len(self.state) > 0)

    def state_page(self, since: State, end: Position, limit: int) -> HistoryPage:
        """A page of the state. `end` is the end of the log. Without keys it is empty."""
        if self.state is None:
            return HistoryPage(end, [], end, following=State(end))
        return self.state.page(since, end, limit)

    def _trimmed(self, offset: int) -> None:
        self.trimmed = offset
        if self.state is not None:
            self.state.trimmed(offset)


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
