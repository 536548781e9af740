"""The embedded broker: one process, nothing to install, logs gone when it stops.

Bounds: retention per channel; `max_bytes` of events over all channels (the largest logs lose their oldest half first); `max_channels`
(further ones are refused); `max_keys` idempotency keys (the oldest are forgotten first).
"""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from hashlib import blake2b

from eventhub.brokers.base import Deliver, OnGap, OnMessage
from eventhub.brokers.retained import RetainedEvents
from eventhub.errors import EventHubError, IdempotencyConflict, TooManyChannels
from eventhub.events.channels import Retention
from eventhub.events.event import (
    Age,
    Earliest,
    Event,
    HistoryPage,
    Last,
    NewEvent,
    Position,
    Receipt,
    build_many,
)
from eventhub.observability.metrics import Reading

EVENT_OVERHEAD = 250
"""Bytes an event costs beyond its data."""
PAGE_BYTES = 256 * 1024
SWEEP_SECONDS = 30
RESCAN = 1000
"""Milliseconds between two searches for channels to forget, once there were none."""
KEY_AGE = 600_000
"""Milliseconds for which an idempotency key is known."""


class Ledger:
    """Bytes held by all logs together."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0


class MemoryLog:
    """One channel's events. Everything up to offset `trimmed` is gone."""

    __slots__ = ("bytes", "events", "ledger", "retention", "tip", "trimmed")

    def __init__(self, retention: Retention, floor: int, ledger: Ledger) -> None:
        self.events = RetainedEvents()
        self.ledger = ledger
        self.retention = retention
        self.tip = self.trimmed = floor
        self.bytes = 0

    def extend(self, events: Sequence[Event]) -> None:
        """Add events that follow one another."""
        self.tip = events[-1].offset
        if self.retention.events == 0:
            self.trimmed = self.tip
            return
        self.events.extend(events)
        size = sum([len(event.data) for event in events]) + EVENT_OVERHEAD * len(events)
        self.bytes += size
        self.ledger.bytes += size
        self.trim(len(self.events) - self.retention.events)
        self.expire(events[-1].time)

    def trim(self, count: int) -> None:
        """Forget the oldest."""
        size = 0
        for _ in range(count):
            gone = self.events.pop_oldest()
            self.trimmed = gone.offset
            size += len(gone.data) + EVENT_OVERHEAD
        self.bytes -= size
        self.ledger.bytes -= size

    def expire(self, now: int) -> None:
        if self.retention.age is not None:
            oldest = now - self.retention.age
            while self.events and self.events[0].time < oldest:
                self.trim(1)


