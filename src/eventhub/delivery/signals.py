"""The signals that wait to be written to live subscribers.

They are written when no event is. A subscriber whose outgoing buffer has no room for signals gets
none, and misses nothing else. The bytes are built once for each encoding, for all signals that wait
together.
"""

from collections import Counter, deque
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from eventhub.delivery.bulk_write import Failure, Write, write_all
from eventhub.delivery.encoding import Encoding
from eventhub.events.signal import Signal

SIGNAL_SHARE = 4
"""Signals use at most this part of an outgoing buffer: a quarter. A subscriber that was too slow is
live again from there on.
"""
WAITING_BYTES = 64 * 1024
"""Size of the signals that may wait. Beyond it, the oldest are dropped."""
OVERHEAD = 128
"""What a signal takes besides its data and attributes."""

Live = Mapping[Encoding, Mapping[Hashable, Write]]


class SignalCounters(Protocol):
    """What happened to signals of one channel type."""

    signals: int
    signals_dropped: Counter[str]


@dataclass(slots=True, eq=False)
class SignalBatch:
    """Signals on their way to the subscribers of one encoding. `size` is the room they take."""

    encoding: Encoding
    data: bytes
    counts: Counter[SignalCounters]
    keys: Iterator[Any]
    size: int


class SignalQueue:
    """The signals of one fan-out that wait. A key of its subscribers has a `writer`."""

    __slots__ = ("_batches", "_size", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[tuple[Signal, SignalCounters]] = deque()
        self._size = 0
        self._batches: deque[SignalBatch] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting or self._batches)

    def push(self, signal: Signal, counters: SignalCounters, readers: int) -> None:
        """Add a signal for so many subscribers. Drops the oldest ones that are not built yet."""
        self._size += _size(signal)
        self._waiting.append((signal, counters))
        while self._size > WAITING_BYTES and (self._batches or len(self._waiting) > 1):
            dropped, theirs = self._waiting.popleft()
            self._size -= _size(dropped)
            theirs.signals_dropped["busy"] += readers
            if not self._waiting:
                return

    def build(self, live: Live) -> None:
        """Encode what waits, once for each encoding: those who come later get none of it."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, deque()
        counts = Counter(counters for _, counters in waiting)
        size = sum(_size(signal) for signal, _ in waiting)
        for encoding, writes in live.items():
            data = b"".join([encoding.signal(signal) for signal, _ in waiting])
            self._batches.append(SignalBatch(encoding, data, counts, iter(list(writes)), size))
            size = 0
        self._size -= size  # nobody is left

    def advance(self, live: Live, limit: int) -> tuple[int, list[Failure]]:
        """Write to at most `limit` subscribers. Returns the work done, and the writes that raised.

        Those that have left since the bytes were built get nothing.
        """
        if not self._batches:
            self.build(live)
        if not self._batches:  # everybody has left
            return 1, []
        batch = self._batches[0]
        keys = list(islice(batch.keys, limit))
        if len(keys) < limit:
            self._batches.popleft()
            self._size -= batch.size
        writes, size = live.get(batch.encoding, {}), len(batch.data)
        present = [key for key in keys if key in writes]
        targets = [writes[key] for key in present if key.writer.takes_signal(size)]
        failures = write_all(targets, batch.data)
        for counters, count in batch.counts.items():
            counters.signals += count * (len(targets) - len(failures))
            counters.signals_dropped["slow"] += count * (len(present) - len(targets))
        return max(1, len(present)), failures


def _size(signal: Signal) -> int:
    attributes = sum(map(len, signal.attributes.values())) if signal.attributes else 0
    return len(signal.data) + attributes + OVERHEAD
