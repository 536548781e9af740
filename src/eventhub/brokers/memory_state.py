"""One channel's state in memory (states.py)."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable

from eventhub.brokers.base import PAGE_BYTES
from eventhub.brokers.states import DELETIONS, begin_of
from eventhub.events.channel_types import StateRetention
from eventhub.events.event import Event, HistoryPage, Position, State
from eventhub.events.keys import is_deletion, key_of

EVENT_OVERHEAD = 250
"""Bytes an event costs beyond its data."""
KEY_OVERHEAD = 150
"""Bytes a key costs beyond its event."""
SPARE = 1024
"""Replaced entries are removed from `_order` when there are more of them than this and others."""


class Ledger:
    """The bytes that all logs hold together."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0


class MemoryState:
    """The newest event of each key. Entries up to offset `forgotten` have left."""

    __slots__ = (
        "_begin", "_deletions", "_ledger", "_newest", "_order", "_retention", "bytes", "forgotten",
    )  # fmt: skip

    def __init__(self, retention: StateRetention, floor: int, ledger: Ledger) -> None:
        self._retention = retention
        self._ledger = ledger
        self._newest: dict[str, Event] = {}
        self._order: list[Event] = []  # by offset; some have been replaced
        self._begin = 0  # those before it have left
        self._deletions: dict[str, None] = {}  # the oldest first
        self.bytes = 0
        """What it takes besides the log, which has the events unless they outlive it."""
        self.forgotten = floor

    def __len__(self) -> int:
        return len(self._newest)

    def add(self, event: Event) -> None:
        """Take the channel's next event."""
        key = key_of(event)
        if (old := self._newest.get(key)) is not None:
            self._count(-self._size(old))
            self._deletions.pop(key, None)
        self._newest[key] = event
        self._order.append(event)
        self._count(self._size(event))
        if is_deletion(event):
            self._deletions[key] = None
        self._keep_bounds()

    def newest(self, key: str) -> Position | None:
        """The newest event of a key. None if it has none, or is deleted."""
        event = self._newest.get(key)
        return None if event is None or is_deletion(event) else event.position

    def has(self, offset: int) -> bool:
        """Whether an entry is, or a moment ago was, at this offset."""
        index = bisect_left(self._order, offset, key=lambda event: event.offset)
        return index < len(self._order) and self._order[index].offset == offset

    def trimmed(self, offset: int) -> None:
        """The log has lost its events up to this offset."""
        if not self._retention.latest:
            self._leave_while(lambda event: event.offset <= offset)

    def expire(self, now: int) -> None:
        """Forget keys that are too old."""
        if self._retention.age is not None:
            oldest = now - self._retention.age
            self._leave_while(lambda event: event.time < oldest)

    def shrink(self) -> None:
        """Forget the older half of the keys."""
        half = len(self._newest) // 2
        self._leave_while(lambda _: len(self._newest) > half)

    def page(self, since: State, end: Position, limit: int) -> HistoryPage:
        """A page of the state. `end` is the end of the log."""
        after, begun, lost = begin_of(since, end, self.forgotten)
        events: list[Event] = []
        size = 0
        index = max(self._begin, bisect_right(self._order, after, key=lambda event: event.offset))
        while index < len(self._order) and len(events) < limit and size < PAGE_BYTES:
            event = self._order[index]
            index += 1
            if self._is_newest(event) and not (is_deletion(event) and event.offset <= begun):
                events.append(event)
                size += len(event.data)
        reached = end if index >= len(self._order) else events[-1].position
        start = Position(end.epoch, after) if events else reached
        return HistoryPage(start, events, end, lost, State(reached, begun))

    def _keep_bounds(self) -> None:
        if len(self._deletions) > DELETIONS:
            key = next(iter(self._deletions))
            self._leave(key, self._newest[key])
        most = self._retention.keys
        if self._retention.latest and len(self._newest) - len(self._deletions) > most:
            self._leave_while(lambda _: len(self._newest) - len(self._deletions) > most)
        if len(self._order) > 2 * len(self._newest) + SPARE:
            self._order = [event for event in self._order if self._is_newest(event)]
            self._begin = 0

    def _leave_while(self, old: Callable[[Event], bool]) -> None:
        """Forget the oldest entries as long as they are `old`."""
        while self._begin < len(self._order):
            event = self._order[self._begin]
            if self._is_newest(event):
                if not old(event):
                    return
                self._leave(key_of(event), event)
            self._begin += 1

    def _leave(self, key: str, event: Event) -> None:
        del self._newest[key]
        self._deletions.pop(key, None)
        self._count(-self._size(event))
        self.forgotten = max(self.forgotten, event.offset)

    def _is_newest(self, event: Event) -> bool:
        return self._newest.get(key_of(event)) is event

    def _size(self, event: Event) -> int:
        kept = len(event.data) + EVENT_OVERHEAD if self._retention.latest else 0
        return KEY_OVERHEAD + kept

    def _count(self, size: int) -> None:
        self.bytes += size
        self._ledger.bytes += size
