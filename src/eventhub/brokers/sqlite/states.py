"""The SQL of states: the newest event of each key (brokers/states.py)."""

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from eventhub.brokers.sqlite.bulk_insert import insert_rows
from eventhub.brokers.sqlite.logs import SqliteLog
from eventhub.brokers.states import DELETIONS

NEWEST = "SELECT offset, number, time, deleted FROM states WHERE channel = ? AND key = ?"
COUNTS = "SELECT channel, total(NOT deleted), total(deleted) FROM states GROUP BY channel"
OLDEST = """
SELECT offset FROM states WHERE channel = ? AND deleted = ? ORDER BY offset LIMIT 1 OFFSET ?
"""
EXPIRED = """
SELECT ifnull(max(offset), 0) FROM states WHERE channel = :channel AND offset < ifnull(
  (SELECT offset FROM states WHERE channel = :channel AND time >= :oldest ORDER BY offset LIMIT 1),
  9223372036854775807)
"""


class StateRow(NamedTuple):
    """What is known of a key's newest event."""

    offset: int
    number: int
    time: int
    deleted: bool


WrittenRow = tuple[int, str, int, int, int, bytes | None, bytes, bool]
"""A row of the table `states`."""


class SqliteStates:
    """The writer's side."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def load(self, logs: Iterable[SqliteLog]) -> None:
        """Count the keys of these logs. The states of types that have no keys are deleted."""
        by_id = {log.id: log for log in logs}
        counts = self._connection.execute(COUNTS).fetchall()
        for channel, keys, deletions in counts:
            log = by_id.get(channel)
            if log is None or log.retention.state is None:
                self._connection.execute("DELETE FROM states WHERE channel = ?", [channel])
            elif log.retention.state.latest:
                log.keys, log.deletions = int(keys), int(deletions)

    def newest(self, log: SqliteLog, key: str) -> StateRow | None:
        """The newest event of a key, or its deletion."""
        row = self._connection.execute(NEWEST, [log.id, key]).fetchone()
        return None if row is None else StateRow(*row)

    def write(self, rows: list[WrittenRow], logs: Iterable[SqliteLog], now: int) -> None:
        """Store the newest events of these logs, and keep the bounds of their states."""
        insert_rows(self._connection, "INSERT OR REPLACE INTO states VALUES ", 8, rows)
        for log in logs:
            state = log.retention.state
            if state is None or not state.latest:
                continue
            if state.age is not None:
                self._expire(log, now - state.age)
            if log.keys > state.keys:
                self._shed(log, deleted=False, count=log.keys - state.keys)
            if log.deletions > DELETIONS:
                self._shed(log, deleted=True, count=log.deletions - DELETIONS)

    def trimmed(self, log: SqliteLog) -> None:
        """The log has lost its events up to `trimmed`."""
        if log.retention.state is not None and not log.retention.state.latest:
            self._connection.execute(
                "DELETE FROM states WHERE channel = ? AND offset <= ?", [log.id, log.trimmed]
            )

    def delete(self, logs: Iterable[SqliteLog]) -> None:
        """These channels are forgotten."""
        self._connection.executemany(
            "DELETE FROM states WHERE channel = ?", [(log.id,) for log in logs]
        )

    def _expire(self, log: SqliteLog, oldest: int) -> None:
        bounds = {"channel": log.id, "oldest": oldest}
        (last,) = self._connection.execute(EXPIRED, bounds).fetchone()
        if last:
            (keys, deletions) = self._connection.execute(
                "SELECT total(NOT deleted), total(deleted) FROM states "
                "WHERE channel = ? AND offset <= ?",
                [log.id, last],
            ).fetchone()
            self._connection.execute(
                "DELETE FROM states WHERE channel = ? AND offset <= ?", [log.id, last]
            )
            log.keys, log.deletions = log.keys - int(keys), log.deletions - int(deletions)
            log.forgotten = max(log.forgotten, last)

    def _shed(self, log: SqliteLog, *, deleted: bool, count: int) -> None:
        """Delete the oldest `count` entries that are deletions, or are none."""
        (last,) = self._connection.execute(OLDEST, [log.id, deleted, count - 1]).fetchone()
        self._connection.execute(
            "DELETE FROM states WHERE channel = ? AND deleted = ? AND offset <= ?",
            [log.id, deleted, last],
        )
        if deleted:
            log.deletions -= count
        else:
            log.keys -= count
        log.forgotten = max(log.forgotten, last)
