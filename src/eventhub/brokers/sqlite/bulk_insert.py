"""Inserting many rows with few statements.

Each step of a statement releases the interpreter's lock. While the event loop is busy, it takes up
to 5 ms to get the lock back. So one step writes a hundred rows.
"""

import sqlite3
from collections.abc import Sequence
from functools import cache
from typing import Any

ROWS = 100
"""Rows that one statement writes."""


def insert_rows(
    connection: sqlite3.Connection,
    begin: str,
    columns: int,
    rows: Sequence[tuple[Any, ...]],
    end: str = "",
) -> None:
    """Insert rows of `columns` values. `begin` and `end` surround the values in the statement."""
    for start in range(0, len(rows), ROWS):
        part = rows[start : start + ROWS]
        values = [value for row in part for value in row]
        connection.execute(_statement(begin, columns, len(part), end), values)


@cache
def _statement(begin: str, columns: int, rows: int, end: str) -> str:
    row = f"({', '.join('?' * columns)})"
    return f"{begin}{', '.join([row] * rows)} {end}"
