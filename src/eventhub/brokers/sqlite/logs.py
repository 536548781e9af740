"""What the writer knows of every channel, and what a transaction will change. No I/O.

The rules:

1. Offsets count up, but each opening of the file begins a range of its own, above `base`: STRIDE offsets for each second since the file
   was made. So an offset given after an opening was never given before it: not to a tail that a power failure took (synchronous NORMAL,
   disks that lie), nor in the time after a backup that was restored. Between two ranges `previous` joins the events, so a reader resumes
   over a restart without a gap; a position of a time that was lost is in no row, and its reader is told (`reset`).
2. Nothing known changes before the transaction is on disk: a `WriteTransaction` works on copies and is merged by `SqliteLogs.commit`, or dropped.
3. A log may hold a part more than its retention (`SqliteLog.slack`), so that rows are deleted many at a time. Readers do not see it.
4. A channel is forgotten only when there is no room for another, it has no rows and nobody is subscribed. `floor` then rises to its tip:
   a new channel begins there, so a position of a forgotten log is behind it (`expired`) and never matches a log that only looks the same.
"""

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple

import orjson

from eventhub.brokers.sqlite.database import DatabaseOrigin
from eventhub.errors import EventHubError, IdempotencyConflict, TooManyChannels
from eventhub.events.channels import Retention
from eventhub.events.event import Event, NewEvent, Position, Receipt

STRIDE = 2**20
"""Offsets set aside for a second of the file's life: more than a channel gets. 2**53, where
JavaScript ends, is 272 years away.
"""
KEY_AGE = 600_000
"""Milliseconds for which an idempotency key is known."""
UNDECLARED = Retention(2**62, None)
"""Of a channel whose type is not in the configuration any more: taking a type out by mistake does
not erase its events.
"""


