"""The one thread that writes: takes what is asked for from a queue, commits publishes in groups, says the answers in order.

Faults: publishes are refused at once until a probe succeeds. While the disk is full the database stays open, and subscribing and history go
on; after any other error it is opened again, and every channel subscribed gets a `gap`: a commit that failed may be on disk all the same.
"""

import queue
import random
import sqlite3
import time
from asyncio import Future
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from eventhub.brokers.sqlite.database import primary
from eventhub.brokers.sqlite.store import Results, SqliteStore
from eventhub.errors import BrokerUnavailable, ConfigurationError, EventHubError
from eventhub.events.event import Event, NewEvent, Position, Receipt

GROUP_BYTES = 4 * 1024 * 1024
"""What one transaction stores, if there is more than one publish."""
SWEEP_SECONDS = 10
"""Between two searches for events that are too old."""
TIDY_SECONDS = 0.05
"""Between two transactions that delete what is beyond retention, so that publishes hardly wait for
them.
"""
RETRY_SECONDS = 1.0
PASSING = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY)
"""Errors after which the transaction is certainly not on disk. Busy: another program, such as a
backup, holds the database.
"""

log = structlog.get_logger("eventhub.brokers.sqlite")


@dataclass(slots=True, eq=False)
class StoreEvents:
    """Events to be stored. When the answer is done before its turn, nobody waits any more: it is skipped."""

    events: Sequence[NewEvent]
    size: int
    answer: "Future[Sequence[Receipt | EventHubError]]"


@dataclass(slots=True, eq=False)
class StartAnnouncing:
    """A channel to be announced from now on."""

    channel: str
    answer: "Future[Position]"


@dataclass(slots=True, eq=False)
class StopAnnouncing:
    """A channel not to be announced any more."""

    channel: str


Request = StoreEvents | StartAnnouncing | StopAnnouncing


class WriterOutput(Protocol):
    """What the thread has to say. Called on the event loop, in the order of the commits."""

    def stored(
        self, publishes: Sequence[StoreEvents], results: Results, announced: Sequence[Event]
    ) -> None:
        """They are on disk; a result for each."""
        ...

    def refused(self, publishes: Sequence[StoreEvents], error: BrokerUnavailable) -> None:
        """They are not."""
        ...

    def failed(self, publish: StoreEvents, error: Exception) -> None:
        """It is not, for a reason that nobody foresaw."""
        ...

    def subscribed(self, request: StartAnnouncing, position: Position) -> None:
        """Announcements from now on follow `position`."""
        ...

    def opened(self) -> None:
        """History can be read."""
        ...

    def doubted(self, channels: Sequence[str]) -> None:
        """More may have been stored than was announced; from now on everything is announced again."""
        ...


