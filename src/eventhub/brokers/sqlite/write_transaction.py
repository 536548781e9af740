"""One transaction of the writer: what it stores, and what changes once it is on disk. No I/O."""

import copy
from collections.abc import Callable, Iterable, Sequence

import orjson

from eventhub.brokers.idempotency import KEY_AGE, event_digest
from eventhub.brokers.sqlite.logs import KnownKey, SqliteLog, SqliteLogs
from eventhub.brokers.sqlite.states import StateRow, WrittenRow
from eventhub.brokers.states import is_expected, precondition_failed
from eventhub.errors import (
    EventHubError,
    IdempotencyConflict,
    PreconditionFailed,
    TooManyChannels,
)
from eventhub.events.event import Event, NewEvent, Position, Receipt
from eventhub.events.keys import is_deletion, key_of


class WriteTransaction:
    """What to write, and what to announce once it is written. Works on copies of the logs.

    `newest` looks up the newest event of a key on disk.
    """

    def __init__(
        self,
        logs: SqliteLogs,
        now: int,
        subscribed: Iterable[str],
        newest: Callable[[SqliteLog, str], StateRow | None],
    ) -> None:
        self.now = now
        self.touched: dict[str, SqliteLog] = {}
        self.rows: list[tuple[int, int, int, int, bytes | None, bytes]] = []
        self.keys: dict[tuple[str, str], KnownKey] = {}
        self.states: dict[tuple[int, str], WrittenRow] = {}
        self.changed: dict[str, SqliteLog] = {}  # new channels, and those whose `trimmed` changed
        self.announced: list[Event] = []
        self.born: list[str] = []
        self.next_channel = logs.next_channel
        self._logs = logs
        self._subscribed = subscribed
        self._newest_on_disk = newest

    def publish(self, events: Sequence[NewEvent]) -> list[Receipt | EventHubError]:
        """Add events. Returns one result per event."""
        return [self._publish(event) for event in events]

    def log(self, channel: str) -> SqliteLog | None:
        """A copy of the channel's log, which this transaction changes."""
        if (log := self.touched.get(channel)) is None and (
            known := self._logs.channels.get(channel)
        ) is not None:
            log = self.touched[channel] = copy.copy(known)
        return log

    def apply(self) -> None:
        """The transaction is on disk: apply its changes to the logs."""
        logs = self._logs
        logs.channels.update(self.touched)
        logs.next_channel = self.next_channel
        for (channel, key), known in self.keys.items():
            logs.load_key(channel, key, known)
        logs.forget_keys(self.now)
        for name, log in self.touched.items():
            if log.excessive:
                logs.excessive[name] = None
            elif name in logs.excessive and not log.expired(self.now):
                del logs.excessive[name]

    def _publish(self, new: NewEvent) -> Receipt | EventHubError:
        digest = b""
        if new.key is not None:
            digest = event_digest(new)
            if (known := self._known((new.channel, new.key))) is not None:
                first = Position(self._logs.epoch, known.offset)
                if known.digest != digest:
                    return IdempotencyConflict(str(first))
                return Receipt(first, known.time, replayed=True)
        if new.expected is not None and (failed := self._precondition(new, new.expected)):
            return failed
        if (log := self.log(new.channel) or self._create(new.channel)) is None:
            limit = self._logs.max_channels
            return TooManyChannels(
                f"this server holds {limit} channels with events or subscribers, "
                "which is its limit (limits.channels)"
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
        if log.is_birth(new.time):
            self.born.append(log.name)
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
            encoded = orjson.dumps(attributes) if attributes is not None else None
            self.rows.append((log.id, offset, log.number, new.time, encoded, new.data))
        if log.retention.state is not None and (
            log.retention.state.latest or log.retention.events > 0
        ):
            self._keep_newest(log, new, offset)
        if log.name in self._subscribed:
            self.announced.append(
                Event(log.name, self._logs.epoch, offset, previous, new.time, new.data, attributes)
            )
        return Receipt(Position(self._logs.epoch, offset), new.time)

    def _keep_newest(self, log: SqliteLog, new: NewEvent, offset: int) -> None:
        """The event is the newest of its key."""
        state, key, deleted = log.retention.state, key_of(new), is_deletion(new)
        assert state is not None
        if state.latest:
            before = self._newest(log, key)
            log.keys += (not deleted) - (before is not None and not before.deleted)
            log.deletions += deleted - (before is not None and before.deleted)
        encoded = orjson.dumps(dict(new.attributes)) if new.attributes is not None else None
        row = (log.id, key, offset, log.number, new.time, encoded, new.data, deleted)
        self.states[log.id, key] = row

    def _newest(self, log: SqliteLog, key: str) -> StateRow | None:
        """The newest event of a key, or its deletion."""
        if (row := self.states.get((log.id, key))) is None:
            return self._newest_on_disk(log, key)
        _, _, offset, number, time, _, _, deleted = row
        return StateRow(offset, number, time, deleted)

    def _precondition(self, new: NewEvent, expected: Position) -> PreconditionFailed | None:
        """The error of an event whose precondition does not hold."""
        newest = None
        if (log := self.log(new.channel)) is not None:
            found = self._newest(log, key_of(new))
            if found is not None and not found.deleted and self._keeps(log, found):
                newest = Position(self._logs.epoch, found.offset)
        return None if is_expected(expected, newest) else precondition_failed(expected, newest)

    def _keeps(self, log: SqliteLog, row: StateRow) -> bool:
        """Whether the state still has this entry."""
        retention, state = log.retention, log.retention.state
        if state is None:
            return False
        age = state.age if state.latest else retention.age
        is_young = age is None or row.time >= self.now - age
        return is_young and (state.latest or row.number > log.number - retention.events)
