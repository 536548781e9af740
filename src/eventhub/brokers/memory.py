"""The embedded broker: one process, nothing to install, and no events left after it stops.

Bounds: retention per channel; `max_bytes` of events over all channels (beyond it, the largest logs
lose their older half first); `max_channels` (further channels are refused); `max_keys` idempotency
keys (the oldest are forgotten first).
"""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import repeat

from eventhub.brokers.base import Deliver, OnBirth, OnGap, OnMessage, OnSignal, no_signals
from eventhub.brokers.idempotency import KEY_AGE, event_digest
from eventhub.brokers.memory_log import MemoryLog, read_page
from eventhub.brokers.memory_state import Ledger
from eventhub.brokers.states import is_expected, precondition_failed
from eventhub.common.channel_pattern import ChannelPattern
from eventhub.common.sorted_names import SortedNames
from eventhub.errors import EventHubError, IdempotencyConflict, TooManyChannels
from eventhub.events.channel_types import Retention
from eventhub.events.event import (
    ChannelPage,
    ChannelSummary,
    Event,
    HistoryPage,
    NewEvent,
    NewEvents,
    Position,
    Receipt,
    Receipts,
    Start,
    State,
    build_many,
)
from eventhub.events.keys import key_of
from eventhub.events.signal import Signal
from eventhub.observability.metrics import Reading

SWEEP_SECONDS = 30
RESCAN_MILLISECONDS = 1000
"""Pause after a search that found no channel to forget."""


