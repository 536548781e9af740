"""Keeps refused events at the broker, lists them and removes them.

Those of a channel type are in a channel of a type of its own, `_refused-` and the type's name,
which nobody can declare or read. So every broker bounds them by count and age. A removal is a
record behind the entry. Of the entries in the channel, the newest ones are shown, as many as the
setting says, without those that were removed.

An entry is stored after its request was answered. A client that sends nothing but bad events must
not cost a broker more than good ones do: so each node keeps RATE a second of each channel type,
and QUEUE_EVENTS wait at most. The others are only counted.
"""

import secrets
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence

import orjson
import structlog

from eventhub.brokers.base import Broker
from eventhub.common.faults import Faults
from eventhub.common.token_bucket import TokenBucket
from eventhub.errors import EventHubError, NotFound
from eventhub.events.channel_types import ChannelType, ChannelTypes
from eventhub.events.event import Earliest, NewEvent, Start
from eventhub.events.refused_event import (
    REFUSED_PREFIX,
    Received,
    RefusedEvent,
    beginning,
    bounded,
    valid,
)
from eventhub.hub.publisher import Spawn
from eventhub.observability.metrics import Reading

KEPT = frozenset(
    (
        "invalid_json", "too_deep", "invalid_event", "invalid_request", "invalid_frame",
        "unsupported_media_type", "idempotency_conflict", "payload_too_large",
    )
)  # fmt: skip
"""Codes of events that are refused for what they are. Sent again, they are refused again."""
SIZES = ("event_bytes", "body_bytes", "batch")
"""Limits of the size of an event. Others that are too large are too many for a rate."""
RATE, BURST = 10, 100
"""Entries a second of a channel type that a node keeps, and at once after a pause."""
QUEUE_EVENTS, QUEUE_BYTES = 1000, 4 * 1024 * 1024
"""Entries that wait to be stored, and the bytes of their payloads."""
CALL_EVENTS = 20
"""Entries in one call of the broker."""
PAGE = 1000
REASONS = ("rate", "queue", "broker")
"""Why an entry is not kept."""

log = structlog.get_logger("eventhub.refused")