class WriterThread:
    """`ask` and `complaint` are for the event loop, `run` is the thread."""

    def __init__(self, store: SqliteStore, patience: float) -> None:
        self._store = store
        self._patience = patience
        self._requests: queue.SimpleQueue[Request | None] = (
            queue.SimpleQueue()
        )  # bounded by those who ask; `put` never waits
        self._held: list[StartAnnouncing] = []  # until the database is open
        self._fault: str | None = None
        self._doubtful = False  # a commit that failed may be on disk
        self._busy: float | None = None  # since when the disk has something to do
        self._tidy_at = self._sweep_at = 0.0
        self._call: Callable[..., object]
        self._output: WriterOutput

    def open(self) -> None:
        """Before `run`. What may pass is tried again there. Raises ConfigurationError."""
        try:
            self._store.open()
        except sqlite3.Error as error:
            self._fail(error)

    @property
    def is_open(self) -> bool:
        return self._store.is_open

    def ask(self, request: Request) -> None:
        """The answer comes through the output."""
        self._requests.put(request)

    def end(self) -> None:
        """`run` ends when it has done what was asked for before."""
        self._requests.put(None)

    def complaint(self) -> str | None:
        """Why nothing can be stored now."""
        if (
            self._fault is None
            and (busy := self._busy) is not None
            and time.monotonic() - busy > self._patience
        ):
            return (
                f"the disk has been busy with one transaction for {time.monotonic() - busy:.0f} s"
            )
        return self._fault

    # The thread

    def run(self, call: Callable[..., object], output: WriterOutput) -> None:
        """Serve until `end`. `call(f, *arguments)` has the event loop call f."""
        self._call, self._output = call, output
        try:
            while (requests := self._collect()) is not None:
                self._subscribe(requests)
                self._publish([request for request in requests if isinstance(request, StoreEvents)])
                if time.monotonic() >= self._tidy_at:
                    self._recover() if self._fault else self._tidy()
        finally:
            self._store.close()

    def _collect(self) -> list[Request] | None:
        """All that is asked for, up to a group's size; nothing when it is time to tidy."""
        requests: list[Request] = []
        size = 0
        try:
            request = self._requests.get(timeout=max(0.0, self._tidy_at - time.monotonic()))
            while request is not None:
                requests.append(request)
                size += request.size if isinstance(request, StoreEvents) else 0
                if size >= GROUP_BYTES:
                    return requests
                request = self._requests.get_nowait()
        except queue.Empty:
            return requests
        if not requests:
            return None
        self._requests.put(None)  # first what was before the end
        return requests

    def _subscribe(self, requests: Sequence[Request]) -> None:
        for request in requests:
            if isinstance(request, StopAnnouncing):
                self._store.subscribed.discard(request.channel)
            elif isinstance(request, StartAnnouncing):
                self._held.append(request)
        if self._held and self._store.is_open:
            for held in self._held:
                if not held.answer.done():
                    self._store.subscribed.add(held.channel)
                    self._call(self._output.subscribed, held, self._store.position(held.channel))
            self._held = []

    def _publish(self, publishes: Sequence[StoreEvents]) -> None:
        if not publishes:
            return None
        if self._fault is not None:
            return self._refuse(publishes)
        waited_for = [publish for publish in publishes if not publish.answer.done()]
        if len(waited_for) < len(publishes):
            self._refuse([publish for publish in publishes if publish not in waited_for])
        self._busy = time.monotonic()
        try:
            results, announced = self._store.append([publish.events for publish in waited_for])
        except sqlite3.Error as error:
            self._fail(error)
            self._refuse(waited_for)
        except (
            Exception
        ) as error:  # nothing is changed: it is of one of them, and costs the others nothing
            if len(waited_for) == 1:
                self._call(self._output.failed, waited_for[0], error)
            else:
                for publish in waited_for:
                    self._publish([publish])
        else:
            self._call(self._output.stored, waited_for, results, announced)
        finally:
            self._busy = None

    def _refuse(self, publishes: Sequence[StoreEvents]) -> None:
        self._call(
            self._output.refused,
            publishes,
            BrokerUnavailable(self._fault or "nobody waited for the answer any more"),
        )

    def _tidy(self) -> None:
        now = self._busy = time.monotonic()
        try:
            if now >= self._sweep_at:
                self._sweep_at = now + SWEEP_SECONDS
                self._store.expire()
            more = self._store.tidy()
        except sqlite3.Error as error:
            return self._fail(error)
        except Exception as error:
            if isinstance(error, ConfigurationError):
                raise
            log.exception(
                "database_not_tidied"
            )  # what is beyond retention stays a while longer, and is not shown
            more = False
        finally:
            self._busy = None
        self._tidy_at = now + TIDY_SECONDS if more else self._sweep_at

    def _recover(self) -> None:
        try:
            if not self._store.is_open:
                self._store.open()
                self._doubtful = True
                self._call(self._output.opened)
                self._subscribe(())
            self._store.probe()
        except (sqlite3.Error, ConfigurationError) as error:
            return self._fail(error)
        self._fault = None
        log.info("database_recovered")
        if self._doubtful:
            self._doubtful = False
            self._call(self._output.doubted, list(self._store.subscribed))

    def _fail(self, error: sqlite3.Error | ConfigurationError) -> None:
        self._tidy_at = time.monotonic() + RETRY_SECONDS * random.uniform(0.5, 1)
        if not (isinstance(error, sqlite3.Error) and primary(error) in PASSING):
            self._store.close()
        before, self._fault = self._fault, f"the database cannot be written: {error}"
        if self._fault != before:
            log.error(
                "database_unavailable",
                reason=str(error),
                code=getattr(error, "sqlite_errorname", None),
            )
