"""Messages that carry the cursor of their readers, for streams of a pattern."""

from collections.abc import Iterable
from typing import Any, Protocol

import orjson

from eventhub.delivery.encoding import (
    EVENT_STREAM,
    LINES,
    Encoding,
    StatefulEncoding,
    event_json,
    sse_event,
    sse_message,
    sse_signal,
)
from eventhub.delivery.pattern_cursor import PatternCursor
from eventhub.events.event import Event, Position
from eventhub.events.signal import Signal

PLACED = ("subscribed", "position", "gap")
"""Messages that say where the reader stands. Others, such as a goodbye, have no cursor."""


class CursorForm(Protocol):
    """How one transport writes cursors. `plain` is its encoding without any."""

    @property
    def plain(self) -> Encoding:
        """The encoding of messages that never have a cursor."""
        ...

    def event(self, line: bytes, cursor: str) -> bytes:
        """The bytes of an event. `line` is its JSON."""
        ...

    def signal(self, line: bytes) -> bytes:
        """The bytes of a signal. `line` is its JSON."""
        ...

    def message(self, message: dict[str, Any], cursor: str | None) -> bytes:
        """The bytes of any other message."""
        ...


class CursorLines:
    """NDJSON: a field `cursor` in each line."""

    plain: Encoding = LINES

    def event(self, line: bytes, cursor: str) -> bytes:
        return b'%b,"cursor":"%b"}\n' % (line[:-1], cursor.encode())

    def signal(self, line: bytes) -> bytes:
        return line + b"\n"

    def message(self, message: dict[str, Any], cursor: str | None) -> bytes:
        return orjson.dumps(message | {"cursor": cursor} if cursor else message) + b"\n"


class CursorBlocks:
    """Server-Sent Events: the cursor is the id."""

    plain: Encoding = EVENT_STREAM

    def event(self, line: bytes, cursor: str) -> bytes:
        return sse_event(line, cursor)

    def signal(self, line: bytes) -> bytes:
        return sse_signal(line)

    def message(self, message: dict[str, Any], cursor: str | None) -> bytes:
        return sse_message(message, cursor)


CURSOR_LINES: CursorForm = CursorLines()
CURSOR_BLOCKS: CursorForm = CursorBlocks()


class SharedCursorEncoding(StatefulEncoding):
    """The encoding of readers that stand at the same positions and get the same messages."""

    def __init__(self, form: CursorForm, cursor: PatternCursor) -> None:
        self.cursor = cursor
        self.form = form

    def place(self, positions: Iterable[tuple[str, str]]) -> None:
        """The readers stand here in all channels."""
        self.cursor.move_all(positions)

    def event(self, event: Event) -> bytes:
        """The bytes of an event."""
        self.cursor.move(event.channel, f"{event.epoch}-{event.offset}")
        return self.form.event(event_json(event), str(self.cursor))

    def signal(self, signal: Signal) -> bytes:
        """The bytes of a signal."""
        return self.form.plain.signal(signal)

    def message(self, kind: str, fields: dict[str, Any], position: Position | None = None) -> bytes:
        """The bytes of any other message. `position` is the readers' in the channel it names."""
        if position is not None:
            self.cursor.move(fields["channel"], str(position))
        cursor = str(self.cursor) if kind in PLACED else None
        return self.form.message({"type": kind, **fields}, cursor)
