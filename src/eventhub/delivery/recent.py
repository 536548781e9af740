"""The events of a channel that a feed keeps for a moment, each kind with its bound."""

from collections import deque

from eventhub.events.event import Event, Position

TAIL_EVENTS = 1024
TAIL_BYTES = 1024 * 1024
SERIES_BYTES = 4 * 1024 * 1024
SERIES = 10_000
"""Series of a channel kept for lagging readers; beyond it the one silent for longest is left out,
and counted as skipped.
"""


class RecentEvents:
    """The last announcements, without a hole: each one's `previous` is the one before it."""

    __slots__ = ("_size", "events")

    def __init__(self) -> None:
        self.events: deque[Event] = deque()
        self._size = 0

    def add(self, event: Event) -> int:
        """Append it; how many of the oldest made room for it. The newest stays, however large."""
        self.events.append(event)
        self._size += len(event.data)
        forgotten = 0
        while len(self.events) > TAIL_EVENTS or (self._size > TAIL_BYTES and len(self.events) > 1):
            self._size -= len(self.events.popleft().data)
            forgotten += 1
        return forgotten

    def clear(self) -> None:
        """Forget all."""
        self.events.clear()
        self._size = 0

    def begins(self, offset: int) -> bool:
        """All that follows this offset, which is one of an event, is here. There must be events."""
        return self.events[0].previous == offset or any(
            event.offset == offset for event in self.events
        )

    def after(self, position: Position) -> list[Event]:
        """Those behind it."""
        return [event for event in self.events if event.offset > position.offset]


class LatestByKey:
    """The newest event of each series, and the count it came with; the series that was silent for longest comes first."""

    __slots__ = ("_kept", "_size")

    def __init__(self) -> None:
        self._kept: dict[str, tuple[int, Event]] = {}
        self._size = 0

    def add(self, series: str, count: int, event: Event) -> None:
        """Instead of the one before it. Beyond the bounds others are forgotten."""
        if (old := self._kept.pop(series, None)) is not None:
            self._size -= len(old[1].data)
        self._kept[series] = (count, event)
        self._size += len(event.data)
        while len(self._kept) > SERIES or (self._size > SERIES_BYTES and len(self._kept) > 1):
            self._size -= len(self._kept.pop(next(iter(self._kept)))[1].data)

    def since(self, mark: int) -> list[tuple[int, Event]]:
        """Those that came after this count, oldest first."""
        return [kept for kept in self._kept.values() if kept[0] > mark]

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()
        self._size = 0
