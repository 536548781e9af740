"""Writes a channel's events to its live subscribers: one call for each subscriber, no await.

Events that arrive together are joined into one write. A write to many subscribers is done in parts,
so that other channels and connections are served in between. Writes go out in order, each to the
subscribers that were live when it was queued.
"""

from collections import deque
from collections.abc import Callable, Hashable, ValuesView
from typing import Any

from eventhub.delivery.bulk_write import Failure, Write, write_all
from eventhub.delivery.counters import DeliveryCounters
from eventhub.delivery.encoding import Encoding, Joined, joined
from eventhub.delivery.fanout_owner import FanoutOwner
from eventhub.delivery.filtering import BATCH_EVENTS, FilteredReaders, readers_of
from eventhub.delivery.queued_write import QueuedWrite
from eventhub.delivery.signals import SignalQueue
from eventhub.events.event import Event
from eventhub.events.signal import Signal

QUEUED_BYTES = 256 * 1024
"""With more bytes queued, a channel has no room for further events."""
WRITE_BYTES = 16 * 1024
"""Copying this many bytes costs about as much as the rest of one write."""
MAX_REMOVED = 1000
"""Entries of `_removed` are deleted when the queue is empty. Above this number, entries that no
queued write needs are deleted earlier.
"""


class Fanout:
    """The live subscribers of one channel by encoding, and the writes queued for them.

    A key identifies a subscriber, and `write` is its writer's bound method.
    """

    __slots__ = (
        "_counters",
        "_joined",
        "_live",
        "_owner",
        "_pending",
        "_pending_bytes",
        "_queue",
        "_queued_bytes",
        "_queued_count",
        "_removed",
        "_signals",
        "written",
    )

    def __init__(
        self, counters: DeliveryCounters, owner: FanoutOwner, encode: Joined = joined
    ) -> None:
        self._counters = counters
        self._joined = encode
        self._owner = owner
        self._live: dict[Encoding, dict[Hashable, Write]] = {}
        self._pending: list[Event] = []  # not encoded yet
        self._pending_bytes = self._queued_bytes = 0
        self._queue: deque[QueuedWrite] = deque()
        self._queued_count = 0  # writes queued so far
        self._removed: dict[Write, int] = {}  # value: number of the last queued write to withhold
        self._signals: SignalQueue | None = None  # made for the first one
        self.written: list[Event] = []
        """Events that have reached everybody since the owner last took this list."""

    def __len__(self) -> int:
        return sum(map(len, self._live.values()))

    @property
    def unfiltered(self) -> int:
        """How many subscribers have no filter."""
        return sum([len(each) for each in self._live.values() if type(each) is dict])

    def __bool__(self) -> bool:
        return bool(self._live)

    @property
    def writes(self) -> list[ValuesView[Write]]:
        """The writes of all subscribers."""
        return [writes.values() for writes in self._live.values()]

    def keys(self) -> list[Any]:
        """The keys of all subscribers."""
        return [key for writes in self._live.values() for key in writes]

    @property
    def due(self) -> bool:
        """Whether `advance` has work to do."""
        return bool(self._pending or self._queue or self._signals)

    @property
    def pending(self) -> int:
        """Events that will be joined into the next write."""
        return len(self._pending)

    @property
    def has_room(self) -> bool:
        """Whether another event may be pushed. `advance` makes room."""
        return self._pending_bytes + self._queued_bytes <= QUEUED_BYTES

    def add(self, key: Hashable, encoding: Encoding, write: Write) -> None:
        """Add a subscriber. It gets the events and signals that come from now on."""
        self._queue_pending()
        if self._signals:
            self._signals.build(self._live)
        if (writes := self._live.get(encoding)) is None:
            writes = self._live[encoding] = readers_of(encoding)
        writes[key] = write
        if isinstance(writes, FilteredReaders):
            writes.added(key, encoding)

    def remove(self, key: Hashable, encoding: Encoding) -> bool:
        """Remove a subscriber. It gets nothing more, not even queued writes. False if not live."""
        writes = self._live.get(encoding)
        if writes is None or (write := writes.pop(key, None)) is None:
            return False
        if isinstance(writes, FilteredReaders):
            writes.untold.pop(key, None)
        if self._queue:
            self._removed[write] = self._queued_count
        if not writes:
            del self._live[encoding]
        return True

    def push(self, event: Event) -> None:
        """Queue an event for all live subscribers. The caller has checked `has_room`."""
        self._pending.append(event)
        self._pending_bytes += len(event.data)

    def signal(self, signal: Signal, counters: DeliveryCounters) -> bool:
        """Queue a signal, behind all events. Returns whether `advance` now has work, as its first.

        It takes no room from events. `counters` are those of its channel's type.
        """
        if not self._live:
            return False
        idle = not self.due
        if self._signals is None:
            self._signals = SignalQueue()
        self._signals.push(signal, counters, len(self))
        return idle

    def has(self, encoding: Encoding) -> bool:
        """Whether there is a subscriber with this encoding."""
        return encoding in self._live

    def encode(self) -> None:
        """Encode what was pushed. Writing it may take longer."""
        self._queue_pending()
        for queued in list(self._queue):
            self._select(queued)

    def encodings(self) -> list[Encoding]:
        """The encodings of all subscribers."""
        return list(self._live)

    def advance(self, limit: int) -> int:
        """Write to some subscribers. Returns the work done, 0 when nothing is left.

        `limit` and the result count writes of up to WRITE_BYTES; at least one write is done.
        """
        if not self._queue:
            self._queue_pending()
            if not self._queue:
                return self._write_signals(limit) if self._signals else 0
        queued = self._queue[0]
        if queued.unselected:
            return self._select(queued)
        data = queued.data
        cost = 1 + len(data) // WRITE_BYTES
        begin, end = queued.at, min(queued.at + max(1, limit // cost), len(queued.targets))
        queued.at = end  # before writing: so after an error, no subscriber is written to twice
        if self._removed:
            failures = write_all(self._remaining(queued, queued.targets[begin:end]), data)
        else:
            failures = write_all(queued.targets, data, begin, end)
        if end == len(queued.targets):
            self._finish(queued)
        if failures:
            self.report(failures)
        return (end - begin) * cost or 1

    def settle(self, key: Hashable, encoding: Encoding) -> None:
        """Write everything queued for one subscriber now. The caller removes it next."""
        self._queue_pending()
        for queued in [each for each in self._queue if each.encoding == encoding]:
            self._select(queued)
        if (write := self._live.get(encoding, {}).get(key)) is None:
            return  # its filter takes too long
        removed = self._removed.get(write, -1)
        try:
            for queued in self._queue:
                if (
                    queued.encoding == encoding
                    and queued.number > removed
                    and queued.still_to_write(write)
                ):
                    write(queued.data)
        except Exception as error:
            self._owner.serving_failed(key, error)

    def broadcast(self, encode: Callable[[Encoding], bytes]) -> int:
        """Queue one message for all live subscribers. Returns how many there are."""
        self._queue_pending()
        for encoding, writes in self._live.items():
            if data := encode(encoding):
                self._append(encoding, data, writes, [])
        return len(self)

    def _write_signals(self, limit: int) -> int:
        """Write the waiting signals to some subscribers, while there is no event to write."""
        assert self._signals is not None
        work, failures = self._signals.advance(self._live, limit)
        if failures:
            self.report(failures)
        return work

    def _queue_pending(self) -> None:
        """Encode the pending events, once for each encoding, and queue them."""
        if not self._pending:
            return
        events, self._pending, self._pending_bytes = self._pending, [], 0
        for number, (encoding, writes) in enumerate(self._live.items(), 1):
            if isinstance(writes, FilteredReaders):
                self._append_unselected(writes, events, is_last=number == len(self._live))
                continue
            data = self._joined(encoding, events, self._owner.replacement_for)
            self._counters.delivered += len(writes) * len(events)
            self._append(encoding, data, writes, events if number == len(self._live) else [])

    def _append(
        self, encoding: Encoding, data: bytes, writes: dict[Hashable, Write], events: list[Event]
    ) -> None:
        self._queued_count += 1
        self._queued_bytes += len(data)
        targets = list(writes.values())
        self._queue.append(QueuedWrite(self._queued_count, encoding, data, targets, events))

    def _append_unselected(
        self, readers: FilteredReaders, events: list[Event], *, is_last: bool
    ) -> None:
        for begin in range(0, len(events), BATCH_EVENTS):
            batch = events[begin : begin + BATCH_EVENTS]
            self._append(readers.encoding, b"", readers, batch if is_last else [])
            self._queued_bytes += self._queue[-1].await_selection(batch)

    def _select(self, queued: QueuedWrite) -> int:
        """Let a filter select what is written. Returns the work done, as `advance`."""
        events, queued.unselected = queued.unselected, ()
        readers = self._live.get(queued.encoding)
        if not events or not isinstance(readers, FilteredReaders):  # all have left
            return 1
        try:
            found = readers.select(events, self._owner.replacement_for)
        except Exception as error:  # it takes too long, or a fault: only its readers are closed
            for key in list(readers):
                self._owner.serving_failed(key, error)
            return 1
        self._owner.filtered(found, len(queued.waiting))
        queued.selected(found.data)
        if found.notice and readers.untold:
            writes = set(self._remaining(queued, queued.waiting))
            if untold := readers.take_untold(writes):  # a later reader gets none of these events
                self._queue.insert(self._queue.index(queued), queued.before(found.notice, untold))
        return found.work

    def _remaining(self, queued: QueuedWrite, targets: list[Write]) -> list[Write]:
        """Targets without those that were removed since the write was queued."""
        removed = self._removed
        return [write for write in targets if removed.get(write, -1) < queued.number]

    def _finish(self, queued: QueuedWrite) -> None:
        self._queue.popleft()
        self._queued_bytes -= queued.size
        self.written += queued.events
        if self._removed:
            self._forget_removed()

    def report(self, failures: list[Failure]) -> None:
        """Tell the owner of writes that raised."""
        for failed, error in failures:
            keys = [
                key
                for writes in self._live.values()
                for key, write in writes.items()
                if write == failed
            ]
            for key in keys:  # none when it has been removed since the write was queued
                self._owner.serving_failed(key, error)

    def _forget_removed(self) -> None:
        """Delete the entries of `_removed` that no queued write needs."""
        if not self._queue:
            self._removed.clear()
        elif len(self._removed) > MAX_REMOVED:
            first = self._queue[0].number
            self._removed = {write: last for write, last in self._removed.items() if last >= first}
