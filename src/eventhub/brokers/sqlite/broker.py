"""The SQLite broker on the event loop. It never waits for the disk.

Requests go to threads, and answers come back as callbacks.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from eventhub.brokers.base import (
    Deliver,
    OnBirth,
    OnGap,
    OnMessage,
    OnSignal,
    OnStored,
    no_signals,
)
from eventhub.brokers.sqlite.channel_list import ChannelsQuery
from eventhub.brokers.sqlite.database import DatabaseLock, Synchronous, is_damaged
from eventhub.brokers.sqlite.history import SqliteHistory
from eventhub.brokers.sqlite.pages import HistoryQuery
from eventhub.brokers.sqlite.store import Results, SqliteStore
from eventhub.brokers.sqlite.writer import (
    StartAnnouncing,
    StopAnnouncing,
    StoreEvents,
    WriterThread,
)
from eventhub.common.channel_pattern import ChannelPattern
from eventhub.common.time_limit import TimeLimit
from eventhub.errors import BrokerUnavailable, EventHubError
from eventhub.events.channel_types import Retention
from eventhub.events.event import (
    ChannelPage,
    Event,
    HistoryPage,
    NewEvent,
    Position,
    Receipt,
    Start,
)
from eventhub.events.signal import Signal

QUEUE_BYTES = 64 * 1024 * 1024
"""Bytes of publishes that wait for the writer. At this size, further publishes wait for room, up to
the time limit.
"""
EVENT_OVERHEAD = 250
"""Bytes that a waiting event takes in addition to its data."""
READERS = 2
T = TypeVar("T")


class SqliteBroker:
    """Logs in the database `path`, which is created if need be.

    The database belongs to this process until `run` has ended. `retention` gives a channel's
    retention, `clock` milliseconds since the Unix epoch. With `synchronous="FULL"` an answered
    publish survives a power failure. With `"NORMAL"` it survives the death of the process, and a
    power failure may take the last seconds: readers are told. Raises ConfigurationError for an
    unusable file; a full or failing disk is retried.
    """

    publish_now = publish_all_now = None  # it waits for its writer thread

    offset_step = 1

    def __init__(
        self,
        path: Path,
        retention: Callable[[str], Retention],
        clock: Callable[[], int],
        *,
        synchronous: Synchronous = "FULL",
        timeout: float = 5.0,
        max_channels: int = 100_000,
        max_keys: int = 100_000,
    ) -> None:
        path = path.resolve()  # a symbolic link and its target are one database
        self._retention, self._clock, self._timeout = retention, clock, timeout
        self._lock = DatabaseLock(path)
        store = SqliteStore(
            path,
            retention,
            clock,
            synchronous=synchronous,
            max_channels=max_channels,
            max_keys=max_keys,
        )
        self._writer = WriterThread(store, timeout)
        try:
            self._writer.open()
        except BaseException:
            self._lock.release()
            raise
        self._opened = asyncio.Event()
        if self._writer.is_open:
            self._opened.set()
        self._history = SqliteHistory(path, lambda: store.base)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite-history")
        self._reads = asyncio.Semaphore(READERS)
        self._damage: str | None = None
        self._queued = 0
        self._storing = TimeLimit[StoreEvents](timeout, self._give_up)
        self._room = asyncio.Event()
        self._ended = False
        self._subscribed: set[str] = set()
        self.on_signal: OnSignal = no_signals
        self._deliver: Deliver
        self._gap: OnGap
        self._born: OnBirth

    # Broker

    async def publish(self, events: Sequence[NewEvent]) -> Sequence[Receipt | EventHubError]:
        async with self._time_limit("the events were not stored"):
            while self._queued >= QUEUE_BYTES:
                self._room.clear()
                await self._room.wait()
        answer: asyncio.Future[Sequence[Receipt | EventHubError]] = (
            asyncio.get_running_loop().create_future()
        )
        request = self._store(events, partial(_settle, answer))
        try:
            return await answer
        finally:
            request.over = True

    def publish_later(self, events: Sequence[NewEvent], done: OnStored) -> bool:
        if self._ended or self._queued >= QUEUE_BYTES:
            return False
        self._store(events, done)
        return True

    def _store(self, events: Sequence[NewEvent], done: OnStored) -> StoreEvents:
        size = sum(len(event.data) + EVENT_OVERHEAD for event in events)
        request = StoreEvents(events, size, done)
        self._queued += size
        self._storing.begin(request)
        self._writer.ask(request)
        return request

    async def history(self, channel: str, since: Start, limit: int) -> HistoryPage:
        query = HistoryQuery(channel, since, limit, self._retention(channel), self._clock())
        return await self._read(partial(self._history.read, query))

    async def channels(self, pattern: ChannelPattern, after: str, limit: int) -> ChannelPage:
        query = ChannelsQuery(pattern, after, limit, self._clock())
        return await self._read(partial(self._history.channels, query, self._retention))

    async def _read(self, read: Callable[[], T]) -> T:
        """What `read` returns on a thread. Raises BrokerUnavailable."""
        try:
            async with self._time_limit("history was not read"):
                await self._opened.wait()
                async with self._reads:
                    self._check()  # checked again: `run` may have ended while this waited
                    return await asyncio.get_running_loop().run_in_executor(self._readers, read)
        except sqlite3.Error as error:
            if is_damaged(error):
                self._damage = f"the database is damaged: {error}"
            raise BrokerUnavailable(f"the database cannot be read: {error}") from None

    async def subscribe(self, channel: str) -> Position:
        async with self._time_limit("the channel is not announced"):
            answer: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
            self._writer.ask(StartAnnouncing(channel, answer))
            position = await answer
        self._subscribed.add(channel)
        return position

    async def unsubscribe(self, channel: str) -> None:
        self._subscribed.discard(channel)
        self._writer.ask(StopAnnouncing(channel))

    async def broadcast(self, message: bytes) -> None:
        return  # there is no other node

    def signal(self, signal: Signal) -> None:
        if signal.channel in self._subscribed:
            self.on_signal(signal)

    async def run(self, deliver: Deliver, gap: OnGap, on_message: OnMessage, born: OnBirth) -> None:
        self._deliver, self._gap, self._born = deliver, gap, born
        born(None)
        loop = asyncio.get_running_loop()
        thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        writing = loop.run_in_executor(thread, self._writer.run, loop.call_soon_threadsafe, self)
        try:
            await asyncio.shield(writing)  # ends by itself only with a fault
        finally:
            self._ended = True
            self.on_signal = no_signals
            await _wait_for_end(loop.run_in_executor(None, self._readers.shutdown))
            # Before the writer closes: the last connection to close makes a checkpoint.
            self._history.close()
            self._writer.end()
            await _wait_for_end(writing)
            thread.shutdown(wait=False)
            self._lock.release()

    def unready(self) -> str | None:
        return self._writer.complaint() or self._damage

    # The writer's output

    def stored(
        self,
        publishes: Sequence[StoreEvents],
        results: Results,
        announced: Sequence[Event],
        born: Sequence[str],
    ) -> None:
        """Announce first: a publisher that also subscribes has the event when its answer comes."""
        for event in announced:
            self._deliver(event)
        for channel in born:
            self._born(channel)
        for publish, result in zip(publishes, results, strict=True):
            publish.answer(result)
        self._release(publishes)

    def refused(self, publishes: Sequence[StoreEvents], error: BrokerUnavailable) -> None:
        """Give each publisher its own error, because raising one adds a traceback to it."""
        for publish in publishes:
            publish.answer(BrokerUnavailable(error.message))
        self._release(publishes)

    def failed(self, publish: StoreEvents, error: Exception) -> None:
        """Give the error to the publisher, who logs it."""
        publish.answer(error)
        self._release((publish,))

    def subscribed(self, request: StartAnnouncing, position: Position) -> None:
        """Answer the subscriber, which may have gone. Unwanted announcements do no harm."""
        if not request.answer.done():
            request.answer.set_result(position)

    def opened(self) -> None:
        """Let readers of history go on."""
        self._opened.set()

    def doubted(self, channels: Sequence[str]) -> None:
        """Report a gap: stored events may not have been announced, nor births."""
        for channel in channels:
            self._gap(channel)
        self._born(None)

    def _release(self, publishes: Sequence[StoreEvents]) -> None:
        for publish in publishes:
            self._queued -= publish.size
            self._storing.end(publish)
        self._room.set()

    def _check(self) -> None:
        if self._ended:
            raise BrokerUnavailable("the broker has ended")

    @asynccontextmanager
    async def _time_limit(self, outcome: str) -> AsyncIterator[None]:
        self._check()
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except TimeoutError:
            raise self._late(outcome) from None

    def _late(self, outcome: str) -> BrokerUnavailable:
        reason = self._writer.complaint() or "the server is overloaded"
        return BrokerUnavailable(f"no answer within {self._timeout:g} s ({reason}); {outcome}")

    def _give_up(self, publish: StoreEvents) -> None:
        publish.answer(self._late("whether the events were stored is not known"))


def _settle(answer: "asyncio.Future[T]", outcome: T | Exception) -> None:
    if answer.done():
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)


async def _wait_for_end(work: "asyncio.Future[None]") -> None:
    """Wait for the end of `work`, however often this task is cancelled.

    Task groups and the loop's runner cancel it. Work left behind would keep the process alive.
    """
    while not work.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([work])
