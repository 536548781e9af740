"""The outgoing buffer of a stream of several patterns and channels, which have one cursor."""

from collections.abc import Mapping, Sequence

import orjson

from eventhub.delivery.pattern_subscriber import Begins, PatternSince
from eventhub.delivery.shared_cursors import RENEW_SECONDS
from eventhub.events.event import Latest
from eventhub.server.streams.pattern_outbox import PlacedOutbox

LAST = (b'{"type":"goodbye"', b'{"type":"error"')
"""How the last messages of a stream begin."""


class SelectionOutbox(PlacedOutbox):
    """Its cursor has the positions in all channels. `begin` must be called before anything else.

    Until each pattern and channel has begun, the cursor says how the others begin: as `since` says.
    Then all positions are known, and channels that it does not name were born later.

    With `since=latest`, nothing is sent until all have begun. A client would otherwise get a cursor
    that says `latest`, and lose the first events of a channel that is born before it comes back.
    """

    __slots__ = ("_begins_somewhere", "_early", "_known", "_left", "_name", "_renewed")

    def begin(self, parts: Sequence[str], since: PatternSince) -> None:
        """The stream has these patterns and channels, and begins here."""
        self._name = ",".join(parts)
        self._left = set(parts)
        self._known: Mapping[str, str] = {}
        otherwise = None if isinstance(since, Mapping) else since
        if isinstance(since, Mapping):
            self._known = {channel: str(position) for channel, position in since.items()}
            otherwise = since.otherwise if isinstance(since, Begins) else None
        self._begins_somewhere = otherwise is not None
        self._early: list[bytes] | None = [] if isinstance(otherwise, Latest) else None
        self._renewed = self._loop.time()

    def write(self, data: bytes) -> None:
        """Queue JSON lines as messages of the stream, with its cursor."""
        if self._early is None or self._closed:
            super().write(data)
            return
        lines = data.splitlines()
        self._early += lines
        self._held_bytes += len(data)
        for line in lines:
            self._note_begin(line)
        if not self._left:
            self._send_early()
        elif self.size + self._held_bytes > self._bound and not self.full:
            self.full = True
            self._loop.call_soon(self._on_full)

    def close(self) -> None:
        """Accept no more. If not all have begun, only the last message is sent.

        The client has no cursor then, and begins again.
        """
        early, self._early = self._early or [], None
        for line in early:
            if line.startswith(LAST):
                super().write(line)
        super().close()

    def renew_cursor(self) -> None:
        """Begin a new journal if the present one will expire, and tell the client."""
        now = self._loop.time()
        if not self._closed and self.cursor.in_journal and now - self._renewed >= RENEW_SECONDS:
            self._renewed = now
            self.cursor.begin_journal()
            self.write(orjson.dumps({"type": "position", "channel": self._name}) + b"\n")

    def _placed(self, line: bytes) -> bytes:
        if line.startswith(b'{"type":"positions"'):
            message = orjson.loads(line)
            self._take_positions(message["positions"])
            if not message["complete"]:
                return b""
            self._begun(message["channel"])
            place = {"type": "position", "channel": message["channel"]}
            return self.form.message(place, str(self.cursor))
        if self._left and line.startswith(b'{"type":"subscribed"'):
            message = orjson.loads(line)
            if "position" in message:
                self._take_positions({message["channel"]: message["position"]})
                self._begun(message["channel"])
        return super()._placed(line)

    def _take_positions(self, positions: Mapping[str, str]) -> None:
        self.cursor.move_all(positions.items())

    def _begun(self, part: str) -> None:
        self._left.discard(part)
        if not self._left and self._begins_somewhere:
            self._begins_somewhere = False
            self.cursor = self.cursor.completed(self._known)

    def _note_begin(self, line: bytes) -> None:
        """Of a line that is sent later."""
        if line.startswith((b'{"type":"positions"', b'{"type":"subscribed"')):
            message = orjson.loads(line)
            found = message.get("positions") or {}
            if "position" in message:
                found = {message["channel"]: message["position"]}
            self._take_positions(found)
            if message.get("complete") or "position" in message:
                self._begun(message["channel"])

    def _send_early(self) -> None:
        early, self._early = self._early or [], None
        self._held_bytes -= sum([len(line) + 1 for line in early])
        super().write(b"\n".join(early))
