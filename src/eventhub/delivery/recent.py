"""Events that a feed keeps in memory for a short time, within bounds."""

from collections import deque

from eventhub.events.event import Event, Position

RECENT_EVENTS = 1024
RECENT_BYTES = 1024 * 1024
KEYS = 10_000
"""Conflation keys kept for the lagging subscribers of a channel. Above this number, the key that
has been silent for longest is dropped, and its event counts as skipped.
"""
KEYS_BYTES = 4 * 1024 * 1024


class RecentEvents:
    """The last announcements, without a hole: each one's `previous` is the one before it."""

    __slots__ = ("_size", "events")

    def __init__(self) -> None:
        self.events: deque[Event] = deque()
        self._size = 0

    def add(self, event: Event) -> int:
        """Append an event. Returns how many of the oldest were dropped; the newest never is."""
        events = self.events
        events.append(event)
        self._size += len(event.data)
        dropped = 0
        while len(events) > RECENT_EVENTS or (self._size > RECENT_BYTES and len(events) > 1):
            self._size -= len(events.popleft().data)
            dropped += 1
        return dropped

    def clear(self) -> None:
        """Drop all events."""
        self.events.clear()
        self._size = 0

    def begins(self, offset: int) -> bool:
        """Whether every event after this offset of an event is here. There must be events."""
        return self.events[0].previous == offset or any(
            event.offset == offset for event in self.events
        )

    def after(self, position: Position) -> list[Event]:
        """The events after a position."""
        return [event for event in self.events if event.offset > position.offset]


class LatestByKey:
    """The newest event of each conflation key, and its number in the order of delivery.

    They are ordered by that number: the key that has been silent for longest comes first.
    """

    __slots__ = ("_kept", "_size")

    def __init__(self) -> None:
        self._kept: dict[str, tuple[int, Event]] = {}
        self._size = 0

    def add(self, key: str, count: int, event: Event) -> None:
        """Replace the event of a key. Above the bounds the oldest keys are dropped."""
        if (old := self._kept.pop(key, None)) is not None:
            self._size -= len(old[1].data)
        self._kept[key] = (count, event)
        self._size += len(event.data)
        while len(self._kept) > KEYS or (self._size > KEYS_BYTES and len(self._kept) > 1):
            self._size -= len(self._kept.pop(next(iter(self._kept)))[1].data)

    def since(self, mark: int) -> list[tuple[int, Event]]:
        """The events delivered after number `mark`, oldest first."""
        return [kept for kept in self._kept.values() if kept[0] > mark]

    def clear(self) -> None:
        """Drop all events."""
        self._kept.clear()
        self._size = 0
