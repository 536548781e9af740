"""What the writer knows about every channel. No I/O.

The rules:

1. Offsets count up. Each opening of the file begins a new range above `base`, which rises by STRIDE
   for each second since the file was made. So an offset given after an opening was never given
   before it: neither to events at the end that a power failure took (synchronous NORMAL, disks that
   lie), nor to events after a backup that has been restored. `previous` joins the events of two
   ranges, so a reader resumes over a restart without a gap. A position from a lost range is in no
   row, and its reader is told (`reset`).
2. Nothing known changes before the transaction is on disk: a `WriteTransaction` works on copies,
   and is applied or dropped.
3. A log may hold somewhat more than its retention (`SqliteLog.slack`), so that many rows are
   deleted at a time. Readers do not see them.
4. A channel is forgotten only when there is no room for another one, it has no rows and no
   subscriber. `floor` then rises to its tip. A new channel begins there, so a position from the
   forgotten log has expired and never matches a log that only looks the same.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from eventhub.brokers.base import BIRTH_SECONDS
from eventhub.brokers.idempotency import KEY_AGE
from eventhub.brokers.sqlite.database import DatabaseOrigin
from eventhub.errors import EventHubError
from eventhub.events.channel_types import Retention, StateRetention
from eventhub.events.event import Position

STRIDE = 2**20
"""Offsets reserved for each second of the file's life: more events than a channel gets. 2**53, the
end of JavaScript's integers, is 272 years away.
"""
UNDECLARED = Retention(2**62, None, StateRetention(latest=True, keys=2**62))
"""Retention of a channel whose type is no longer configured. Removing a type by mistake does not
erase its events.
"""


class SqliteLog:
    """One channel. It has `number - first + 1` rows. Those up to offset `trimmed` are gone."""

    __slots__ = (
        "deletions", "first", "forgotten", "id", "keys", "name", "noticed", "number", "oldest",
        "retention", "tip", "trimmed",
    )  # fmt: skip

    def __init__(self, row: int, name: str, retention: Retention, trimmed: int) -> None:
        self.id, self.name, self.retention = row, name, retention
        self.tip = self.trimmed = trimmed
        self.number, self.first = 0, 1
        self.oldest = 0
        """The first row's time."""
        self.forgotten = 0
        """The state has lost entries up to this offset (states.py), beyond those of the log."""
        self.keys = self.deletions = 0
        """Entries of the state that are kept beyond the log: events, and deletions."""
        self.noticed = 0
        """When it stored its newest event since the database was opened; the last birth if it
        retains nothing.
        """

    def is_birth(self, now: int) -> bool:
        """Whether an event that is about to be stored finds none that is retained."""
        age = self.retention.age if self.retention.events else BIRTH_SECONDS * 1000
        retained = self.rows > 0 or self.retention.events == 0
        born = not retained or (age is not None and not 0 <= now - self.noticed <= age)
        if born or self.retention.events:
            self.noticed = now
        return born

    @property
    def rows(self) -> int:
        return self.number - self.first + 1

    @property
    def is_empty(self) -> bool:
        """Whether it has neither events nor a state."""
        return self.rows == self.keys == 0

    @property
    def slack(self) -> int:
        """How many rows beyond retention are kept before some are deleted."""
        return max(1, self.retention.events // 8)

    @property
    def excessive(self) -> bool:
        return self.rows > 0 and self.rows >= self.retention.events + self.slack

    def expired(self, now: int) -> bool:
        """Whether the first row is too old."""
        return (
            self.rows > 0
            and self.retention.age is not None
            and self.oldest < now - self.retention.age
        )


class KnownKey(NamedTuple):
    """An idempotency key: its row, and the first event with it.

    There are many, so each is one object, without a Receipt and a Position.
    """

    id: int
    digest: bytes
    offset: int
    time: int


class SqliteLogs:
    """Every channel, and the idempotency keys of the last ten minutes."""

    def __init__(
        self,
        origin: DatabaseOrigin,
        retention: Callable[[str], Retention],
        max_channels: int,
        max_keys: int,
    ) -> None:
        self.epoch, self.floor = origin.epoch, origin.floor
        self.base = 0
        self.channels: dict[str, SqliteLog] = {}
        self.keys: OrderedDict[tuple[str, str], KnownKey] = OrderedDict()
        self.excessive: dict[str, None] = {}  # channels to delete from, in the order found
        self.max_channels, self._max_keys = max_channels, max_keys
        self.next_channel = self.next_key = 1
        self._origin, self._retention = origin, retention

    def load(self, log: SqliteLog) -> None:
        """Take a channel from the database."""
        self.channels[log.name] = log
        self.next_channel = max(self.next_channel, log.id + 1)
        if log.excessive:
            self.excessive[log.name] = None

    def load_key(self, channel: str, key: str, known: KnownKey) -> None:
        """Take a key from the database."""
        self.keys.pop((channel, key), None)
        self.keys[(channel, key)] = known
        self.next_key = known.id + 1

    def loaded(self, now: int) -> None:
        """Everything is loaded: begin a new range of offsets, by the present time."""
        if not self._origin.fresh:
            highest = max((log.tip for log in self.channels.values()), default=0)
            self.base = max(
                max(self.floor, highest) + STRIDE, (now - self._origin.created) // 1000 * STRIDE
            )
        self.forget_keys(now)

    def retention(self, channel: str) -> Retention:
        """A channel's retention; UNDECLARED when its type is no longer configured."""
        try:
            return self._retention(channel)
        except EventHubError:
            return UNDECLARED

    def position(self, channel: str) -> Position:
        """The end of the channel's log."""
        log = self.channels.get(channel)
        return Position(self.epoch, self.floor if log is None else log.tip)

    def expire(self, now: int) -> None:
        """Find the channels whose first event is too old."""
        self.excessive.update(
            (log.name, None) for log in self.channels.values() if log.expired(now)
        )

    def forgettable(self, subscribed: Iterable[str], limit: int) -> list[SqliteLog]:
        """At most `limit` channels that have neither rows nor subscribers."""
        kept = set(subscribed)
        found = (log for log in self.channels.values() if log.is_empty and log.name not in kept)
        return [log for log, _ in zip(found, range(limit), strict=False)]

    def forget(self, logs: Iterable[SqliteLog], floor: int) -> None:
        """These channels have been deleted from the database."""
        self.floor = floor
        for log in logs:
            del self.channels[log.name]
            self.excessive.pop(log.name, None)

    def forget_keys(self, now: int) -> None:
        """Forget keys that are too old or too many.

        Their rows are deleted later: all rows before the first key that is left.
        """
        while self.keys and (
            len(self.keys) > self._max_keys or next(iter(self.keys.values())).time < now - KEY_AGE
        ):
            self.keys.popitem(last=False)
