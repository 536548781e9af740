"""The cursors of a pattern's streams: one for each stream that reads alone, and one for all others.

A stream that catches up or lags has a cursor of its own, and adds it to what is written to it. The
live streams of an audience stand at the same positions. So they share a cursor, and the bytes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from eventhub.delivery.bulk_write import Write
from eventhub.delivery.cursor_encoding import CursorForm, SharedCursorEncoding
from eventhub.delivery.encoding import Encoding
from eventhub.delivery.fanout import Fanout
from eventhub.delivery.pattern_cursor import PatternCursor
from eventhub.delivery.subscriber import ConnectionWriter

POSITIONS = 500
"""Positions in one message."""
RENEW_SECONDS = 900.0
"""After this time, the streams get a cursor of a new journal: the present one will expire."""


class CursorWriter:
    """A `ConnectionWriter` that adds its cursor to the messages that `write` gets.

    `write_placed` gets messages that have a cursor.
    """

    __slots__ = ()

    cursor: PatternCursor
    form: CursorForm

    def write_placed(self, data: bytes) -> None:
        """Queue whole messages, which have cursors. Never blocks, never raises."""
        raise NotImplementedError


class SharedCursors:
    """The cursors of one audience's live streams, one for each form.

    `live` is its fan-out, `positions` where that has been filled to: the channels' `delivered`.
    """

    __slots__ = ("_live", "_positions", "_renewed", "_shared")

    def __init__(self, live: Fanout, positions: Callable[[], Iterable[tuple[str, str]]]) -> None:
        self._live = live
        self._positions = positions
        self._shared: dict[CursorForm, SharedCursorEncoding] = {}
        self._renewed: dict[CursorForm, float] = {}

    def outlet(self, writer: ConnectionWriter) -> tuple[Encoding, Write]:
        """The encoding of a live subscriber, and its `write`."""
        if not isinstance(writer, CursorWriter):
            return writer.encoding, writer.write
        return self._shared_by(writer), writer.write_placed

    def encoding(self, writer: ConnectionWriter) -> Encoding:
        """The encoding of a live subscriber."""
        return self.outlet(writer)[0]

    def place(self, writer: ConnectionWriter) -> bool:
        """A subscriber stands where the live ones do. Returns whether its cursor has changed."""
        if not isinstance(writer, CursorWriter):
            return False
        shared = self._shared_by(writer)
        self._live.encode()
        if not self._live.has(shared):  # it was not told of what the others got
            shared.place(self._positions())
        before, writer.cursor = writer.cursor, shared.cursor.copy()
        return writer.cursor.said != before.said

    def renew(self, now: float) -> bool:
        """Begin new journals where the cursors would expire, and tell the streams.

        Returns whether there is anything to write.
        """
        due = [
            shared
            for form, shared in self._shared.items()
            if now - self._renewed.setdefault(form, now) >= RENEW_SECONDS
            and shared.cursor.in_journal
            and self._live.has(shared)
        ]
        if not due:
            return False
        self._live.encode()
        for shared in due:
            shared.cursor.begin_journal()
            self._renewed[shared.form] = now
        fields = {"channel": due[0].cursor.pattern}
        self._live.broadcast(
            lambda encoding: encoding.message("position", fields) if encoding in due else b""
        )
        return True

    def _shared_by(self, writer: CursorWriter) -> SharedCursorEncoding:
        if (shared := self._shared.get(writer.form)) is None:
            shared = SharedCursorEncoding(writer.form, writer.cursor.beginning())
            self._shared[writer.form] = shared
        return shared


def positions_fields(channel: str, found: Sequence[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """The fields of the messages that tell a reader without a cursor where it stands."""
    for begin in range(0, max(1, len(found)), POSITIONS):
        yield {
            "channel": channel,
            "positions": dict(found[begin : begin + POSITIONS]),
            "complete": begin + POSITIONS >= len(found),
        }
