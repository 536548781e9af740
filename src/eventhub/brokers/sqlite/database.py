"""The database file: its lock, its tables, and how connections are set up."""

import fcntl
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, NamedTuple

from eventhub.errors import ConfigurationError

Synchronous = Literal["FULL", "NORMAL"]

APPLICATION = 0x45764875
"""Marks a database of EventHub in the file's header."""
VERSION = 2
PAGE_SIZE = 8192
CHECKPOINT_BYTES = 8 * 1024 * 1024
"""A write-ahead log of this size is moved into the database. After a larger transaction its file
shrinks to this size.
"""
CHECK_BYTES = 256 * 1024 * 1024
"""Databases up to this size are checked completely at start. Of larger ones, the tables of
events and of states are not checked.
"""
PATIENCE_MS = 1000
"""How long a checkpoint waits for readers."""

SCHEMA = """
CREATE TABLE origin (epoch TEXT NOT NULL, created INTEGER NOT NULL, floor INTEGER NOT NULL);
CREATE TABLE channels (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, trimmed INTEGER NOT NULL);
CREATE TABLE events (
  channel INTEGER NOT NULL, offset INTEGER NOT NULL, number INTEGER NOT NULL,
  time INTEGER NOT NULL, attributes BLOB, data BLOB NOT NULL,
  PRIMARY KEY (channel, offset)
) WITHOUT ROWID;
CREATE TABLE keys (
  id INTEGER PRIMARY KEY, channel TEXT NOT NULL, key TEXT NOT NULL, digest BLOB NOT NULL,
  offset INTEGER NOT NULL, time INTEGER NOT NULL
);
CREATE TABLE probe (id INTEGER PRIMARY KEY, filler BLOB NOT NULL);
"""
STATES = """
ALTER TABLE channels ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0;
CREATE TABLE states (
  channel INTEGER NOT NULL, key TEXT NOT NULL, offset INTEGER NOT NULL, number INTEGER NOT NULL,
  time INTEGER NOT NULL, attributes BLOB, data BLOB NOT NULL, deleted INTEGER NOT NULL,
  PRIMARY KEY (channel, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX states_by_offset ON states (channel, offset);
CREATE INDEX deletions ON states (channel, offset) WHERE deleted;
"""
# `number` counts a channel's events without the jumps of `offset`, so the first and the last row
# tell how many there are. All events up to `trimmed` are gone, even if their rows are still there.
# A channel that is not in the table `channels` stands at `floor`. Format 2 added `states`: the
# newest event of each key, a deletion too, and `forgotten` (brokers/states.py).


class DatabaseOrigin(NamedTuple):
    """A database's epoch, time of creation and floor of channels. `fresh`: it was created now."""

    epoch: str
    created: int
    floor: int
    fresh: bool


class DatabaseLock:
    """Allows only one process to use a database.

    An open descriptor holds the lock, so a killed process leaves none behind. The lock is a file of
    its own: closing any descriptor of the database itself would drop SQLite's locks (POSIX).
    """

    def __init__(self, path: Path) -> None:
        file = f"{path}-lock"
        try:
            self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"cannot write to {file}, beside the database: {error.strerror}"
            ) from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._descriptor)
            raise ConfigurationError(
                f"{path} is in use by another process (pid {holder}); a database belongs to one "
                "server: end that process, or choose another file"
            ) from None
        with suppress(OSError):  # a full disk
            os.truncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another process use the database."""
        os.close(self._descriptor)


def open_database(
    path: Path, synchronous: Synchronous, now: int
) -> tuple[sqlite3.Connection, DatabaseOrigin]:
    """The writer's connection. Creates the database if there is none.

    Raises ConfigurationError for an unusable file, sqlite3.Error for an error that may pass.
    """
    with suppress(OSError):  # it exists, or SQLite tells below why it cannot be created
        # SQLite gives its journals the same permissions.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with closed_on_error(_connect(path, "rwc")) as connection:
        try:
            fresh = _prepare(connection, path, synchronous, now)
            _check(connection, path)
        except sqlite3.DatabaseError as error:
            if is_damaged(error):
                raise ConfigurationError(
                    f"{path} is damaged or is no database ({error}); restore it from a backup, or "
                    "move it away to begin with an empty one"
                ) from None
            raise
        epoch, created, floor = connection.execute(
            "SELECT epoch, created, floor FROM origin"
        ).fetchone()
        return connection, DatabaseOrigin(epoch, created, floor, fresh)


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that only reads. Raises sqlite3.Error."""
    connection = _connect(path, "rw")  # "ro" cannot use the index of the write-ahead log
    connection.execute("PRAGMA query_only = ON")
    return connection


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether the database stays unusable, so that waiting does not help."""
    return primary(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def primary(error: sqlite3.Error) -> int:
    """The primary result code (sqlite.org/rescode.html)."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
        timeout=PATIENCE_MS / 1000,
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _prepare(
    connection: sqlite3.Connection, path: Path, synchronous: Synchronous, now: int
) -> bool:
    """Set the connection up. Returns whether the database was created."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION and (application or tables):
        raise ConfigurationError(f"{path} is a database of another program; choose another file")
    if version > VERSION:
        raise ConfigurationError(
            f"{path} was made by a newer EventHub (format {version}; this one knows {VERSION})"
        )
    fresh: bool = tables == 0
    for pragma in (
        *((f"page_size = {PAGE_SIZE}", "auto_vacuum = INCREMENTAL") if fresh else ()),
        "journal_mode = WAL",
        f"synchronous = {synchronous}",
        f"wal_autocheckpoint = {CHECKPOINT_BYTES // PAGE_SIZE}",
        f"journal_size_limit = {CHECKPOINT_BYTES}",
        "cache_size = -16000",
        # some distributions overwrite deleted data with zeros: a second write of each event
        "secure_delete = OFF",
    ):
        connection.execute(f"PRAGMA {pragma}")
    if fresh:
        _make(connection, now)
    elif version < VERSION:
        with transaction(connection):
            _add_states(connection)
    return fresh


def _make(connection: sqlite3.Connection, now: int) -> None:
    with transaction(connection):
        for statement in SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute("INSERT INTO origin VALUES (?, ?, 0)", (secrets.token_hex(4), now))
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        _add_states(connection)


def _add_states(connection: sqlite3.Connection) -> None:
    for statement in STATES.split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _check(connection: sqlite3.Connection, path: Path) -> None:
    small = path.stat().st_size <= CHECK_BYTES
    tables = ["origin", "channels", "keys"] + ["events", "states"] * small
    for table in tables:
        (found,) = connection.execute(f"PRAGMA quick_check({table})").fetchone()
        if found != "ok":
            raise ConfigurationError(
                f"{path} is damaged ({found.splitlines()[0]}); restore it from a backup, or move "
                "it away to begin with an empty one"
            )


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit the block, or roll it back.

    Raises sqlite3.Error; nothing has changed then, unless the disk failed during the commit.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def closed_on_error(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Close the connection when the block raises."""
    try:
        yield connection
    except BaseException:
        connection.close()
        raise
