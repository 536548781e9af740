"""The events that a log in memory retains: added at one end, forgotten at the other, and found by index in constant time."""

from bisect import bisect_left
from collections.abc import Iterable

from eventhub.events.event import Event

SPARE = 1024
"""Places of forgotten events that are kept at least: beyond that, and beyond half of all places,
they are given up together.
"""


class RetainedEvents:
    """A list whose front is given up in large parts. A deque would find an event in the middle by walking to it."""

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

    def pop_oldest(self) -> Event:
        """Forget the oldest event."""
        oldest = self[0]
        self._places[self._begin] = None
        self._begin += 1
        if self._begin > SPARE and 2 * self._begin > len(self._places):
            del self._places[: self._begin]
            self._begin = 0
        return oldest

    def first_since(self, time: int) -> int:
        """The index of the first event that is not older than `time`, by halves; the length where there is none.

        After a clock was set back, times are not in order: events that are older or younger than `time` may then stand on either side,
        but all of the newest ones that are not older stand behind the index.
        """
        return bisect_left(self, time, key=_time)


def _time(event: Event) -> int:
    return event.time
