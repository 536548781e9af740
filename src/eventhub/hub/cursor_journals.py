"""Stores the records of cursors at the broker, and reads them.

A journal is a channel of the type JOURNAL_TYPE, which nobody can declare or read. Records are
stored one call after the other, in the order in which they were added, and each again until it is
stored: so `stored` tells what may be sent. A record that cannot be stored is given up, and so
is one that is added while QUEUE_BYTES wait: a cursor that needs it will be answered as an expired
one.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from itertools import islice
from typing import NamedTuple

import structlog

from eventhub.brokers.base import Broker
from eventhub.common.clock import unix_milliseconds
from eventhub.delivery.pattern_cursor import (
    DEPTH,
    RecordName,
    UnreadableJournal,
    parse_pattern_cursor,
    read_journal,
)
from eventhub.errors import BrokerUnavailable, EventHubError
from eventhub.events.channel_types import JOURNAL_TYPE
from eventhub.events.event import Earliest, NewEvent, Position
from eventhub.hub.tasks import Tasks
from eventhub.observability.metrics import Reading

CALL_RECORDS = 100
"""Records in one call of the broker."""
RETRY_SECONDS = 0.2
QUEUE_BYTES = 16 * 1024 * 1024
"""Records that wait to be stored."""
WAIT_SECONDS = 5.0
"""How long a page of history waits for the record of its cursor."""
PAGE = 1000

log = structlog.get_logger("eventhub.cursors")


class ResolvedCursor(NamedTuple):
    """The positions that a cursor and its journals say, and how the other channels begin."""

    base: str
    positions: dict[str, str]
    journals: int
    """How many journals had to be read."""


class CursorJournals:
    """The journals that this node writes, and those of all nodes to read."""

    def __init__(self, broker: Broker, tasks: Tasks) -> None:
        self.added = self.stored = 0
        """Records so far. Those up to number `stored` are at the broker."""
        self.lost = 0
        """Records that were given up."""
        self._broker = broker
        self._tasks = tasks
        self._queue: deque[NewEvent | int] = deque()
        """A number stands for so many records that were given up: they count in their turn."""
        self._bytes = 0
        self._writing = False
        self._waiting: dict[Callable[[], None], None] = {}

    # Journals

    def new(self) -> str:
        """Journals: a name."""
        return secrets.token_hex(6)

    def add(self, name: RecordName, record: bytes) -> None:
        """Journals: store a record soon."""
        self.added += 1
        channel, key = f"{JOURNAL_TYPE}.{name.journal}", str(name.number)
        if self._bytes + len(record) > QUEUE_BYTES:
            self._give_up_next()
        else:
            self._bytes += len(record)
            self._queue.append(NewEvent(channel, record, unix_milliseconds(), None, key))
        if not self._writing:
            self._writing = True
            self._tasks.spawn(self._write(), "cursors", self._failed)

    def when_stored(self, wake: Callable[[], None]) -> None:
        """Call this once when more records are stored than now."""
        self._waiting[wake] = None

    def forget(self, wake: Callable[[], None]) -> None:
        """Do not call this."""
        self._waiting.pop(wake, None)

    async def all_stored(self) -> None:
        """Wait until every record that has been added is stored or given up.

        Raises BrokerUnavailable after WAIT_SECONDS.
        """
        last, progress = self.added, asyncio.Event()
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while self.stored < last:
                    progress.clear()
                    self.when_stored(progress.set)
                    await progress.wait()
        except TimeoutError:
            raise BrokerUnavailable(
                f"the cursor of this page could not be stored in {WAIT_SECONDS:g} seconds"
            ) from None
        finally:
            self.forget(progress.set)

    # Reading

    async def resolve(self, text: str, name: str, pattern: str) -> ResolvedCursor:
        """What a cursor says.

        Raises InvalidSince for a malformed cursor, UnreadableJournal for one that has expired or is
        of another pattern, BrokerUnavailable.
        """
        parsed = parse_pattern_cursor(text, name)
        at = dict(parsed.moved)
        for depth in range(DEPTH + 2):
            if (record := parsed.record) is None:
                return ResolvedCursor(parsed.base, at, depth)
            parsed = read_journal(await self._read(record), record.number, pattern)
            at = {**parsed.moved, **at}
        raise UnreadableJournal("it begins with the end of another one too often")

    async def _read(self, name: RecordName) -> list[bytes]:
        records: list[bytes] = []
        since: Earliest | Position = Earliest()
        while len(records) < name.number:
            page = await self._broker.history(f"{JOURNAL_TYPE}.{name.journal}", since, PAGE)
            if not page.events:
                break
            records += [event.data for event in page.events]
            since = page.reached
        return records

    async def readings(self) -> AsyncIterator[Reading]:
        """What became of records, for metrics."""
        counts = {("stored",): self.stored - self.lost, ("lost",): self.lost}
        yield (
            "eventhub_cursor_records_total",
            "Records of cursors of patterns",
            counts,
            ("outcome",),
        )
        yield (
            "eventhub_cursor_records_waiting",
            "Records of cursors that are not stored yet",
            {(): self.added - self.stored},
            (),
        )

    # Writing

    async def _write(self) -> None:
        while self._queue:
            batch = list(islice(self._queue, CALL_RECORDS))
            records = [each for each in batch if not isinstance(each, int)]
            try:
                results: Sequence[object] = await self._broker.publish(records) if records else ()
            except BrokerUnavailable as error:
                log.warning("cursors_not_stored", reason=error.message)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if any(isinstance(result, BrokerUnavailable) for result in results):
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self._give_up(result for result in results if isinstance(result, EventHubError))
            self._bytes -= sum([len(record.data) for record in records])
            taken = [self._queue.popleft() for _ in batch]
            self._progress(sum([each if isinstance(each, int) else 1 for each in taken]))
        self._writing = False

    def _give_up_next(self) -> None:
        """The record that is added now does not fit."""
        self.lost += 1
        if isinstance(run := self._queue[-1], int):
            self._queue[-1] = run + 1
        else:
            self._queue.append(1)
            log.error("cursor_not_stored", code="queue_full", reason=f"{QUEUE_BYTES} bytes wait")

    def _give_up(self, errors: Iterable[EventHubError]) -> None:
        for error in errors:
            self.lost += 1
            log.error("cursor_not_stored", code=error.code, reason=error.message)

    def _failed(self, error: EventHubError) -> None:
        """Writing failed in an unforeseen way: those who wait go on without what was added."""
        self.lost += sum(not isinstance(each, int) for each in self._queue)
        self._writing = False
        self._queue.clear()
        self._bytes = 0
        self._progress(self.added - self.stored)

    def _progress(self, count: int) -> None:
        self.stored += count
        waiting, self._waiting = self._waiting, {}
        for wake in waiting:  # an error of one stream keeps no other waiting
            self._tasks.contain("cursors", wake)
