"""How each transport carries CloudEvents: one for each message of the stream.

They stand beside the encodings of `encoding.py` and `cursor_encoding.py`, transport by transport.
"""

from typing import Any

import orjson

from eventhub.delivery.cloudevents import CloudEvents
from eventhub.delivery.cursor_encoding import CursorForm
from eventhub.delivery.encoding import (
    Encoding,
    WebSocketEncoding,
    deflated,
    frame,
    sse_block,
    sse_event,
)
from eventhub.events.event import Event, Position
from eventhub.events.signal import Signal


class CloudLineEncoding:
    """A line for each CloudEvent. ASGI WebSockets get it too, split at the line breaks."""

    def __init__(self, cloudevents: CloudEvents) -> None:
        self._cloudevents = cloudevents

    def event(self, event: Event) -> bytes:
        return self._cloudevents.of_event(event) + b"\n"

    def signal(self, signal: Signal) -> bytes:
        return self._cloudevents.of_signal(signal) + b"\n"

    def message(self, kind: str, fields: dict[str, Any], position: Position | None = None) -> bytes:
        return self._cloudevents.of_message(kind, fields, position) + b"\n"


class CloudStreamEncoding:
    """Server-Sent Events: the data of each is a CloudEvent. Names and ids are as without."""

    def __init__(self, cloudevents: CloudEvents) -> None:
        self._cloudevents = cloudevents

    def event(self, event: Event) -> bytes:
        return sse_event(self._cloudevents.of_event(event), f"{event.epoch}-{event.offset}")

    def signal(self, signal: Signal) -> bytes:
        return sse_block(self._cloudevents.of_signal(signal), "signal")

    def message(self, kind: str, fields: dict[str, Any], position: Position | None = None) -> bytes:
        data = self._cloudevents.of_message(kind, fields, position)
        cursor = str(position) if position else None
        return sse_block(data, kind, cursor, fields.get("reconnect_in"))


class CloudFrameEncoding(WebSocketEncoding):
    """A text frame for each CloudEvent."""

    def __init__(self, cloudevents: CloudEvents) -> None:
        self._cloudevents = cloudevents

    def event(self, event: Event) -> bytes:
        return frame(self._cloudevents.of_event(event))

    def signal(self, signal: Signal) -> bytes:
        return frame(self._cloudevents.of_signal(signal))

    def message(self, kind: str, fields: dict[str, Any], position: Position | None = None) -> bytes:
        return frame(self._cloudevents.of_message(kind, fields, position))


class CloudDeflateEncoding(CloudFrameEncoding):
    """Text frames with permessage-deflate."""

    def event(self, event: Event) -> bytes:
        return deflated(self._cloudevents.of_event(event))


class CloudCursorLines:
    """NDJSON with a cursor: the extension `eventhubcursor` in each CloudEvent."""

    def __init__(self, cloudevents: CloudEvents) -> None:
        self._cloudevents = cloudevents
        self.plain: Encoding = CloudLineEncoding(cloudevents)

    def event(self, line: bytes, cursor: str) -> bytes:
        return _with_cursor(self._cloudevents.of_line(line), cursor)

    def signal(self, line: bytes) -> bytes:
        return self._cloudevents.of_fields(orjson.loads(line)) + b"\n"

    def message(self, message: dict[str, Any], cursor: str | None) -> bytes:
        found = self._cloudevents.of_fields(message)
        return _with_cursor(found, cursor) if cursor else found + b"\n"


class CloudCursorBlocks:
    """Server-Sent Events with a cursor, which is their id."""

    def __init__(self, cloudevents: CloudEvents) -> None:
        self._cloudevents = cloudevents
        self.plain: Encoding = CloudStreamEncoding(cloudevents)

    def event(self, line: bytes, cursor: str) -> bytes:
        return sse_event(self._cloudevents.of_line(line), cursor)

    def signal(self, line: bytes) -> bytes:
        return sse_block(self._cloudevents.of_fields(orjson.loads(line)), "signal")

    def message(self, message: dict[str, Any], cursor: str | None) -> bytes:
        data = self._cloudevents.of_fields(message)
        return sse_block(data, message["type"], cursor, message.get("reconnect_in"))


def _with_cursor(cloudevent: bytes, cursor: str) -> bytes:
    return b'%b,"eventhubcursor":"%b"}\n' % (cloudevent[:-1], cursor.encode())


class CloudEncodings:
    """The encodings of CloudEvents, each made once: subscribers with the same one share bytes."""

    def __init__(self, base: str, node: str) -> None:
        self.cloudevents = CloudEvents(base, node)
        self.lines = CloudLineEncoding(self.cloudevents)
        self.event_stream = CloudStreamEncoding(self.cloudevents)
        self.frames = CloudFrameEncoding(self.cloudevents)
        self.deflated = CloudDeflateEncoding(self.cloudevents)
        self.cursor_lines: CursorForm = CloudCursorLines(self.cloudevents)
        self.cursor_blocks: CursorForm = CloudCursorBlocks(self.cloudevents)
