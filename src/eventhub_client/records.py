"""Log records as events of the payload `log`. Whatever a record holds, it becomes bounded JSON."""

import json
import logging
import math
import sys
import time
from collections.abc import Mapping, Set
from datetime import datetime, timezone
from typing import Any

MESSAGE = 15_000
"""Characters of a message; the payload `log` allows 16,000."""
LOGGER = 256
TEXT = 8_000
"""Characters of any other text. The end of a traceback says most, so its begin is cut."""
EVENT_BYTES = 60_000
"""A server allows 64 KiB by default."""
DEPTH, VALUES = 8, 1_000
"""How much of a value is kept; the server allows 32 levels."""
INTEGERS = range(-(2**63), 2**64)
LEVELS = {50: "critical", 40: "error", 30: "warning", 20: "info"}
NAMES = {
    "debug": "debug",
    "notset": "debug",
    "warn": "warning",
    "exception": "error",
    "err": "error",
    "fatal": "critical",
}
"""Other names of levels."""
TAKEN = {"event", "level", "timestamp", "logger", "logger_name", "exc_info"}
"""What structlog's own processors add, and a `log` event has as a field of its own."""
STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
FORMATTER = logging.Formatter()


def event_of_record(record: logging.LogRecord) -> bytes:
    """A record as JSON of at most EVENT_BYTES."""
    fields = _fields(record)
    level = next((name for least, name in LEVELS.items() if record.levelno >= least), "debug")
    return _bounded(
        {
            "level": level,
            "message": text(_message(record))[:MESSAGE],
            "logger": text(record.name)[:LOGGER],
            "time": _time(record.created),
            **({"fields": fields} if fields else {}),
        }
    )


def event_of_fields(method: str, event: Mapping[str, Any]) -> bytes:
    """An event of structlog as JSON of at most EVENT_BYTES."""
    plain = _Plain()
    fields = {
        text(str(name)): plain.value(value, 1)
        for name, value in event.items()
        if name not in TAKEN and not str(name).startswith("_")
    }
    for name in ("exception", "stack"):
        if isinstance(event.get(name), str):
            fields[name] = text(event[name])[-TEXT:]
    if (trace := _traceback(event.get("exc_info"))) is not None:
        fields["exception"] = text(trace)[-TEXT:]
    logger = event.get("logger", event.get("logger_name"))
    level = _words(event.get("level", method)).lower()
    return _bounded(
        {
            "level": NAMES.get(level, level if level in LEVELS.values() else "info"),
            "message": _words(event.get("event", ""))[:MESSAGE],
            **({} if logger is None else {"logger": _words(logger)[:LOGGER]}),
            "time": _stamp(event.get("timestamp")),
            **({"fields": fields} if fields else {}),
        }
    )


def dropped_notice(count: int, now: float) -> bytes:
    """The record that tells of lost ones."""
    noun = "record was" if count == 1 else "records were"
    event = {
        "level": "warning",
        "message": f"{count} log {noun} dropped: the queue was full, or the hub refused them",
        "logger": "eventhub_client.logging",
        "time": _time(now),
        "fields": {"dropped": count},
    }
    return json.dumps(event).encode()


def text(value: str) -> str:
    """Text that UTF-8 can encode."""
    return str(value).encode("utf-8", "replace").decode()


def _message(record: logging.LogRecord) -> str:
    """The message, even if its arguments do not fit."""
    try:
        return record.getMessage()
    except Exception:
        return f"{_shown(record.msg)} % {_shown(record.args)}"


def _time(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _stamp(value: object) -> str:
    """A timestamp with its offset from UTC, or seconds; otherwise now."""
    try:
        if isinstance(value, int | float):
            return _time(value)
        found = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except (ValueError, OverflowError, OSError):
        return _time(time.time())
    return _time(time.time() if found.tzinfo is None else found.timestamp())


def _traceback(value: object) -> str | None:
    """Of `exc_info`: true, an exception, or what sys.exc_info() returns."""
    if isinstance(value, BaseException):
        value = (type(value), value, value.__traceback__)
    elif not isinstance(value, tuple):
        value = sys.exc_info() if value else None
    if not value or value[0] is None:
        return None
    return FORMATTER.formatException(value)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    plain = _Plain()
    fields = {
        text(name): plain.value(value, 1)
        for name, value in vars(record).items()
        if name not in STANDARD
    }
    if record.exc_info and record.exc_info[0] is not None:
        fields["exception"] = text(FORMATTER.formatException(record.exc_info))[-TEXT:]
    elif record.exc_text:
        fields["exception"] = text(record.exc_text)[-TEXT:]
    if record.stack_info:
        fields["stack"] = text(record.stack_info)[-TEXT:]
    return fields


def _bounded(event: dict[str, Any]) -> bytes:
    encoded = _json(event)
    if len(encoded) > EVENT_BYTES and "fields" in event:
        event["fields"] = {"omitted": f"{len(encoded)} bytes; expected at most {EVENT_BYTES}"}
        encoded = _json(event)
    while len(encoded) > EVENT_BYTES:
        event["message"] = event["message"][: len(event["message"]) // 2]
        encoded = _json(event)
    return encoded


def _json(event: dict[str, Any]) -> bytes:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def _words(value: object) -> str:
    return text(value) if isinstance(value, str) else _shown(value)


def _shown(value: object) -> str:
    try:
        return text(repr(value))[:TEXT]
    except Exception:
        return f"<{type(value).__name__} without a representation>"


class _Plain:
    """Copies values to plain JSON: at most so deep and so many, so that a circle ends."""

    def __init__(self) -> None:
        self._left = VALUES

    def value(self, value: object, depth: int) -> object:
        self._left -= 1
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return text(value)[:TEXT]
        if isinstance(value, int):
            return int(value) if value in INTEGERS else _shown(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else str(float(value))
        if depth >= DEPTH or self._left <= 0:
            return _shown(value)
        try:
            return self._container(value, depth)
        except Exception:
            return _shown(value)

    def _container(self, value: object, depth: int) -> object:
        if isinstance(value, Mapping):
            return {
                text(str(name))[:TEXT]: self.value(each, depth + 1)
                for name, each in value.items()
                if self._left > 0
            }
        if isinstance(value, list | tuple | Set):
            return [self.value(each, depth + 1) for each in value if self._left > 0]
        return _shown(value)