class RefusedEvents:
    """The refused events that this node keeps, and those of all nodes to read."""

    def __init__(
        self,
        types: ChannelTypes,
        broker: Broker,
        spawn: Spawn,
        faults: Faults,
        now: Callable[[], int],
    ) -> None:
        self._types, self._broker, self._spawn, self._faults = types, broker, spawn, faults
        self._now = now
        self._buckets: dict[str, TokenBucket] = {}
        self._queue: deque[RefusedEvent] = deque()
        self._bytes = 0
        self._writing = False
        self._node, self._number = secrets.token_hex(4), 0
        self._kept = Counter[str]()
        self._dropped = Counter[tuple[str, str]]()

    # Keeping

    def add(self, error: EventHubError, received: Received) -> None:
        """Keep a refused event of an existing type, if its error is one that is kept. Never raises.

        It is stored in a later turn of the loop.
        """
        if error.code in KEPT and (error.code != "payload_too_large" or error.limit in SIZES):
            self._faults.contain("refused", lambda: self._add(error, received))

    def _add(self, error: EventHubError, received: Received) -> None:
        channel_type = self._types.resolve(received.channel)
        name, retention = channel_type.name, channel_type.refused
        if not retention.events or not (received.body or received.cut):
            return
        now = self._now()
        bucket = self._buckets.setdefault(name, TokenBucket(RATE, BURST))
        if bucket.wait(now):
            self._dropped[name, "rate"] += 1
            return
        payload = beginning(received.body, retention.bytes)
        if len(self._queue) >= QUEUE_EVENTS or self._bytes + len(payload) > QUEUE_BYTES:
            self._dropped[name, "queue"] += 1
            return
        bucket.spend(1, now)
        size = len(received.body)
        entry = RefusedEvent(
            self._new_id(now),
            now,
            received.channel,
            bounded(error.as_dict()),
            received.by,
            received.transport,
            received.key,
            valid(received.attributes),
            received.options or {},
            payload,
            size,
            received.cut or len(payload) < size,
        )
        self._queue.append(entry)
        self._bytes += len(payload)
        if not self._writing:
            self._writing = True
            self._spawn(self._write(), "refused", self._stopped)

    def _new_id(self, now: int) -> str:
        """The ids of all nodes are in the order of time."""
        self._number = (self._number + 1) % 0x10000
        return f"{now:012x}{self._number:04x}{self._node}"

    def _stopped(self, _: EventHubError) -> None:
        self._writing = False

    async def _write(self) -> None:
        while self._queue:
            count = min(CALL_EVENTS, len(self._queue))
            entries = [self._queue.popleft() for _ in range(count)]
            self._bytes -= sum(len(each.payload) for each in entries)
            for entry, stored in zip(entries, await self._store(entries), strict=True):
                if stored:
                    self._kept[entry.type] += 1
                else:
                    self._dropped[entry.type, "broker"] += 1
        self._writing = False

    async def _store(self, entries: Sequence[RefusedEvent]) -> list[bool]:
        """Whether each was stored."""
        events = [
            NewEvent(REFUSED_PREFIX + entry.type, entry.dump(), entry.time, None, entry.id)
            for entry in entries
        ]
        try:
            results = await self._broker.publish(events)
        except EventHubError as error:
            log.warning("refused_not_kept", events=len(events), reason=error.code)
            return [False] * len(events)
        return [not isinstance(result, EventHubError) for result in results]

    # Reading

    async def heads(self, channel_type: ChannelType) -> list[RefusedEvent]:
        """The refused events of a type without their payloads, the oldest first.

        Raises BrokerUnavailable.
        """
        return await self._read(channel_type, None)

    async def entry(self, channel_type: ChannelType, entry_id: str) -> RefusedEvent:
        """A refused event. Raises NotFound, BrokerUnavailable."""
        for each in await self._read(channel_type, entry_id):
            if each.id == entry_id:
                return each
        raise self.not_found(channel_type, entry_id)

    @staticmethod
    def not_found(channel_type: ChannelType, entry_id: str) -> NotFound:
        """The error for an entry that is not there."""
        return NotFound(
            f"channel type {channel_type.name!r} keeps no refused event {entry_id[:80]!r}; it was "
            "published or discarded, or it is beyond channels."
            f"{channel_type.name}.refused"
        )

    async def _read(self, channel_type: ChannelType, wanted: str | None) -> list[RefusedEvent]:
        """Those of a type. Only the wanted one has its payload: all may be many bytes."""
        channel, since = REFUSED_PREFIX + channel_type.name, Earliest()
        entries: list[RefusedEvent] = []
        removed: set[str] = set()
        if not channel_type.refused.events:
            return []
        begin: Start = since
        while True:
            page = await self._broker.history(channel, begin, PAGE)
            for event in page.events:
                try:
                    fields = orjson.loads(event.data)
                    if "removed" in fields:
                        removed.add(fields["removed"])
                    else:
                        fields = fields if fields["id"] == wanted else {**fields, "payload": ""}
                        entries.append(RefusedEvent.load(fields))
                except (ValueError, KeyError, TypeError, AttributeError):
                    log.error("refused_unreadable", type=channel_type.name, id=str(event.position))
            if page.reached == page.end or not page.events:
                shown = entries[-channel_type.refused.events :]
                return [entry for entry in shown if entry.id not in removed]
            begin = page.reached

    # Removing

    async def remove(self, channel_type: ChannelType, entry: RefusedEvent) -> None:
        """Show an entry no longer, on all nodes. Raises BrokerUnavailable."""
        record = orjson.dumps({"removed": entry.id})
        key = f"removed {entry.id}"
        event = NewEvent(REFUSED_PREFIX + channel_type.name, record, self._now(), None, key)
        (result,) = await self._broker.publish([event])
        if isinstance(result, EventHubError):
            raise result

    # Metrics

    async def readings(self) -> AsyncIterator[Reading]:
        """Metrics: refused events that were kept, and that were not."""
        names = [each.name for each in self._types if each.refused.events]
        yield (
            "eventhub_refused_kept_total",
            "Refused events that were kept",
            {(name,): self._kept[name] for name in names},
            ("type",),
        )
        yield (
            "eventhub_refused_dropped_total",
            "Refused events that were not kept, although their type keeps them",
            {(name, why): self._dropped[name, why] for name in names for why in REASONS},
            ("type", "reason"),
        )
