"""Positions, events, and where a reader begins."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeVar

ATTRIBUTES = ("source", "subject", "type", "id", "time", "traceparent")
BY = "by"
"""The stored attribute that names the author. No publisher can set it; events show it as `by`."""
KEY, DELETED = "key", "deleted"
"""Stored attributes: the event's key, and the key that a deletion deletes (keys.py). No publisher
can set them; events show them as `key` and `deleted`.
"""
REFERS, RELATION = "refers", "relation"
"""Stored attributes: the event that this one is about, and how (references.py). Publishers do not
set them among `attributes`; events show them as `refers` and `relation`.
"""
SCHEMA = "schema"
"""The stored attribute that says with which version of the type's schema the event was accepted. No
publisher can set it; events show it as `schema`, a number. Readers get the version that the event
is shown in (upcasting.py).
"""
RESERVED = (KEY, DELETED, BY, REFERS, RELATION, SCHEMA)
"""Stored attributes that events show as fields of their own, in this order."""
EXTENSIONS = "extensions"
"""The stored attribute with the JSON of a CloudEvent's extensions (cloudevents.py). Events show the
object as a field of their own.
"""
ATTRIBUTE_LENGTH = 256
OFFSET_END = 2**63


# Position, NewEvent and Event are named tuples, not dataclasses: they are built for every event,
# and a frozen dataclass costs 4x as much.
class Position(NamedTuple):
    """An event's place in its channel.

    Offsets strictly increase within an epoch. Offset 0 is before the first event.
    """

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.offset}"


ABSENT = Position("", 0)
"""The place of the newest event of a key that has none."""


class NewEvent(NamedTuple):
    """An event on its way to the broker.

    `data` is canonical JSON, `time` milliseconds since the Unix epoch. `key` is an idempotency key:
    the same key and data in the same channel are the same event. `expected`: the event is stored
    only if this is the newest event of its state key (keys.py); ABSENT if the key must have none.
    """

    channel: str
    data: bytes
    time: int
    attributes: Mapping[str, str] | None = None
    key: str | None = None
    expected: Position | None = None


class NewEvents(NamedTuple):
    """Events of one channel that are published together, at one time, without idempotency keys.

    The fields are those of `NewEvent`, but `data` has one item for each event.
    """

    channel: str
    data: Sequence[bytes]
    time: int
    attributes: Mapping[str, str] | None = None

    def apart(self) -> list[NewEvent]:
        """The same events, for a broker that stores each by itself."""
        channel, data, time, attributes = self
        return build_many(
            NewEvent, [(channel, each, time, attributes, None, None) for each in data]
        )


class Event(NamedTuple):
    """A stored event. `previous` is the offset of the event before it: it makes a hole visible."""

    channel: str
    epoch: str
    offset: int
    previous: int
    time: int
    data: bytes
    attributes: Mapping[str, str] | None = None

    @property
    def position(self) -> Position:
        return tuple.__new__(Position, (self.epoch, self.offset))  # half the time of `Position()`


def with_author(
    attributes: Mapping[str, str] | None, author: str | None
) -> Mapping[str, str] | None:
    """The attributes to store. `author` is the principal that publishes, if it has a credential."""
    if author is None:
        return attributes or None
    return {**attributes, BY: author} if attributes else {BY: author}


class Receipt(NamedTuple):
    """Where and when an event was stored.

    `replayed`: the idempotency key was known, and this is the first event's receipt.
    """

    position: Position
    time: int
    replayed: bool = False


class Receipts(NamedTuple):
    """Where and when `NewEvents` were stored: at `number` offsets in a row, from `first` on."""

    epoch: str
    first: int
    number: int
    time: int


Row = TypeVar("Row", bound=tuple[Any, ...])
T = TypeVar("T")


def build_many(kind: type[Row], rows: Iterable[tuple[Any, ...]]) -> list[Row]:
    """Named tuples of complete rows. Three times as fast as calling `kind` for each."""
    return list(map(partial(tuple.__new__, kind), rows))


@dataclass(frozen=True, slots=True)
class Latest:
    """Begin with the next event published."""


@dataclass(frozen=True, slots=True)
class Earliest:
    """Begin with the oldest event retained."""


@dataclass(frozen=True, slots=True)
class Last:
    """Begin with the last `count` events retained."""

    count: int


@dataclass(frozen=True, slots=True)
class Age:
    """Begin with the oldest event retained that is at most `milliseconds` old."""

    milliseconds: int


@dataclass(frozen=True, slots=True)
class State:
    """Begin with the newest event of each key, then everything after.

    With a `position`, the reader has the state up to there, and goes on with the newest event of
    each key after it. Deletions up to offset `begun` are left out, because the reader began after
    them.
    """

    position: Position | None = None
    begun: int = 0

    def __str__(self) -> str:
        place = "" if self.position is None else f":{self.position}"
        return f"state{place}:{self.begun}" if self.begun else f"state{place}"


Start = Position | Earliest | Last | Age | State
"""Where a page of history begins."""
Since = Start | Latest


def asked_position(since: Since) -> Position | None:
    """The position after which a reader begins, if it names one."""
    if isinstance(since, State):
        return since.position
    return since if isinstance(since, Position) else None


LATEST = Latest()
"""All subscribers share it: most begin there."""


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """A page of a channel's log, read at one moment.

    `events` follow `start` without a hole. `end` is the end of the log at that moment. `lost` is
    the reason if events between the requested `since` and `start` are missing: `expired`
    (retention), `reset` (the position is not of this log) or `unreadable` (the stored data is no
    event). It is None when none is missing.

    A page for a `State` has only the newest event of each key. `following` is the `since` of the
    next page then. If something is `lost`, the page is the first one of the whole state.
    """

    start: Position
    events: Sequence[Event]
    end: Position
    lost: str | None = None
    following: State | None = None
    _joined: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)

    def joined(self, key: object, join: Callable[[Sequence[Event]], T]) -> T:
        """The wire bytes of the events. Built once for all readers of the page and each `key`."""
        data: T | None = self._joined.get(key)
        if data is None:
            data = self._joined[key] = join(self.events)
        return data

    @property
    def reached(self) -> Position:
        """The position of a reader after `events`."""
        if self.following is not None and self.following.position is not None:
            return self.following.position
        return self.events[-1].position if self.events else self.start


class ChannelSummary(NamedTuple):
    """A channel with retained events: its newest one's position and time, and how many there are.

    `events` may count some that have expired by age a moment ago.
    """

    channel: str
    head: Position
    time: int
    events: int


class ChannelPage(NamedTuple):
    """A part of the list of channels. `next` is the `after` of the next page, None at the end."""

    channels: Sequence[ChannelSummary]
    next: str | None


@dataclass(frozen=True, slots=True)
class EventCount:
    """How many events follow `start`, counted when the log ended at `end`.

    `more`: there are at least one more than `events`. `lost` is as in HistoryPage.
    """

    events: int
    more: bool
    start: Position
    end: Position
    lost: str | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Events after `after` and before `before` are not delivered; the reader is at `position`."""

    after: Position | None
    before: Position
    position: Position
    reason: str
    skipped: int | None = None

    @classmethod
    def of(cls, since: Since, page: HistoryPage) -> "Gap":
        """The gap of a page that was read for `since` and misses events."""
        before = (
            page.events[0].position
            if page.events
            else Position(page.end.epoch, page.end.offset + 1)
        )
        return cls(asked_position(since), before, page.start, page.lost or "")


def format_time(milliseconds: int) -> str:
    """RFC 3339 in UTC with milliseconds: `2026-11-22T20:06:00.123Z`."""
    return f"{_format_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@lru_cache(maxsize=256)
def _format_second(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"
