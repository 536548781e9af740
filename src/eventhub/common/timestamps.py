"""Timestamps in text, as producers send them (RFC 3339)."""

import re
from datetime import datetime

TIMESTAMP_LENGTH = 64
_TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:(\d\d)(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII
)


def check_timestamp(text: str) -> str:
    """The text itself, to its last digit. Raises ValueError if it is no timestamp (RFC 3339, 5.6).

    A leap second, 60, is one. A space in place of the T is not.
    """
    found = _TIMESTAMP.fullmatch(text) if len(text) <= TIMESTAMP_LENGTH else None
    if found is not None:
        seconds = "59" if found[1] == "60" else found[1]
        try:
            datetime.fromisoformat(f"{text[:17].upper()}{seconds}")
        except ValueError:
            pass
        else:
            return text
    raise ValueError(
        "expected a time with its offset from UTC (RFC 3339), such as 2026-11-22T20:06:00.123Z"
    )
