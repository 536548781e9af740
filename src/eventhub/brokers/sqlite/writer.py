"""The one thread that writes. It takes requests from a queue and commits publishes in groups.

Answers are given in the order of the commits. After a fault, publishes are refused at once until a
probe succeeds. While the disk is full the database stays open, so subscribing and reading history
go on. After any other error the database is opened again, and each subscribed channel gets a `gap`,
because a failed commit may be on disk all the same.
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

from eventhub.brokers.base import OnStored
from eventhub.brokers.sqlite.database import primary
from eventhub.brokers.sqlite.store import Results, SqliteStore
from eventhub.errors import BrokerUnavailable, ConfigurationError, EventHubError
from eventhub.events.event import Event, NewEvent, Position, Receipt

GROUP_BYTES = 4 * 1024 * 1024
"""Size of the events that one transaction stores, if it has more than one publish."""
SWEEP_SECONDS = 10
"""Time between two searches for events that are too old."""
TIDY_SECONDS = 0.05
"""Time between two transactions that delete events beyond retention, so that publishes hardly wait
for them.
"""
RECOVERY_SECONDS = 1.0
"""Time between two attempts to write again after a fault."""
PASSING = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY)
"""Errors after which the transaction is certainly not on disk. SQLITE_BUSY: another program holds
the database, for example a backup.
"""

log = structlog.get_logger("eventhub.brokers.sqlite")


@dataclass(slots=True, eq=False)
class StoreEvents:
    """A request to store events. `done` gets the answer. It is skipped if it is over before."""

    events: Sequence[NewEvent]
    size: int
    done: OnStored
    over: bool = False
    """It is answered, or nobody waits for the answer."""

    def answer(self, outcome: Sequence[Receipt | EventHubError] | Exception) -> None:
        """Give the answer, unless it is over."""
        if not self.over:
            self.over = True
            self.done(outcome)


@dataclass(slots=True, eq=False)
class StartAnnouncing:
    """A request to announce a channel from now on."""

    channel: str
    answer: "Future[Position]"


@dataclass(slots=True, eq=False)
class StopAnnouncing:
    """A request to stop announcing a channel."""

    channel: str


Request = StoreEvents | StartAnnouncing | StopAnnouncing


class WriterOutput(Protocol):
    """The thread's answers. Called on the event loop, in the order of the commits."""

    def stored(
        self,
        publishes: Sequence[StoreEvents],
        results: Results,
        announced: Sequence[Event],
        born: Sequence[str],
    ) -> None:
        """The events are on disk. `results` has one list per publish."""
        ...

    def refused(self, publishes: Sequence[StoreEvents], error: BrokerUnavailable) -> None:
        """The events are not on disk."""
        ...

    def failed(self, publish: StoreEvents, error: Exception) -> None:
        """The events are not on disk, because of an unforeseen error."""
        ...

    def subscribed(self, request: StartAnnouncing, position: Position) -> None:
        """Announcements from now on follow `position`."""
        ...

    def opened(self) -> None:
        """History can be read."""
        ...

    def doubted(self, channels: Sequence[str]) -> None:
        """Events may have been stored without an announcement. From now on all are announced.

        So may births.
        """
        ...


class WriterThread:
    """`run` is the thread. The event loop calls the other public methods."""

    def __init__(self, store: SqliteStore, patience: float) -> None:
        self._store = store
        self._patience = patience
        # The broker bounds it by QUEUE_BYTES; `put` never waits.
        self._requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._waiting: list[StartAnnouncing] = []  # for the database to be open
        self._fault: str | None = None
        self._doubtful = False  # a commit that failed may be on disk
        self._busy_since: float | None = None  # the start of the present transaction
        self._tidy_at = self._sweep_at = 0.0
        self._call: Callable[..., object]
        self._output: WriterOutput

    def open(self) -> None:
        """Open the database before `run`, which tries again if it fails.

        Raises ConfigurationError for an unusable file.
        """
        try:
            self._store.open()
        except sqlite3.Error as error:
            self._fail(error)

    @property
    def is_open(self) -> bool:
        return self._store.is_open

    def ask(self, request: Request) -> None:
        """Queue a request. The output gets the answer."""
        self._requests.put(request)

    def end(self) -> None:
        """End `run` once it has handled the requests made before."""
        self._requests.put(None)

    def complaint(self) -> str | None:
        """Why nothing can be stored now, or None."""
        if (
            self._fault is None
            and (since := self._busy_since) is not None
            and time.monotonic() - since > self._patience
        ):
            return (
                f"the disk has been busy with one transaction for {time.monotonic() - since:.0f} s"
            )
        return self._fault

    # The thread

    def run(self, call: Callable[..., object], output: WriterOutput) -> None:
        """Serve until `end`. `call(f, *arguments)` makes the event loop call f."""
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
        """The requests in the queue, up to a group's size. Empty when it is time to tidy.

        None at the end.
        """
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
        self._requests.put(None)  # handle the requests before the end first
        return requests

    def _subscribe(self, requests: Sequence[Request]) -> None:
        for request in requests:
            if isinstance(request, StopAnnouncing):
                self._store.subscribed.discard(request.channel)
            elif isinstance(request, StartAnnouncing):
                self._waiting.append(request)
        if self._waiting and self._store.is_open:
            for request in self._waiting:
                if not request.answer.done():
                    self._store.subscribed.add(request.channel)
                    self._call(
                        self._output.subscribed, request, self._store.position(request.channel)
                    )
            self._waiting = []

    def _publish(self, publishes: Sequence[StoreEvents]) -> None:
        if not publishes:
            return None
        if self._fault is not None:
            return self._refuse(publishes)
        wanted = [publish for publish in publishes if not publish.over]
        if len(wanted) < len(publishes):
            self._refuse([publish for publish in publishes if publish not in wanted])
        self._busy_since = time.monotonic()
        try:
            results, announced, born = self._store.append([publish.events for publish in wanted])
        except sqlite3.Error as error:
            self._fail(error)
            self._refuse(wanted)
        except Exception as error:  # nothing has changed: one publish fails, and the others do not
            if len(wanted) == 1:
                self._call(self._output.failed, wanted[0], error)
            else:
                for publish in wanted:
                    self._publish([publish])
        else:
            self._call(self._output.stored, wanted, results, announced, born)
        finally:
            self._busy_since = None

    def _refuse(self, publishes: Sequence[StoreEvents]) -> None:
        self._call(
            self._output.refused,
            publishes,
            BrokerUnavailable(self._fault or "the caller no longer waited for the answer"),
        )

    def _tidy(self) -> None:
        now = self._busy_since = time.monotonic()
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
            # Events beyond retention stay a while longer. History does not show them.
            log.exception("database_not_tidied")
            more = False
        finally:
            self._busy_since = None
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
        self._tidy_at = time.monotonic() + RECOVERY_SECONDS * random.uniform(0.5, 1)
        if not (isinstance(error, sqlite3.Error) and primary(error) in PASSING):
            self._store.close()
        before, self._fault = self._fault, f"the database cannot be written: {error}"
        if self._fault != before:
            log.error(
                "database_unavailable",
                reason=str(error),
                code=getattr(error, "sqlite_errorname", None),
            )