class MemoryBroker:
    """Logs in this process.

    `retention` gives a channel's retention, `clock` milliseconds since the Unix epoch.
    """

    offset_step = 1

    def __init__(
        self,
        retention: Callable[[str], Retention],
        clock: Callable[[], int],
        *,
        max_bytes: int = 256 * 1024 * 1024,
        max_channels: int = 100_000,
        max_keys: int = 100_000,
    ) -> None:
        self._retention, self._clock = retention, clock
        self._max_bytes, self._max_channels, self._max_keys = max_bytes, max_channels, max_keys
        self._epoch = secrets.token_hex(4)
        self._logs: dict[str, MemoryLog] = {}
        self._names = SortedNames(self._logs)
        # Where a subscribed channel's log will begin: a channel without events has no log.
        self._subscribed: dict[str, int] = {}
        # Where a new log begins: above every offset that a forgotten log of the same name reached.
        self._floor = 0
        self._full_until, self._ledger = 0, Ledger()
        self._keys: OrderedDict[tuple[str, str], tuple[Receipt, bytes]] = OrderedDict()
        self._deliver: Deliver = _ignore
        self._born: OnBirth = _ignore
        self.on_signal: OnSignal = no_signals
        self.publish_later = None  # it does not wait

    async def publish(self, events: Sequence[NewEvent]) -> Sequence[Receipt | EventHubError]:
        channel = events[0].channel
        if all(
            new.key is None and new.expected is None and new.channel == channel for new in events
        ):
            return self._store(channel, events)
        return [self.publish_now(event) for event in events]

    def publish_now(self, event: NewEvent) -> Receipt | EventHubError:
        if event.key is None:
            return self._store_if(event)
        self._forget_keys()
        digest = event_digest(event)
        if (known := self._keys.get((event.channel, event.key))) is not None:
            if known[1] != digest:
                return IdempotencyConflict(str(known[0].position))
            return known[0]._replace(replayed=True)
        result = self._store_if(event)
        if isinstance(result, Receipt):
            self._keys[(event.channel, event.key)] = (result, digest)
        return result

    def publish_all_now(self, new: NewEvents) -> Receipts | Sequence[EventHubError]:
        channel, found, time, attributes = new
        if (log := self._log(channel)) is None:
            return [self._too_many() for _ in found]
        first = log.tip + 1
        columns = (
            repeat(channel),
            repeat(self._epoch),
            range(first, first + len(found)),
            range(log.tip, log.tip + len(found)),
            repeat(time),
            found,
            repeat(attributes),
        )
        self._append(log, channel, build_many(Event, zip(*columns, strict=False)))  # some never end
        return Receipts(self._epoch, first, len(found), time)

    async def history(self, channel: str, since: Start, limit: int) -> HistoryPage:
        log = self._new_log(channel) if channel not in self._logs else self._logs[channel]
        log.expire(self._clock())
        end = Position(self._epoch, log.tip)
        if isinstance(since, State):
            return log.state_page(since, end, limit)
        return read_page(log, end, since, limit, self._clock())

    async def channels(self, pattern: ChannelPattern, after: str, limit: int) -> ChannelPage:
        names, following = self._names.page(pattern, after, limit)
        now, found = self._clock(), []
        for name in names:
            log = self._logs[name]
            log.expire(now)
            if count := len(log.events):
                head = Position(self._epoch, log.tip)
                found.append(ChannelSummary(name, head, log.events[count - 1].time, count))
        return ChannelPage(found, following)

    async def subscribe(self, channel: str) -> Position:
        begin = self._subscribed.setdefault(channel, self._floor)
        log = self._logs.get(channel)
        return Position(self._epoch, begin if log is None else log.tip)

    async def unsubscribe(self, channel: str) -> None:
        self._subscribed.pop(channel, None)

    async def broadcast(self, message: bytes) -> None:
        return  # there is no other node

    def signal(self, signal: Signal) -> None:
        if signal.channel in self._subscribed:
            self.on_signal(signal)

    async def run(self, deliver: Deliver, gap: OnGap, on_message: OnMessage, born: OnBirth) -> None:
        self._deliver, self._born = deliver, born
        born(None)
        try:
            while True:  # events expire in idle channels, too
                await asyncio.sleep(SWEEP_SECONDS)
                now = self._clock()
                for log in list(self._logs.values()):
                    log.expire(now)
        finally:
            self._deliver = self._born = _ignore
            self.on_signal = no_signals

    def unready(self) -> str | None:
        return None

    async def readings(self) -> AsyncIterator[Reading]:
        """The size of its logs, and the limit, for metrics."""
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

    def _store_if(self, new: NewEvent) -> Receipt | EventHubError:
        """Store and announce an event if its precondition holds."""
        if new.expected is not None:
            newest = self._newest(new)
            if not is_expected(new.expected, newest):
                return precondition_failed(new.expected, newest)
        return self._store_one(new)

    def _newest(self, new: NewEvent) -> Position | None:
        """The newest event with the state key of a new one."""
        if (log := self._logs.get(new.channel)) is None or log.state is None:
            return None
        log.expire(self._clock())
        return log.state.newest(key_of(new))

    def _store_one(self, new: NewEvent) -> Receipt | EventHubError:
        """Store and announce an event. A named tuple of a complete row is made fastest so."""
        channel, data, time, attributes, _, _ = new
        if (log := self._log(channel)) is None:
            return self._too_many()
        epoch, previous = self._epoch, log.tip
        offset = previous + 1
        event = tuple.__new__(Event, (channel, epoch, offset, previous, time, data, attributes))
        log.append(event)
        if self._ledger.bytes > self._max_bytes:
            self._shrink()
        if channel in self._subscribed:
            self._deliver(event)
        if log.trimmed >= previous and log.is_birth(time):
            self._born(channel)
        return tuple.__new__(Receipt, (tuple.__new__(Position, (epoch, offset)), time, False))

    def _store(self, channel: str, events: Sequence[NewEvent]) -> Sequence[Receipt | EventHubError]:
        """Store and announce events of one channel."""
        if (log := self._log(channel)) is None:
            return [self._too_many() for _ in events]
        epoch = self._epoch
        stored = build_many(
            Event,
            [
                (channel, epoch, offset, offset - 1, time, data, attributes)
                for offset, (_, data, time, attributes, _, _) in enumerate(events, log.tip + 1)
            ],
        )
        self._append(log, channel, stored)
        return build_many(
            Receipt, [(Position(epoch, event.offset), event.time, False) for event in stored]
        )

    def _append(self, log: MemoryLog, channel: str, stored: Sequence[Event]) -> None:
        """Retain and announce the next events of a channel."""
        previous = log.tip
        log.extend(stored)
        if self._ledger.bytes > self._max_bytes:
            self._shrink()
        if channel in self._subscribed:
            for event in stored:
                self._deliver(event)
        if log.trimmed >= previous and log.is_birth(stored[-1].time):
            self._born(channel)

    def _log(self, channel: str) -> MemoryLog | None:
        """The channel's log. None when it has none, and there is no room for one."""
        if (log := self._logs.get(channel)) is None and self._has_room():
            log = self._logs[channel] = self._new_log(channel)
            self._names.add(channel)
        return log

    def _too_many(self) -> TooManyChannels:
        return TooManyChannels(
            f"this server holds {self._max_channels} channels with events, "
            "which is its limit (limits.channels)"
        )

    def _new_log(self, channel: str) -> MemoryLog:
        return MemoryLog(
            self._retention(channel), self._subscribed.get(channel, self._floor), self._ledger
        )

    def _has_room(self) -> bool:
        """Whether one more channel fits. Channels without events are forgotten if need be."""
        if len(self._logs) < self._max_channels:
            return True
        now = self._clock()
        if now < self._full_until:
            return False
        for channel, log in list(self._logs.items()):
            log.expire(now)
            if not log:
                self._forget(channel, log)
        if len(self._logs) < self._max_channels:
            return True
        self._full_until = now + RESCAN_MILLISECONDS
        return False

    def _forget(self, channel: str, log: MemoryLog) -> None:
        self._floor = max(self._floor, log.tip)
        if channel in self._subscribed:
            self._subscribed[channel] = log.tip
        del self._logs[channel]

    def _shrink(self) -> None:
        """Forget the older half of the largest logs until 90% of the limit is left."""
        for log in sorted(self._logs.values(), key=lambda log: log.size, reverse=True):
            log.shrink()
            if self._ledger.bytes <= self._max_bytes * 0.9:
                return

    def _forget_keys(self) -> None:
        oldest = self._clock() - KEY_AGE
        while self._keys and (
            len(self._keys) >= self._max_keys or next(iter(self._keys.values()))[0].time < oldest
        ):
            self._keys.popitem(last=False)


def _ignore(event_or_channel: Event | str | None) -> None:
    """Stands in for `deliver` and `born` outside of `run`."""
