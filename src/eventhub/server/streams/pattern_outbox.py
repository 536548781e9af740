"""The outgoing buffers of streams of patterns: their messages carry the stream's cursor."""

from collections import deque
from collections.abc import Callable
from typing import Protocol

import orjson

from eventhub.delivery.cursor_encoding import PLACED, CursorForm
from eventhub.delivery.encoding import LINES, event_id
from eventhub.delivery.pattern_cursor import PatternCursor
from eventhub.delivery.shared_cursors import CursorWriter
from eventhub.server.streams.outbox import Outbox


class StoredRecords(Protocol):
    """The records of cursors that are added and stored (`CursorJournals`)."""

    added: int
    stored: int

    def when_stored(self, wake: Callable[[], None]) -> None:
        """Call this once when more records are stored than now."""
        ...

    def forget(self, wake: Callable[[], None]) -> None:
        """Do not call this."""
        ...


class PlacedOutbox(Outbox):
    """For a stream with a cursor of its own. Its encoding is LINES.

    What is written may have a cursor whose record is not stored yet. It is held back until it is:
    the client would otherwise know a cursor that nobody can resume after a crash of this node.
    """

    __slots__ = ("_held", "_held_bytes", "_records", "cursor", "expired", "form")

    def __init__(
        self,
        form: CursorForm,
        cursor: PatternCursor,
        records: StoredRecords,
        bound: int,
        on_full: Callable[[], None],
        on_drained: Callable[[], None],
    ) -> None:
        super().__init__(LINES, bound, on_full, on_drained)
        self.form = form
        self.cursor = cursor
        self.expired = False
        """The client's cursor has expired. It is told so after `subscribed`."""
        self._records = records
        self._held: deque[tuple[int, bytes]] = deque()
        self._held_bytes = 0

    def write(self, data: bytes) -> None:
        """Queue JSON lines as messages of the stream, with its cursor."""
        if not self._closed:
            self.write_placed(b"".join(map(self._placed, data.splitlines())))

    def write_placed(self, data: bytes) -> None:
        """Queue whole messages, once every record that has been added is stored."""
        records = self._records
        if self._closed:
            return
        if not self._held and records.stored >= records.added:
            super().write(data)
            return
        self._held.append((records.added, data))
        self._held_bytes += len(data)
        records.when_stored(self._release)
        if self.size + self._held_bytes > self._bound and not self.full:
            self.full = True
            self._loop.call_soon(self._on_full)

    def takes_signal(self, size: int) -> bool:
        """Whether a signal of this size leaves enough room for events, also for those held."""
        return super().takes_signal(size + self._held_bytes)

    def close(self) -> None:
        """Accept no more. What is held is sent now: a goodbye must follow every event before it."""
        held = [data for _, data in self._held]
        self._drop_held()
        for data in held:
            super().write(data)
        super().close()

    def discard(self) -> None:
        """Drop the rest, because no sender takes it any more."""
        self._drop_held()
        super().discard()

    def _placed(self, line: bytes) -> bytes:
        if line.startswith(b'{"type":"event"'):
            self.cursor.move(line.split(b'"', 8)[7].decode(), event_id(line))
            return self.form.event(line, str(self.cursor))
        message = orjson.loads(line)
        if "position" in message:
            self.cursor.move(message["channel"], message["position"])
        kind, cursor = message["type"], str(self.cursor)
        if kind != "subscribed":
            return self.form.message(message, cursor if kind in PLACED else None)
        recovered = message.get("recovered", True) and not self.expired
        begun = self.form.message(message | {"recovered": recovered}, cursor)
        if self.expired:
            gap = {"type": "gap", "channel": message["channel"], "reason": "expired"}
            begun += self.form.message(gap, cursor)
        return begun

    def _release(self) -> None:
        held = self._held
        while held and held[0][0] <= self._records.stored:
            data = held.popleft()[1]
            self._held_bytes -= len(data)
            super().write(data)
        if held:
            self._records.when_stored(self._release)

    def _drop_held(self) -> None:
        self._held.clear()
        self._held_bytes = 0
        self._records.forget(self._release)


class PatternOutbox(PlacedOutbox, CursorWriter):
    """For a stream of one pattern, which shares the cursor of its audience while it is live."""

    __slots__ = ()
