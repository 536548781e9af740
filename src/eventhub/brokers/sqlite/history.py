"""Reading a channel's log on separate threads and connections. It never waits for the writer."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import local

from eventhub.brokers.records import RecordReader
from eventhub.brokers.sqlite.channel_list import ChannelsQuery, read_channels
from eventhub.brokers.sqlite.database import open_reader
from eventhub.brokers.sqlite.pages import (
    EVER,
    HistoryQuery,
    exists,
    log_bounds,
    offset_before,
    read_rows,
)
from eventhub.brokers.sqlite.state_page import read_state
from eventhub.events.channel_types import Retention
from eventhub.events.event import Age, ChannelPage, HistoryPage, Last, Position, State


class SqliteHistory:
    """Reads on the calling thread. Each thread has its own connection.

    `base`: offsets above it were given since the database was opened (logs.py, rule 1).
    """

    def __init__(self, path: Path, base: Callable[[], int]) -> None:
        self._path = path
        self._base = base
        self._records = RecordReader("sqlite")
        self._local = local()
        self._connections: list[sqlite3.Connection] = []

    def read(self, query: HistoryQuery) -> HistoryPage:
        """A page. Raises sqlite3.Error; the thread's next call makes a new connection."""
        with self._snapshot() as connection:
            if isinstance(query.since, State):
                return read_state(connection, query, query.since, self._base(), self._records)
            return _read(connection, query, self._records)

    def channels(self, query: ChannelsQuery, retention: Callable[[str], Retention]) -> ChannelPage:
        """A page of the list of channels. Raises sqlite3.Error."""
        with self._snapshot() as connection:
            return read_channels(connection, query, retention)

    def close(self) -> None:
        """Close all connections. No thread may be reading."""
        for connection in self._connections:
            connection.close()

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = open_reader(self._path)
            self._connections.append(connection)
        try:
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            self._local.connection = None
            self._connections.remove(connection)
            connection.close()
            raise


def _read(
    connection: sqlite3.Connection, query: HistoryQuery, records: RecordReader
) -> HistoryPage:
    channel, trimmed, end, newest, _ = log_bounds(connection, query)
    start, lost = trimmed, None
    match query.since:
        case Position() as since if since.epoch != end.epoch or since.offset > end.offset:
            lost = "reset"
        case Position(_, offset) if offset < trimmed:
            lost = "expired"
        case Position(_, offset) if offset in (trimmed, end.offset) or (
            channel is not None and exists(connection, channel, offset)
        ):
            start = offset
        # between the ranges of two openings: it belongs to a lost part of the log
        case Position():
            lost = "reset"
        case Last(count) if channel is not None and newest is not None:
            tip, number = newest
            start = offset_before(connection, channel, (trimmed, tip), number - count, EVER)
        case Age(milliseconds) if channel is not None and newest is not None:
            oldest = query.now - milliseconds
            start = offset_before(connection, channel, (trimmed, newest[0]), EVER, oldest)
        case _:
            pass
    if start == end.offset or channel is None:
        return HistoryPage(end, [], end, lost)
    first = Position(end.epoch, start)
    rows = read_rows(connection, query, channel, first)
    return records.page(query.channel, first, rows, end, lost)
