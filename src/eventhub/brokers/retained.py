"""The events that a log in memory retains.

They are added at one end, forgotten at the other, and found by index in constant time.
"""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

from eventhub.events.event import Event

SPARE = 1024
"""Empty places at the front that are kept at least. Beyond that, and once they are more than half
of all places, they are removed together.
"""


class RetainedEvents:
    """A list whose front is removed in large parts.

    A deque would walk to an event in the middle.
    """

    __slots__ = ("_begin", "_places")

    def __init__(self) -> None:
        self._places: list[Event | None] = []
        self._begin = 0

    def __len__(self) -> int:
        return len(self._places) - self._begin

    def __getitem__(self, index: int) -> Event:
        """The event at this index, from 0 for the oldest."""
        event = self._places[self._begin + index]
        assert event is not None
        return event

    def extend(self, events: Iterable[Event]) -> None:
        """Add events at the newer end."""
        self._places.extend(events)

    def append(self, event: Event) -> None:
        """Add an event at the newer end."""
        self._places.append(event)

    def pop_oldest(self, count: int) -> list[Event]:
        """Forget the `count` oldest events, of which there are as many. Returns them."""
        begin = self._begin
        self._begin = end = begin + count
        oldest: Any = self._places[begin:end]
        if end > SPARE and 2 * end > len(self._places):
            del self._places[:end]
            self._begin = 0
        else:
            self._places[begin:end] = [None] * count
        return oldest  # type: ignore[no-any-return]  # only empty places, before `begin`, are None

    def first_since(self, time: int) -> int:
        """The index of the first event that is not older than `time`, by binary search.

        It is the length when there is none. After a clock was set back, times are not in order:
        older and younger events may then stand on either side of the index, but all events after
        the newest one that is too old stand after it.
        """
        return bisect_left(self, time, key=_time)


def _time(event: Event) -> int:
    return event.time
