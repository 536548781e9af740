"""What the writer reads when it opens the database: every channel, and the idempotency keys."""

import sqlite3
from typing import Any

from eventhub.brokers.idempotency import KEY_AGE
from eventhub.brokers.sqlite.logs import KnownKey, SqliteLog, SqliteLogs

CHANNELS = """
SELECT c.id, c.name, c.trimmed, c.forgotten, first.number, first.time, last.offset, last.number
FROM channels c
LEFT JOIN events first ON first.channel = c.id
  AND first.offset = (SELECT min(offset) FROM events WHERE channel = c.id)
LEFT JOIN events last ON last.channel = c.id
  AND last.offset = (SELECT max(offset) FROM events WHERE channel = c.id)
"""
KNOWN_KEYS = """
SELECT id, channel, key, digest, offset, time FROM keys WHERE time >= ? ORDER BY id
"""


def load_logs(connection: sqlite3.Connection, logs: SqliteLogs, now: int) -> None:
    """Load them. Raises sqlite3.Error."""
    for row, name, trimmed, forgotten, *rows in connection.execute(CHANNELS):
        log = SqliteLog(row, name, logs.retention(name), trimmed)
        log.forgotten = forgotten
        first, oldest, tip, number = rows
        if first is not None:
            log.first, log.oldest, log.number, log.tip = (
                first,
                moment_of(oldest),
                number,
                max(tip, trimmed),
            )
        logs.load(log)
    for row, channel, key, digest, offset, time in connection.execute(KNOWN_KEYS, [now - KEY_AGE]):
        logs.load_key(channel, key, KnownKey(row, digest, offset, time))


def moment_of(time: Any) -> int:
    """The time in a row, which another program may have written: SQLite stores any type."""
    return time if isinstance(time, int) else 0
