"""Reading a page of a channel's state (brokers/states.py)."""

import sqlite3

from eventhub.brokers.records import RecordReader
from eventhub.brokers.sqlite.pages import (
    PAGE,
    HistoryQuery,
    LogBounds,
    exists,
    log_bounds,
    read_rows,
)
from eventhub.brokers.sqlite.states import EXPIRED
from eventhub.brokers.states import begin_of
from eventhub.events.event import HistoryPage, Position, State

STATE_PAGE = PAGE.replace("FROM events", "FROM states").replace(
    "channel = :channel", "channel = :channel AND (NOT deleted OR offset > :begun)"
)
MORE = """
SELECT 1 FROM states
WHERE channel = ? AND offset > ? AND (NOT deleted OR offset > ?) LIMIT 1
"""
ENTRY = "SELECT 1 FROM states WHERE channel = ? AND offset = ?"


def read_state(
    connection: sqlite3.Connection,
    query: HistoryQuery,
    since: State,
    base: int,
    records: RecordReader,
) -> HistoryPage:
    """A page. `base`: offsets above it were given since the database was opened."""
    bounds = log_bounds(connection, query)
    channel, end = bounds.channel, bounds.end
    if channel is None or (gone := _gone(connection, query, channel, bounds.trimmed)) is None:
        return HistoryPage(end, [], end, following=State(end))
    position = since.position
    known = (
        position is None
        or position.offset > base
        or _is_known(connection, bounds, channel, position.offset)
    )
    after, begun, lost = begin_of(since, end, max(bounds.forgotten, gone), known=known)
    first = Position(end.epoch, max(after, gone))
    rows = read_rows(connection, query, channel, first, STATE_PAGE, begun=begun)
    page = records.page(query.channel, first, rows, end, lost)
    reached = page.reached
    if connection.execute(MORE, [channel, reached.offset, begun]).fetchone() is None:
        reached = end
    start = Position(end.epoch, after) if page.start == first else page.start
    return HistoryPage(
        start if page.events else reached, page.events, end, page.lost, State(reached, begun)
    )


def _gone(
    connection: sqlite3.Connection, query: HistoryQuery, channel: int, trimmed: int
) -> int | None:
    """Entries up to this offset are beyond retention. None if there are no keys."""
    state = query.retention.state
    if state is None:
        return None
    if not state.latest:
        return trimmed
    if state.age is None:
        return 0
    bounds = {"channel": channel, "oldest": query.now - state.age}
    (expired,) = connection.execute(EXPIRED, bounds).fetchone()
    return int(expired)


def _is_known(connection: sqlite3.Connection, bounds: LogBounds, channel: int, offset: int) -> bool:
    """Whether the log has given this offset, and has not lost it (logs.py, rule 1)."""
    return (
        offset in (bounds.trimmed, bounds.end.offset)
        or exists(connection, channel, offset)
        or connection.execute(ENTRY, [channel, offset]).fetchone() is not None
    )
