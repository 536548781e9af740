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
from eventhub.delivery.filtering import FilteredEncoding
from eventhub.delivery.pattern_cursor import PatternCursor
from eventhub.delivery.subscriber import ConnectionWriter
from eventhub.filters.event_filter import EventFilter

Sharing = tuple[CursorForm, EventFilter | None]
"""Live streams that have these in common share a cursor."""
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
    """The cursors of one audience's live streams, one for each form and filter.

    `live` is its fan-out, `positions` where that has been filled to: the channels' `delivered`.
    """

    __slots__ = ("_live", "_positions", "_renewed", "_shared")

    def __init__(self, live: Fanout, positions: Callable[[], Iterable[tuple[str, str]]]) -> None:
        self._live = live
        self._positions = positions
        self._shared: dict[Sharing, SharedCursorEncoding] = {}
        self._renewed: dict[SharedCursorEncoding, float] = {}

    def outlet(
        self, writer: ConnectionWriter, filtered: FilteredEncoding | None = None
    ) -> tuple[Encoding, Write]:
        """The encoding of a live subscriber, and its `write`."""
        if not isinstance(writer, CursorWriter):
            return filtered or writer.encoding, writer.write
        shared = self._shared_by(writer, filtered)
        return shared if filtered is None else filtered.over(shared), writer.write_placed

    def encoding(
        self, writer: ConnectionWriter, filtered: FilteredEncoding | None = None
    ) -> Encoding:
        """The encoding of a live subscriber."""
        return self.outlet(writer, filtered)[0]

    def place(self, writer: ConnectionWriter, filtered: FilteredEncoding | None = None) -> bool:
        """A subscriber stands where the live ones do. Returns whether its cursor has changed.

        If it has a filter, the cursor may be before events that the filter leaves out.
        """
        if not isinstance(writer, CursorWriter):
            return False
        shared = self._shared_by(writer, filtered)
        self._live.encode()
        if not self._live.has(self.encoding(writer, filtered)):  # not told what others got
            shared.place(self._positions())
        before, writer.cursor = writer.cursor, shared.cursor.copy()
        return writer.cursor.said != before.said

    def renew(self, now: float) -> bool:
        """Begin new journals where the cursors would expire, and tell the streams.

        Returns whether there is anything to write.
        """
        live = {_shared_in(encoding) for encoding in self._live.encodings()}
        due = [
            shared
            for shared in self._shared.values()
            if now - self._renewed.setdefault(shared, now) >= RENEW_SECONDS
            and shared.cursor.in_journal
            and shared in live
        ]
        if not due:
            return False
        self._live.encode()
        for shared in due:
            shared.cursor.begin_journal()
            self._renewed[shared] = now
        fields = {"channel": due[0].cursor.pattern}
        self._live.broadcast(
            lambda encoding: (
                encoding.message("position", fields) if _shared_in(encoding) in due else b""
            )
        )
        return True

    def _shared_by(
        self, writer: CursorWriter, filtered: FilteredEncoding | None
    ) -> SharedCursorEncoding:
        key = writer.form, None if filtered is None else filtered.filter
        if (shared := self._shared.get(key)) is None:
            self._forget_filters()
            shared = SharedCursorEncoding(writer.form, writer.cursor.beginning())
            self._shared[key] = shared
        return shared

    def _forget_filters(self) -> None:
        """Drop the cursors of filters that no live subscriber has."""
        live = {_shared_in(encoding) for encoding in self._live.encodings()}
        for (form, filter_), shared in list(self._shared.items()):
            if filter_ is not None and shared not in live:
                del self._shared[form, filter_]
                self._renewed.pop(shared, None)


def _shared_in(encoding: Encoding) -> Encoding:
    return encoding.base if isinstance(encoding, FilteredEncoding) else encoding


def positions_fields(channel: str, found: Sequence[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """The fields of the messages that tell a reader without a cursor where it stands."""
    for begin in range(0, max(1, len(found)), POSITIONS):
        yield {
            "channel": channel,
            "positions": dict(found[begin : begin + POSITIONS]),
            "complete": begin + POSITIONS >= len(found),
        }