class MemoryBroker:
    """Logs in this process. `retention` gives a channel's retention, `clock` milliseconds since the Unix epoch."""

    def __init__(
        self,
        retention: Callable[[str], Retention],
        clock: Callable[[], int],
        *,
        max_bytes: int = 256 * 1024 * 1024,
        max_channels: int = 100_000,
        max_keys: int = 100_000,
    ) -> None:
        self._retention = retention
        self._clock = clock
        self._max_bytes, self._max_channels, self._max_keys = max_bytes, max_channels, max_keys
        self._epoch = secrets.token_hex(4)
        self._logs: dict[str, MemoryLog] = {}
        self._subscribed: dict[
            str, int
        ] = {}  # where the log begins if there is none: no events, no log, however many listen
        # new logs begin here: above every offset a forgotten log of the same name could have
        # reached
        self._floor = 0
        self._full_until = 0
        self._ledger = Ledger()
        self._keys: OrderedDict[tuple[str, str], tuple[Receipt, bytes]] = OrderedDict()
        self._deliver: Deliver = _nowhere

    async def publish(self, events: Sequence[NewEvent]) -> Sequence[Receipt | EventHubError]:
        channel = events[0].channel
        if all(event.key is None and event.channel == channel for event in events):
            return self._store(channel, events)
        return [self._publish(event) for event in events]

    async def history(
        self, channel: str, since: Position | Earliest | Last | Age, limit: int
    ) -> HistoryPage:
        log = self._logs.get(channel) or self._new_log(channel)
        log.expire(self._clock())
        return _read(log, Position(self._epoch, log.tip), since, limit, self._clock())

    async def subscribe(self, channel: str) -> Position:
        begin = self._subscribed.setdefault(channel, self._floor)
        log = self._logs.get(channel)
        return Position(self._epoch, begin if log is None else log.tip)

    async def unsubscribe(self, channel: str) -> None:
        self._subscribed.pop(channel, None)

    async def broadcast(self, message: bytes) -> None:
        return  # there is no other node

    async def run(self, deliver: Deliver, gap: OnGap, hear: OnMessage) -> None:
        self._deliver = deliver
        try:
            while True:  # retention by age holds for channels that nobody touches, too
                await asyncio.sleep(SWEEP_SECONDS)
                now = self._clock()
                for log in list(self._logs.values()):
                    log.expire(now)
        finally:
            self._deliver = _nowhere

    def unready(self) -> str | None:
        return None

    async def readings(self) -> AsyncIterator[Reading]:
        """What its logs take and may take, for metrics."""
        yield (
            "eventhub_history_bytes",
            "What the memory broker's logs take",
            {(): self._ledger.bytes},
            (),
        )
        yield (
            "eventhub_history_bytes_limit",
            "What they may take (limits.history_bytes)",
            {(): self._max_bytes},
            (),
        )

    def _publish(self, new: NewEvent) -> Receipt | EventHubError:
        if new.key is None:
            return self._store(new.channel, (new,))[0]
        self._forget_keys()
        digest = blake2b(new.data, digest_size=16).digest()
        if (known := self._keys.get((new.channel, new.key))) is not None:
            if known[1] != digest:
                return IdempotencyConflict(str(known[0].position))
            return known[0]._replace(replayed=True)
        (result,) = self._store(new.channel, (new,))
        if isinstance(result, Receipt):
            self._keys[(new.channel, new.key)] = (result, digest)
        return result

    def _store(self, channel: str, events: Sequence[NewEvent]) -> Sequence[Receipt | EventHubError]:
        """Store and announce events of one channel."""
        if channel not in self._logs and not self._has_room():
            limit = f"this server holds {self._max_channels} channels with events, which is its limit (limits.channels)"
            return [TooManyChannels(limit) for _ in events]
        log, epoch = self._log(channel), self._epoch
        stored = build_many(
            Event,
            [
                (channel, epoch, offset, offset - 1, time, data, attributes)
                for offset, (_, data, time, attributes, _) in enumerate(events, log.tip + 1)
            ],
        )
        log.extend(stored)
        if self._ledger.bytes > self._max_bytes:
            self._shrink()
        if channel in self._subscribed:
            for event in stored:
                self._deliver(event)
        return build_many(
            Receipt, [(Position(epoch, event.offset), event.time, False) for event in stored]
        )

    def _log(self, channel: str) -> MemoryLog:
        if (log := self._logs.get(channel)) is None:
            log = self._logs[channel] = self._new_log(channel)
        return log

    def _new_log(self, channel: str) -> MemoryLog:
        return MemoryLog(
            self._retention(channel), self._subscribed.get(channel, self._floor), self._ledger
        )

    def _has_room(self) -> bool:
        """For one more channel, if need be by forgetting those without events."""
        if len(self._logs) < self._max_channels:
            return True
        now = self._clock()
        if now < self._full_until:
            return False
        for channel, log in list(self._logs.items()):
            log.expire(now)
            if not log.events:
                self._forget(channel, log)
        if len(self._logs) < self._max_channels:
            return True
        self._full_until = now + RESCAN
        return False

    def _forget(self, channel: str, log: MemoryLog) -> None:
        self._floor = max(self._floor, log.tip)
        if channel in self._subscribed:
            self._subscribed[channel] = log.tip
        del self._logs[channel]

    def _shrink(self) -> None:
        for log in sorted(self._logs.values(), key=lambda log: log.bytes, reverse=True):
            log.trim((len(log.events) + 1) // 2)
            if self._ledger.bytes <= self._max_bytes * 0.9:
                return

    def _forget_keys(self) -> None:
        oldest = self._clock() - KEY_AGE
        while self._keys and (
            len(self._keys) >= self._max_keys or next(iter(self._keys.values()))[0].time < oldest
        ):
            self._keys.popitem(last=False)


def _read(
    log: MemoryLog, end: Position, since: Position | Earliest | Last | Age, limit: int, now: int
) -> HistoryPage:
    """A page of `log`. What it costs is the page, and for an age a search by halves, however much the log retains."""
    lost = None
    offset = log.trimmed
    match since:
        case Position() if since.epoch != end.epoch or since.offset > end.offset:
            lost = "reset"
        case Position() if since.offset < log.trimmed:
            lost = "expired"
        case Position():
            offset = since.offset
        case Last() if since.count < len(log.events):
            offset = log.tip - since.count
        case Age():
            offset = log.trimmed + log.events.first_since(now - since.milliseconds)
        case _:
            pass
    index = offset - log.trimmed  # offsets of one log are consecutive
    events: list[Event] = []
    size = 0
    while index < len(log.events) and len(events) < limit and size < PAGE_BYTES:
        event = log.events[index]
        events.append(event)
        size += len(event.data)
        index += 1
    return HistoryPage(Position(end.epoch, offset), events, end, lost)


def _nowhere(event: Event) -> None:
    """Nobody listens before `run`."""
