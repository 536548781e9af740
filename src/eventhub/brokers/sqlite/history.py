"""Reading a channel's log on separate threads and connections. It never waits for the writer.

Events beyond retention are left out, whether or not they have been deleted. One statement finds the
begin of a page by binary search. SQLite joins a page into one row. A thread releases the
interpreter's lock for each row that it fetches, and may wait 5 ms to get it back while the event
loop is busy.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import local
from typing import NamedTuple

import orjson

from eventhub.brokers.base import PAGE_BYTES
from eventhub.brokers.records import RecordReader, event
from eventhub.brokers.sqlite.channel_list import ChannelsQuery, read_channels
from eventhub.brokers.sqlite.database import open_reader
from eventhub.events.channel_types import Retention
from eventhub.events.event import Age, ChannelPage, Earliest, Event, HistoryPage, Last, Position

EVER = -(2**62)

STATE = """
SELECT epoch, floor, c.id, c.trimmed, e.offset, e.number FROM origin
LEFT JOIN channels c ON c.name = ?
LEFT JOIN events e ON e.channel = c.id
  AND e.offset = (SELECT max(offset) FROM events WHERE channel = c.id)
"""
BEFORE = """
WITH RECURSIVE search(low, high) AS (
  VALUES (:after, :end)
  UNION ALL
  SELECT
    CASE WHEN number <= :number OR time < :oldest THEN offset ELSE low END,
    CASE WHEN number <= :number OR time < :oldest THEN high ELSE (low + high) / 2 END
  FROM search LEFT JOIN events ON channel = :channel
    AND offset = (
      SELECT min(offset) FROM events WHERE channel = :channel AND offset > (low + high) / 2
    )
  WHERE low < high
)
SELECT max(low) FROM search
"""
PAGE = """
SELECT json_group_array(json_array(
    offset, CASE typeof(time) WHEN 'integer' THEN time END,
    length(CAST(data AS BLOB)), length(CAST(attributes AS BLOB)))),
  CAST(group_concat(CAST(data AS BLOB), '') AS BLOB),
  CAST(group_concat(CAST(attributes AS BLOB), '') AS BLOB)
FROM (
  SELECT offset, time, data, attributes FROM events
  WHERE channel = :channel AND offset > :after AND offset <= (
    SELECT max(offset) FROM (
      SELECT offset, sum(size) OVER (ORDER BY offset) - size AS before
      FROM (
        SELECT offset, length(data) AS size FROM events
        WHERE channel = :channel AND offset > :after ORDER BY offset LIMIT :limit
      )
    ) WHERE before < :bytes
  ) ORDER BY offset
)
"""


class HistoryQuery(NamedTuple):
    """A call of `Broker.history`, with the retention and the time of the call."""

    channel: str
    since: Position | Earliest | Last | Age
    limit: int
    retention: Retention
    now: int


class SqliteHistory:
    """Reads on the calling thread. Each thread has its own connection."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records = RecordReader("sqlite")
        self._local = local()
        self._connections: list[sqlite3.Connection] = []

    def read(self, query: HistoryQuery) -> HistoryPage:
        """A page. Raises sqlite3.Error; the thread's next call makes a new connection."""
        with self._snapshot() as connection:
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
    epoch, floor, channel, trimmed, tip, number = connection.execute(
        STATE, [query.channel]
    ).fetchone()
    if channel is None:
        trimmed = floor
    end = Position(epoch, max(trimmed, tip or 0))
    if tip is not None:
        oldest = query.now - query.retention.age if query.retention.age is not None else EVER
        trimmed = _before(
            connection, channel, (trimmed, tip), number - query.retention.events, oldest
        )
    start, lost = trimmed, None
    match query.since:
        case Position() as since if since.epoch != epoch or since.offset > end.offset:
            lost = "reset"
        case Position(_, offset) if offset < trimmed:
            lost = "expired"
        case Position(_, offset) if offset in (trimmed, end.offset) or _exists(
            connection, channel, offset
        ):
            start = offset
        # between the ranges of two openings: it belongs to a lost part of the log
        case Position():
            lost = "reset"
        case Last(count) if tip is not None:
            start = _before(connection, channel, (trimmed, tip), number - count, EVER)
        case Age(milliseconds) if tip is not None:
            start = _before(connection, channel, (trimmed, tip), EVER, query.now - milliseconds)
        case _:
            pass
    if start == end.offset:
        return HistoryPage(end, [], end, lost)
    rows = _page(connection, channel, query, Position(epoch, start))
    return records.page(query.channel, Position(epoch, start), rows, end, lost)


def _before(
    connection: sqlite3.Connection, channel: int, between: tuple[int, int], number: int, oldest: int
) -> int:
    """The offset before the first event with a number above `number` and a time from `oldest` on.

    The search is between two offsets, of which the second is the newest event's.
    """
    after, end = between
    parameters = {
        "channel": channel,
        "after": after,
        "end": end,
        "number": number,
        "oldest": oldest,
    }
    (offset,) = connection.execute(BEFORE, parameters).fetchone()
    return int(offset)


def _exists(connection: sqlite3.Connection, channel: int, offset: int) -> bool:
    return (
        connection.execute(
            "SELECT 1 FROM events WHERE channel = ? AND offset = ?", [channel, offset]
        ).fetchone()
        is not None
    )


def _page(
    connection: sqlite3.Connection, channel: int, query: HistoryQuery, start: Position
) -> Iterator[Event | int]:
    """Events and, for unreadable rows, their offsets."""
    parameters = {
        "channel": channel,
        "after": start.offset,
        "limit": query.limit,
        "bytes": PAGE_BYTES,
    }
    heads, data, attributes = connection.execute(PAGE, parameters).fetchone()
    rows = orjson.loads(heads)
    previous, at, attributes_at = start.offset, 0, 0
    for offset, time, size, attributes_size in rows:
        text = b"null"
        if attributes_size is not None:
            text = attributes[attributes_at : attributes_at + attributes_size]
            attributes_at += attributes_size
        try:
            yield event(
                query.channel,
                start.epoch,
                offset,
                previous,
                time,
                data[at : at + size],
                orjson.loads(text),
            )
        except ValueError:
            yield offset
        previous, at = offset, at + size
