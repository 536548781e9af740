"""Records of a store that other programs can write to: each is an event, or is unreadable.

A page ends before an unreadable record. The next page begins after it and says so (`lost`).
"""

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import orjson
import structlog

from eventhub.events.event import EXTENSIONS, OFFSET_END, Event, HistoryPage, Position

LATEST = 253_370_764_800_000
"""The start of the year 9999, in milliseconds since 1970. Later times have no date."""
QUIET_SECONDS = 1.0
"""Time between two log lines: each reader meets the same record."""

log = structlog.get_logger("eventhub.brokers")


class RecordReader:
    """Reads the records of one broker, which it names in log lines."""

    def __init__(self, broker: str) -> None:
        self._broker = broker
        self._quiet = 0.0

    def page(
        self,
        channel: str,
        start: Position,
        rows: Iterable[Event | int],
        end: Position,
        lost: str | None,
        limit: int | None = None,
    ) -> HistoryPage:
        """The page of at most `limit` events after `start`.

        An int among the rows is the offset of an unreadable one.
        """
        events: list[Event] = []
        for row in rows:
            if isinstance(row, int):
                if events:
                    break
                start, lost = Position(start.epoch, row), lost or "unreadable"
                self.unreadable(channel, start)
            elif limit is not None and len(events) >= limit:
                break
            else:
                events.append(row)
        return HistoryPage(start, events, end, lost)

    def unreadable(self, channel: str, position: Position | None) -> None:
        """Log that a record cannot be read."""
        if (now := time.monotonic()) >= self._quiet:
            self._quiet = now + QUIET_SECONDS
            with suppress(Exception):
                log.error(
                    "unreadable_record",
                    broker=self._broker,
                    channel=channel,
                    position=str(position) if position else None,
                )


def event(
    channel: str, epoch: str, offset: int, previous: int, moment: Any, data: Any, attributes: Any
) -> Event:
    """A stored event. Raises ValueError for what EventHub cannot have stored.

    Readers of such an event would receive invalid JSON, or nothing.
    """
    if (
        type(offset) is not int
        or not 0 < offset < OFFSET_END
        or type(moment) is not int
        or not 0 <= moment < LATEST
    ):
        raise ValueError("expected an offset and a time")
    if type(data) is not bytes or b"\n" in data or b"\r" in data:
        raise ValueError("expected compact JSON")
    orjson.loads(data)
    if attributes is not None:
        if not are_attributes(attributes):
            raise ValueError("expected texts by name")
        if EXTENSIONS in attributes and not _are_extensions(attributes[EXTENSIONS]):
            raise ValueError("expected the JSON of an object in a line")
    return Event(channel, epoch, offset, previous, moment, data, attributes)


def are_attributes(value: Any) -> bool:
    """Whether a value is a mapping of texts to texts."""
    return isinstance(value, Mapping) and all(
        isinstance(text, str) for pair in value.items() for text in pair
    )


def _are_extensions(text: str) -> bool:
    return "\n" not in text and "\r" not in text and isinstance(orjson.loads(text), dict)
