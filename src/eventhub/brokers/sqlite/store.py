"""The SQL of the writing side. Synchronous, for one thread."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from eventhub.brokers.sqlite.bulk_insert import insert_rows
from eventhub.brokers.sqlite.database import (
    CHECKPOINT_BYTES,
    Synchronous,
    closed_on_error,
    open_database,
    transaction,
)
from eventhub.brokers.sqlite.load import load_logs, moment_of
from eventhub.brokers.sqlite.logs import SqliteLog, SqliteLogs
from eventhub.brokers.sqlite.states import SqliteStates
from eventhub.brokers.sqlite.write_transaction import WriteTransaction
from eventhub.errors import ConfigurationError, EventHubError
from eventhub.events.channel_types import Retention
from eventhub.events.event import Event, NewEvent, Position, Receipt

TRIM_ROWS = 1000
"""Rows that one transaction deletes, in addition to two for each row that it adds."""
FORGOTTEN = 1000
"""Channels that are forgotten together when there are too many."""
FREE_PAGES = 256
"""Unused pages that are kept, in addition to an eighth of the database, for new events."""
VACUUM_PAGES = 256
"""Unused pages that one transaction gives back."""
PROBE_BYTES = 1024 * 1024
WAL_BYTES = 8 * CHECKPOINT_BYTES
"""The checkpoint of a larger write-ahead log waits for readers."""

Results = list[list[Receipt | EventHubError]]

KEPT = """
SELECT offset, number, time FROM events
WHERE channel = ? AND (number >= ? OR number > ? AND time >= ?) ORDER BY offset LIMIT 1
"""


class SqliteStore:
    """Logs on disk.

    Every method but `close` can raise sqlite3.Error, and has then changed nothing.
    """

    def __init__(
        self,
        path: Path,
        retention: Callable[[str], Retention],
        clock: Callable[[], int],
        *,
        synchronous: Synchronous,
        max_channels: int,
        max_keys: int,
    ) -> None:
        self._path, self._synchronous = path, synchronous
        self._retention, self._clock = retention, clock
        self._max_channels, self._max_keys = max_channels, max_keys
        self._connection: sqlite3.Connection | None = None
        self._logs: SqliteLogs
        self._states: SqliteStates
        self._inode = 0
        self._oldest_key = 0  # no row of the table of keys is before this one
        self.subscribed: set[str] = set()

    # Open and closed

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    def open(self) -> None:
        """Open the database. Raises ConfigurationError for an unusable file."""
        connection, origin = open_database(self._path, self._synchronous, self._clock())
        logs = SqliteLogs(origin, self._retention, self._max_channels, self._max_keys)
        with closed_on_error(connection):
            load_logs(connection, logs, self._clock())
            states = SqliteStates(connection)
            states.load(logs.channels.values())
            oldest_key, logs.next_key = connection.execute(
                "SELECT ifnull(min(id), 1), ifnull(max(id), 0) + 1 FROM keys"
            ).fetchone()
        logs.loaded(self._clock())
        self._inode = self._path.stat().st_ino
        self._connection, self._logs, self._oldest_key = connection, logs, oldest_key
        self._states = states

    def close(self) -> None:
        """Close the database. SQLite moves the write-ahead log into it, if it can."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # Requests of the broker

    @property
    def base(self) -> int:
        """Offsets above it were given since the database was opened."""
        return self._logs.base

    def position(self, channel: str) -> Position:
        """The end of a channel's log."""
        return self._logs.position(channel)

    def append(self, calls: Sequence[Sequence[NewEvent]]) -> tuple[Results, list[Event], list[str]]:
        """Store the events of several publish calls in one transaction.

        Returns their results, the events to announce, and the channels that are born.
        """
        self._make_room(calls)
        write = self._transaction()
        results = [write.publish(events) for events in calls]
        if write.touched:
            with transaction(self._open):
                self._write(write)
                self._trim(write, TRIM_ROWS + 2 * len(write.rows))
            write.apply()
        return results, write.announced, write.born

    def expire(self) -> None:
        """Find the events that are too old; `tidy` deletes them.

        Raises ConfigurationError when the file is no longer there.
        """
        try:
            ours = self._path.stat().st_ino == self._inode
        except (FileNotFoundError, NotADirectoryError):
            ours = False
        if not ours:
            raise ConfigurationError(
                f"{self._path} was moved, deleted or replaced while it was in use"
            )
        now = self._clock()
        self._logs.expire(now)
        self._logs.forget_keys(now)

    def tidy(self) -> bool:
        """Delete some events beyond retention and give some space back.

        Returns whether there is more to do.
        """
        self._checkpoint()
        write = self._transaction()
        surplus = self._surplus()
        outdated = self._outdated_keys()
        if not (self._logs.excessive or surplus or outdated):
            return False
        if self._logs.excessive or outdated:
            with transaction(self._open):
                self._trim(write, TRIM_ROWS)
                self._open.execute("DELETE FROM keys WHERE id < ?", [self._oldest_key + outdated])
            write.apply()
            self._oldest_key += outdated
        if surplus:  # `execute` takes one step, which gives back one page
            self._open.executescript(f"PRAGMA incremental_vacuum({min(surplus, VACUUM_PAGES)})")
        return True

    def probe(self) -> None:
        """Write and delete a large row. Raises sqlite3.Error while there is no space for it."""
        with transaction(self._open):
            self._open.execute(
                "INSERT OR REPLACE INTO probe VALUES (1, zeroblob(?))", [PROBE_BYTES]
            )
        with transaction(self._open):
            self._open.execute("DELETE FROM probe")

    # Parts of a transaction

    @property
    def _open(self) -> sqlite3.Connection:
        assert self._connection is not None, "the store is closed"
        return self._connection

    def _transaction(self) -> WriteTransaction:
        return WriteTransaction(self._logs, self._clock(), self.subscribed, self._states.newest)

    def _write(self, write: WriteTransaction) -> None:
        insert_rows(self._open, "INSERT INTO events VALUES ", 6, write.rows)
        keys = [
            (known.id, channel, key, known.digest, known.offset, known.time)
            for (channel, key), known in write.keys.items()
        ]
        insert_rows(self._open, "INSERT INTO keys VALUES ", 6, keys)
        if write.states:
            forgotten = {name: log.forgotten for name, log in write.touched.items()}
            self._states.write([*write.states.values()], write.touched.values(), write.now)
            for name, log in write.touched.items():
                if log.forgotten != forgotten[name]:
                    write.changed[name] = log
        self._write_channels(write.changed.values())

    def _write_channels(self, logs: Iterable[SqliteLog]) -> None:
        rows = [(log.id, log.name, log.trimmed, log.forgotten) for log in logs]
        insert_rows(
            self._open,
            "INSERT INTO channels VALUES ",
            4,
            rows,
            "ON CONFLICT (id) DO UPDATE SET trimmed = excluded.trimmed, "
            "forgotten = excluded.forgotten",
        )

    def _trim(self, write: WriteTransaction, budget: int) -> None:
        """Delete at most `budget` rows beyond retention."""
        trimmed = []
        for name in list(self._logs.excessive):
            if budget <= 0:
                break
            log = write.log(name)
            assert log is not None
            budget -= self._trim_log(log, write.now, budget)
            trimmed.append(log)
        self._write_channels(trimmed)

    def _trim_log(self, log: SqliteLog, now: int, budget: int) -> int:
        oldest = now - log.retention.age if log.retention.age is not None else -(2**62)
        key = (log.id, log.first + budget, log.number - log.retention.events, oldest)
        kept = self._open.execute(KEPT, key).fetchone()
        if kept is None:
            self._open.execute("DELETE FROM events WHERE channel = ?", [log.id])
            count, log.first, log.trimmed = log.rows, log.number + 1, log.tip
            self._states.trimmed(log)
            return count
        before = "SELECT ifnull(max(offset), 0) FROM events WHERE channel = ? AND offset < ?"
        log.trimmed = max(log.trimmed, self._open.execute(before, [log.id, kept[0]]).fetchone()[0])
        self._open.execute("DELETE FROM events WHERE channel = ? AND offset < ?", [log.id, kept[0]])
        self._states.trimmed(log)
        count, log.first, log.oldest = kept[1] - log.first, kept[1], moment_of(kept[2])
        return int(count)

    def _make_room(self, calls: Sequence[Sequence[NewEvent]]) -> None:
        """Forget channels when the events to store would create too many."""
        logs = self._logs
        if len(logs.channels) + sum(map(len, calls)) <= logs.max_channels:
            return
        new = {
            event.channel
            for events in calls
            for event in events
            if event.channel not in logs.channels
        }
        if not new or len(logs.channels) + len(new) <= logs.max_channels:
            return
        write = self._transaction()
        logs.expire(write.now)
        if logs.excessive:
            with transaction(self._open):
                self._trim(write, TRIM_ROWS)
            write.apply()
        if gone := logs.forgettable(self.subscribed, FORGOTTEN):
            floor = max(logs.floor, *(log.tip for log in gone))
            with transaction(self._open):
                self._open.execute("UPDATE origin SET floor = ?", [floor])
                self._open.executemany(
                    "DELETE FROM channels WHERE id = ?", [(log.id,) for log in gone]
                )
                self._states.delete(gone)
            logs.forget(gone, floor)

    def _outdated_keys(self) -> int:
        """How many rows of outdated keys the next transaction deletes."""
        keys = self._logs.keys
        first = next(iter(keys.values())).id if keys else self._logs.next_key
        return min(first - self._oldest_key, TRIM_ROWS) if first - self._oldest_key > 0 else 0

    def _surplus(self) -> int:
        """How many unused pages to give back."""
        unused: int = self._open.execute("PRAGMA freelist_count").fetchone()[0]
        pages: int = self._open.execute("PRAGMA page_count").fetchone()[0]
        return max(0, unused - FREE_PAGES - (pages - unused) // 8)

    def _checkpoint(self) -> None:
        """Empty a large write-ahead log.

        With readers that follow each other closely, an ordinary checkpoint never does.
        """
        try:
            size = Path(f"{self._path}-wal").stat().st_size
        except FileNotFoundError:
            return
        if size > WAL_BYTES:
            self._open.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