class SqliteLog:
    """One channel. It has `number - first + 1` rows; everything up to offset `trimmed` is gone."""

    __slots__ = ("first", "id", "name", "number", "oldest", "retention", "tip", "trimmed")

    def __init__(self, row: int, name: str, retention: Retention, trimmed: int) -> None:
        self.id, self.name, self.retention = row, name, retention
        self.tip = self.trimmed = trimmed
        self.number, self.first = 0, 1
        self.oldest = 0
        """Time of the first row."""

    @property
    def rows(self) -> int:
        return self.number - self.first + 1

    @property
    def slack(self) -> int:
        """Rows beyond retention before any are deleted."""
        return max(1, self.retention.events // 8)

    @property
    def excessive(self) -> bool:
        return self.rows > 0 and self.rows >= self.retention.events + self.slack

    def expired(self, now: int) -> bool:
        """The first row is too old."""
        return (
            self.rows > 0
            and self.retention.age is not None
            and self.oldest < now - self.retention.age
        )


class KnownKey(NamedTuple):
    """An idempotency key: its row, and the first event with it. There are many: one object each, not a Receipt and a Position more."""

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
        """A channel that the database has."""
        self.channels[log.name] = log
        self.next_channel = max(self.next_channel, log.id + 1)
        if log.excessive:
            self.excessive[log.name] = None

    def load_key(self, channel: str, key: str, known: KnownKey) -> None:
        """A key that the database has."""
        self.keys.pop((channel, key), None)
        self.keys[(channel, key)] = known
        self.next_key = known.id + 1

    def loaded(self, now: int) -> None:
        """That was all of it: a new range of offsets begins, after whatever the clock says now."""
        if not self._origin.fresh:
            highest = max((log.tip for log in self.channels.values()), default=0)
            self.base = max(
                max(self.floor, highest) + STRIDE, (now - self._origin.created) // 1000 * STRIDE
            )
        self.forget_keys(now)

    def retention(self, channel: str) -> Retention:
        """Of a channel that may be of a type which is not declared any more."""
        try:
            return self._retention(channel)
        except EventHubError:
            return UNDECLARED

    def position(self, channel: str) -> Position:
        """The end of the channel's log."""
        log = self.channels.get(channel)
        return Position(self.epoch, self.floor if log is None else log.tip)

    def expire(self, now: int) -> None:
        """Find the channels with events that are too old."""
        self.excessive.update(
            (log.name, None) for log in self.channels.values() if log.expired(now)
        )

    def forgettable(self, subscribed: Iterable[str], limit: int) -> list[SqliteLog]:
        """At most `limit` channels that nobody would miss."""
        kept = set(subscribed)
        found = (log for log in self.channels.values() if log.rows == 0 and log.name not in kept)
        return [log for log, _ in zip(found, range(limit), strict=False)]

    def forget(self, logs: Iterable[SqliteLog], floor: int) -> None:
        """They are out of the database."""
        self.floor = floor
        for log in logs:
            del self.channels[log.name]
            self.excessive.pop(log.name, None)

    def forget_keys(self, now: int) -> None:
        """Those that are too old or too many. Their rows go later: all below the first that is left."""
        while self.keys and (
            len(self.keys) > self._max_keys or next(iter(self.keys.values())).time < now - KEY_AGE
        ):
            self.keys.popitem(last=False)

    def commit(self, turn: "WriteTransaction") -> None:
        """The transaction of `turn` is on disk."""
        self.channels.update(turn.touched)
        self.next_channel = turn.next_channel
        for (channel, key), known in turn.keys.items():
            self.load_key(channel, key, known)
        self.forget_keys(turn.now)
        for name, log in turn.touched.items():
            if log.excessive:
                self.excessive[name] = None
            elif name in self.excessive and not log.expired(turn.now):
                del self.excessive[name]


class WriteTransaction:
    """One transaction: what to write, and what to say once it is written."""

    def __init__(self, logs: SqliteLogs, now: int, subscribed: Iterable[str]) -> None:
        self.now = now
        self.touched: dict[str, SqliteLog] = {}
        self.rows: list[tuple[int, int, int, int, bytes | None, bytes]] = []
        self.keys: dict[tuple[str, str], KnownKey] = {}
        self.changed: dict[str, SqliteLog] = {}  # channels that are new or have another `trimmed`
        self.announced: list[Event] = []
        self.next_channel = logs.next_channel
        self._logs = logs
        self._subscribed = subscribed

    def publish(self, events: Sequence[NewEvent]) -> list[Receipt | EventHubError]:
        """One result an event."""
        return [self._publish(event) for event in events]

    def log(self, channel: str) -> SqliteLog | None:
        """The channel's log, to be changed by this transaction."""
        if (log := self.touched.get(channel)) is None and (
            known := self._logs.channels.get(channel)
        ) is not None:
            log = self.touched[channel] = copy.copy(known)
        return log

    def _publish(self, new: NewEvent) -> Receipt | EventHubError:
        digest = b""
        if new.key is not None:
            digest = blake2b(new.data, digest_size=16).digest()
            if (known := self._known((new.channel, new.key))) is not None:
                first = Position(self._logs.epoch, known.offset)
                if known.digest != digest:
                    return IdempotencyConflict(str(first))
                return Receipt(first, known.time, replayed=True)
        if (log := self.log(new.channel) or self._create(new.channel)) is None:
            bound = self._logs.max_channels
            return TooManyChannels(
                f"this server holds {bound} channels with events or subscribers, which is its limit (limits.channels)"
            )
        receipt = self._append(log, new)
        if new.key is not None:
            self.keys[(new.channel, new.key)] = KnownKey(
                self._logs.next_key + len(self.keys), digest, receipt.position.offset, receipt.time
            )
        return receipt

    def _known(self, key: tuple[str, str]) -> KnownKey | None:
        known = self.keys.get(key) or self._logs.keys.get(key)
        return known if known is not None and known.time >= self.now - KEY_AGE else None

    def _create(self, channel: str) -> SqliteLog | None:
        created = self.next_channel - self._logs.next_channel
        if len(self._logs.channels) + created >= self._logs.max_channels:
            return None
        log = SqliteLog(self.next_channel, channel, self._logs.retention(channel), self._logs.floor)
        self.next_channel += 1
        self.touched[channel] = self.changed[channel] = log
        return log

    def _append(self, log: SqliteLog, new: NewEvent) -> Receipt:
        previous = log.tip
        log.tip = offset = max(previous, self._logs.base) + 1
        attributes = dict(new.attributes) if new.attributes is not None else None
        if log.retention.events == 0:
            log.trimmed = offset
            self.changed[log.name] = log
        else:
            log.number += 1
            if log.rows == 1:
                log.oldest = new.time
            self.rows.append(
                (
                    log.id,
                    offset,
                    log.number,
                    new.time,
                    orjson.dumps(attributes) if attributes is not None else None,
                    new.data,
                )
            )
        if log.name in self._subscribed:
            self.announced.append(
                Event(log.name, self._logs.epoch, offset, previous, new.time, new.data, attributes)
            )
        return Receipt(Position(self._logs.epoch, offset), new.time)
