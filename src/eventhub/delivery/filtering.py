"""Events for subscribers with a filter: those that match, and positions that move past the others.

Live subscribers with the same encoding and filter are one group of the fan-out, so that a filter
is evaluated once for each event. Pages of history keep what a filter left of them.
"""

from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any, NamedTuple

from eventhub.delivery.bulk_write import Write
from eventhub.delivery.counters import DeliveryCounters
from eventhub.delivery.encoding import Encoding, event_or_replacement
from eventhub.events.event import Event, Position
from eventhub.events.signal import Signal
from eventhub.filters.event_filter import EventFilter, FilterFailed

BATCH_EVENTS = 64
"""Events that a group looks at in one go."""
QUIET_MILLISECONDS = 1000
QUIET_EVENTS = 256
"""A position follows when an event is left out this long after the last message of its channel, or
as the last of so many in a row.
"""
QUIET_CHANNELS = 10_000
STEPS_PER_WRITE = 16
"""Steps of a filter that take about as long as one write."""

ReplacementFor = Callable[[Encoding, Event, Exception], bytes]


class Notice:
    """Whether a subscriber knows that its filter has failed on an event.

    `waiting` is the message for one that lags. It is written when the writer has room.
    """

    __slots__ = ("told", "waiting")

    def __init__(self) -> None:
        self.told = False
        self.waiting = b""


class FilteredEncoding:
    """The encoding of one subscription with a filter. Two with the same parts are equal."""

    __slots__ = ("base", "filter", "notice")

    def __init__(
        self, base: Encoding, filter_: EventFilter, notice: "Notice | None" = None
    ) -> None:
        self.base = base
        self.filter = filter_
        self.notice = notice or Notice()

    def over(self, base: Encoding) -> "FilteredEncoding":
        """The same subscription's with another encoding."""
        return FilteredEncoding(base, self.filter, self.notice)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FilteredEncoding):
            return NotImplemented
        return self.base is other.base and self.filter is other.filter

    def __hash__(self) -> int:
        return hash((self.base, self.filter))

    def event(self, event: Event) -> bytes:
        return self.base.event(event)

    def signal(self, signal: Signal) -> bytes:
        return self.base.signal(signal)

    def message(self, kind: str, fields: dict[str, Any], position: Position | None = None) -> bytes:
        return self.base.message(kind, fields, position)

    def passed(self, event: Event) -> bytes:
        """The message that moves the subscriber's cursor past an event which it does not get."""
        fields = {"channel": event.channel, "position": str(event.position)}
        return self.base.message("position", fields, event.position)

    def failed(self, event: Event, error: FilterFailed) -> bytes:
        """The message that says on which event the filter failed, and why."""
        fields = {"channel": event.channel, "id": str(event.position), "reason": str(error)}
        return self.base.message("filter_failed", fields)


class Selected(NamedTuple):
    """What a filter made of some events: the bytes to write, and the events by outcome.

    `notice` says that the filter has failed, for those who do not know it yet. `work` is what the
    selection cost, in writes.
    """

    data: bytes
    matched: list[Event]
    failed: list[Event]
    notice: bytes | None
    work: int

    def add_to(self, counters: Callable[[Event], DeliveryCounters], readers: int) -> None:
        """Count the events, which this many subscribers get or do not get."""
        for event in self.matched:
            counters(event).delivered += readers
        for event in self.failed:
            counters(event).filter_failures += 1


def select(
    encoding: FilteredEncoding,
    events: Sequence[Event],
    replacement_for: ReplacementFor,
    needs_position: Callable[[Event, bool], bool],
) -> Selected:
    """Select events. `needs_position` gets each one, and whether it matches.

    If it is true for one that does not match, a position is written in its place.

    Raises InvalidFilter if the filter takes too long.
    """
    pieces: list[bytes] = []
    matched: list[Event] = []
    failed: list[Event] = []
    notice: bytes | None = None
    steps = encoding.filter.steps
    for event in events:
        try:
            found = encoding.filter.matches(event)
        except FilterFailed as error:
            found = False
            failed.append(event)
            notice = notice or encoding.failed(event, error)
        needed = needs_position(event, found)
        if found:
            matched.append(event)
            pieces.append(event_or_replacement(encoding.base, event, replacement_for))
        elif needed:
            pieces.append(encoding.passed(event))
    work = 1 + len(events) // 2 + (encoding.filter.steps - steps) // STEPS_PER_WRITE
    return Selected(b"".join(pieces), matched, failed, notice, work)


def select_past(
    encoding: FilteredEncoding, events: Sequence[Event], replacement_for: ReplacementFor
) -> Selected:
    """Select events that one subscriber gets at once. A position stands for the last ones."""
    last = events[-1]
    return select(encoding, events, replacement_for, lambda event, _: event is last)


class FilteredReaders(dict[Hashable, Write]):
    """The live subscribers of one filter and encoding in a fan-out: key and write."""

    __slots__ = ("_quiet", "encoding", "untold")

    def __init__(self, encoding: FilteredEncoding) -> None:
        super().__init__()
        self.encoding = encoding
        self.untold: dict[Hashable, Notice] = {}
        """Those who do not know yet that the filter has failed."""
        self._quiet: dict[str, tuple[int, int]] = {}
        """By channel: the time of the event of the last message, and the events left out since."""

    def added(self, key: Hashable, encoding: Encoding) -> None:
        """A subscriber has been added."""
        if isinstance(encoding, FilteredEncoding) and not encoding.notice.told:
            self.untold[key] = encoding.notice

    def select(self, events: Sequence[Event], replacement_for: ReplacementFor) -> Selected:
        """Select events. Raises InvalidFilter."""
        return select(self.encoding, events, replacement_for, self._needs_position)

    def take_untold(self, writes: Collection[Write]) -> list[Write]:
        """Those of these writes whose readers do not know yet that the filter has failed.

        They do now.
        """
        taken = {key: self[key] for key in self.untold if self[key] in writes}
        for key in taken:
            self.untold.pop(key).told = True
        return list(taken.values())

    def _needs_position(self, event: Event, matches: bool) -> bool:  # noqa: FBT001
        if matches:
            self._quiet[event.channel] = event.time, 0
            return False
        time, count = self._quiet.get(event.channel, (event.time - QUIET_MILLISECONDS, 0))
        due = event.time - time >= QUIET_MILLISECONDS or count + 1 >= QUIET_EVENTS
        if len(self._quiet) >= QUIET_CHANNELS:
            self._quiet.clear()
        self._quiet[event.channel] = (event.time, 0) if due else (time, count + 1)
        return due


def readers_of(encoding: Encoding) -> dict[Hashable, Write]:
    """An empty group of live subscribers."""
    return FilteredReaders(encoding) if isinstance(encoding, FilteredEncoding) else {}
