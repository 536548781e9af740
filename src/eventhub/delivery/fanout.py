"""The live subscribers of one channel, and the writing to all of them. No I/O of its own, no await, no work per subscriber but one call.

Events that arrive together are joined into one write. A large audience is written to in slices, so that other channels and connections
are served in between: what was joined, and for whom, is a wave; waves go out in order, each to those who were live when it was made.
Whoever is to lag gets what is under way to it at once, and the others wait for their turn.
"""

from collections import Counter, deque
from collections.abc import Callable, Hashable
from typing import Any, Protocol

from eventhub.delivery.encoding import Encoding, joined
from eventhub.delivery.writes import Failure, Write, write_all
from eventhub.events.event import Event

QUEUED_BYTES = 256 * 1024
"""With more than this queued, a channel has no room for further events (delivery/feed.py, rule 10)."""
WRITE_BYTES = 16 * 1024
"""As many bytes as cost about as much as a write does otherwise."""
GONE = 1000
"""Who left is forgotten when no wave is under way any more; when there are more than these, those
whom no wave concerns.
"""


class FanoutOwner(Protocol):
    """The feed, which decides what becomes of faults. Neither raises."""

    def broke(self, key: Any, error: Exception) -> None:
        """To write to this one failed: it misses something, so its connection has to end."""
        ...

    def unwritable(self, encoding: Encoding, event: Event, error: Exception) -> bytes:
        """What to write instead of an event that cannot be encoded."""
        ...


class DeliveryCounters:
    """What happened to events of one channel type on this node. Plain counters, read when metrics are scraped."""

    __slots__ = ("delivered", "disconnected", "gaps", "resumed", "skipped")

    def __init__(self) -> None:
        self.delivered = self.resumed = self.disconnected = 0
        self.skipped: Counter[str] = Counter()  # by policy
        self.gaps: Counter[str] = Counter()  # by reason


class QueuedWrite:
    """Events, or a message, on their way to those who were live when it was made. Waves are numbered."""

    __slots__ = ("_places", "at", "data", "encoding", "events", "number", "writes")

    def __init__(
        self, number: int, encoding: Encoding, data: bytes, writes: list[Write], events: list[Event]
    ) -> None:
        self.number = number
        self.encoding = encoding
        self.data = data
        self.writes = writes
        self.at = 0
        self.events = events
        self._places: dict[Write, int] | None = None

    def awaits(self, write: Write) -> bool:
        """It has not been written to this one yet."""
        if self._places is None:  # made once a wave, however many ask
            self._places = {write: place for place, write in enumerate(self.writes)}
        return self._places.get(write, -1) >= self.at


class Fanout:
    """Writers by encoding. Keys tell subscribers apart; a writer is its bound `write`."""

    __slots__ = (
        "_gone",
        "_live",
        "_made",
        "_owner",
        "_pending",
        "_pending_bytes",
        "_tally",
        "_wave_bytes",
        "_waves",
        "written",
    )

    def __init__(self, counters: DeliveryCounters, owner: FanoutOwner) -> None:
        self._tally = counters
        self._owner = owner
        self._live: dict[Encoding, dict[Hashable, Write]] = {}
        self._pending: list[Event] = []
        self._pending_bytes = self._wave_bytes = 0
        self._waves: deque[QueuedWrite] = deque()
        self._made = 0  # waves so far
        self._gone: dict[
            Write, int
        ] = {}  # left while waves were under way: the last of those that they do not get
        self.written: list[
            Event
        ] = []  # events that went out to all since somebody last took this list

    def __len__(self) -> int:
        return sum(map(len, self._live.values()))

    def __bool__(self) -> bool:
        return bool(self._live)

    def keys(self) -> list[Any]:
        """Of all."""
        return [key for writes in self._live.values() for key in writes]

    @property
    def due(self) -> bool:
        """Something is to be written."""
        return bool(self._pending or self._waves)

    @property
    def has_room(self) -> bool:
        """For another event. `advance` makes room."""
        return self._pending_bytes + self._wave_bytes <= QUEUED_BYTES

    def add(self, key: Hashable, encoding: Encoding, write: Write) -> None:
        """Whoever is added gets what is pushed from now on."""
        self._make_wave()
        self._live.setdefault(encoding, {})[key] = write

    def remove(self, key: Hashable, encoding: Encoding) -> bool:
        """Whoever is removed gets nothing more, not even what is under way. False when it was not live."""
        writes = self._live.get(encoding)
        if writes is None or (write := writes.pop(key, None)) is None:
            return False
        if self._waves:
            self._gone[write] = self._made
        if not writes:
            del self._live[encoding]
        return True

    def push(self, event: Event) -> None:
        """Queue an event for all who are live. Whether it has room is for the caller to ask."""
        self._pending.append(event)
        self._pending_bytes += len(event.data)

    def advance(self, limit: int) -> int:
        """Do at most `limit` writes' worth of work, but one write at least. How much it was: 0 when nothing is left."""
        if not self._waves:
            self._make_wave()
            if not self._waves:
                return 0
        wave = self._waves[0]
        data = wave.data
        worth = 1 + len(data) // WRITE_BYTES
        count = max(1, limit // worth)
        part = wave.writes[wave.at : wave.at + count]
        wave.at += count  # before they are written to: whatever goes wrong, nobody gets them twice
        if self._gone:
            part = [write for write in part if self._gone.get(write, -1) < wave.number]
        failures = write_all(part, data)
        if wave.at >= len(wave.writes):
            self._waves.popleft()
            self._wave_bytes -= len(data)
            self.written += wave.events
            if self._gone:
                self._forget_gone()
        if failures:
            self._report(failures)
        return len(part) * worth or 1

    def settle(self, key: Hashable, encoding: Encoding) -> None:
        """Write to one of the live what is queued for it; the others wait for their turn. It must be removed next."""
        self._make_wave()
        write = self._live[encoding][key]
        last = self._gone.get(write, -1)
        try:
            for wave in self._waves:
                if wave.encoding is encoding and wave.number > last and wave.awaits(write):
                    write(wave.data)
        except Exception as error:
            self._owner.broke(key, error)

    def tell(self, encode: Callable[[Encoding], bytes]) -> int:
        """Queue one message for all who are live, behind what is queued. How many they are."""
        self._make_wave()
        for encoding, writes in self._live.items():
            self._queue(encoding, encode(encoding), writes, [])
        return len(self)

    def _make_wave(self) -> None:
        if not self._pending:
            return
        events, self._pending, self._pending_bytes = self._pending, [], 0
        last = len(self._live) - 1
        for number, (encoding, writes) in enumerate(self._live.items()):
            data = joined(encoding, events, self._owner.unwritable)
            self._tally.delivered += len(writes) * len(events)
            self._queue(encoding, data, writes, events if number == last else [])

    def _queue(
        self, encoding: Encoding, data: bytes, writes: dict[Hashable, Write], events: list[Event]
    ) -> None:
        self._made += 1
        self._wave_bytes += len(data)
        self._waves.append(QueuedWrite(self._made, encoding, data, list(writes.values()), events))

    def _report(self, failures: list[Failure]) -> None:
        for failed, error in failures:
            keys = [
                key
                for writes in self._live.values()
                for key, write in writes.items()
                if write == failed
            ]
            for key in keys:  # none when it has left since the wave was made
                self._owner.broke(key, error)

    def _forget_gone(self) -> None:
        """Those who left before the waves that are still under way were made."""
        if not self._waves:
            self._gone.clear()
        elif len(self._gone) > GONE:
            first = self._waves[0].number
            self._gone = {write: last for write, last in self._gone.items() if last >= first}
