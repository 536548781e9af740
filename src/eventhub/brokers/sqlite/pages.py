"""The SQL of pages: where a log begins and ends, and its events after an offset.

Events beyond retention are left out, whether or not they have been deleted. One statement finds the
begin of a page by binary search. SQLite joins a page into one row. A thread releases the
interpreter's lock for each row that it fetches, and may wait 5 ms to get it back while the event
loop is busy.
"""

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

import orjson

from eventhub.brokers.base import PAGE_BYTES
from eventhub.brokers.records import event
from eventhub.events.channel_types import Retention
from eventhub.events.event import Event, Position, Start

EVER = -(2**62)

BOUNDS = """
SELECT epoch, floor, c.id, c.trimmed, c.forgotten, e.offset, e.number FROM origin
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
    since: Start
    limit: int
    retention: Retention
    now: int


class LogBounds(NamedTuple):
    """A log: its row (None if it has none) and its ends, and what its state has lost."""

    channel: int | None
    trimmed: int
    end: Position
    newest: tuple[int, int] | None
    """The offset and the number of the newest event."""
    forgotten: int


def log_bounds(connection: sqlite3.Connection, query: HistoryQuery) -> LogBounds:
    """Where the log that a query is for begins and ends now."""
    epoch, floor, channel, trimmed, forgotten, tip, number = connection.execute(
        BOUNDS, [query.channel]
    ).fetchone()
    if channel is None:
        return LogBounds(None, floor, Position(epoch, floor), None, 0)
    end = Position(epoch, max(trimmed, tip or 0))
    if tip is None:
        return LogBounds(channel, trimmed, end, None, forgotten)
    oldest = query.now - query.retention.age if query.retention.age is not None else EVER
    first = number - query.retention.events
    trimmed = offset_before(connection, channel, (trimmed, tip), first, oldest)
    return LogBounds(channel, trimmed, end, (tip, number), forgotten)


def offset_before(
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


def exists(connection: sqlite3.Connection, channel: int, offset: int) -> bool:
    """Whether the log has an event at this offset."""
    return (
        connection.execute(
            "SELECT 1 FROM events WHERE channel = ? AND offset = ?", [channel, offset]
        ).fetchone()
        is not None
    )


def read_rows(
    connection: sqlite3.Connection,
    query: HistoryQuery,
    channel: int,
    start: Position,
    statement: str = PAGE,
    **parameters: int,
) -> Iterator[Event | int]:
    """Events after `start` and, for unreadable rows, their offsets."""
    values = {
        "channel": channel,
        "after": start.offset,
        "limit": query.limit,
        "bytes": PAGE_BYTES,
        **parameters,
    }
    heads, data, attributes = connection.execute(statement, values).fetchone()
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
