"""One transaction of the writer: what it stores, and what changes once it is on disk. No I/O."""

import copy
from collections.abc import Iterable, Sequence

import orjson

from eventhub.brokers.idempotency import KEY_AGE, data_digest
from eventhub.brokers.sqlite.logs import KnownKey, SqliteLog, SqliteLogs
from eventhub.errors import EventHubError, IdempotencyConflict, TooManyChannels
from eventhub.events.event import Event, NewEvent, Position, Receipt


class WriteTransaction:
    """What to write, and what to announce once it is written. Works on copies of the logs."""

    def __init__(self, logs: SqliteLogs, now: int, subscribed: Iterable[str]) -> None:
        self.now = now
        self.touched: dict[str, SqliteLog] = {}
        self.rows: list[tuple[int, int, int, int, bytes | None, bytes]] = []
        self.keys: dict[tuple[str, str], KnownKey] = {}
        self.changed: dict[str, SqliteLog] = {}  # new channels, and those whose `trimmed` changed
        self.announced: list[Event] = []
        self.born: list[str] = []
        self.next_channel = logs.next_channel
        self._logs = logs
        self._subscribed = subscribed

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
            digest = data_digest(new.data)
            if (known := self._known((new.channel, new.key))) is not None:
                first = Position(self._logs.epoch, known.offset)
                if known.digest != digest:
                    return IdempotencyConflict(str(first))
                return Receipt(first, known.time, replayed=True)
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
        if log.name in self._subscribed:
            self.announced.append(
                Event(log.name, self._logs.epoch, offset, previous, new.time, new.data, attributes)
            )
        return Receipt(Position(self._logs.epoch, offset), new.time)
