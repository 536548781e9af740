"""An event's wire bytes. Each encoding is built once for an event and shared by all subscribers that use it."""

import zlib
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import orjson

from eventhub.events.event import Event, Gap, Position, format_time

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
COMPRESSED = 0x40
"""RSV1: the message is compressed (RFC 7692, 6)."""
COMPRESS_FROM = 96
"""Smaller payloads only grow."""
COMPRESSION_LEVEL = 3


def event_json(event: Event) -> bytes:
    """The event object of PROTOCOL.md. Holds no raw line break: `data` is canonical JSON."""
    attributes = b',"attributes":' + orjson.dumps(event.attributes) if event.attributes else b""
    return b'{"type":"event","channel":"%b","id":"%b-%d","time":"%b","data":%b%b}' % (
        event.channel.encode(),
        event.epoch.encode(),
        event.offset,
        format_time(event.time).encode(),
        event.data,
        attributes,
    )


def event_id(line: bytes) -> str:
    """The id in what `event_json` made. Neither channel nor id can hold a quote."""
    return line.split(b'"', 12)[11].decode()


def gap_fields(gap: Gap) -> dict[str, Any]:
    """A gap as JSON fields."""
    fields: dict[str, Any] = {
        "after": str(gap.after) if gap.after else None,
        "before": str(gap.before),
        "position": str(gap.position),
        "reason": gap.reason,
    }
    if gap.skipped is not None:
        fields["skipped"] = gap.skipped
    return fields


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """One unmasked, unfragmented WebSocket frame (RFC 6455, 5.2)."""
    length = len(payload)
    if length < 126:
        return bytes((0x80 | opcode, length)) + payload
    if length < 65536:
        return bytes((0x80 | opcode, 126)) + length.to_bytes(2) + payload
    return bytes((0x80 | opcode, 127)) + length.to_bytes(8) + payload


def deflated(payload: bytes, opcode: int = TEXT) -> bytes:
    """The frame of a message that permessage-deflate may compress, on its own (RFC 7692, 7.2.1)."""
    if len(payload) < COMPRESS_FROM:
        return frame(payload, opcode)
    deflate = zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return frame(
        (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4], opcode | COMPRESSED
    )


class Encoding(Protocol):
    """How one transport carries messages. `position` is where the reader stands after it; `kind` is the message's `type`."""

    def event(self, event: Event) -> bytes:
        """An event."""
        ...

    def message(self, kind: str, fields: dict[str, Any], position: Position | None = None) -> bytes:
        """Any other message."""
        ...


class WebSocketEncoding:
    """One text frame a message."""

    def event(self, event: Event) -> bytes:
        return frame(event_json(event))

    def message(self, kind: str, fields: dict[str, Any], position: Position | None = None) -> bytes:
        return frame(orjson.dumps({"type": kind, **fields}))


class DeflateEncoding(WebSocketEncoding):
    """Text frames compressed with permessage-deflate without context takeover, so that all subscribers share them (RFC 7692, 7.1.1)."""

    def event(self, event: Event) -> bytes:
        return deflated(event_json(event))


class LineEncoding:
    """One line a message: NDJSON, and what ASGI servers get, split at the line breaks."""

    def event(self, event: Event) -> bytes:
        return event_json(event) + b"\n"

    def message(self, kind: str, fields: dict[str, Any], position: Position | None = None) -> bytes:
        return orjson.dumps({"type": kind, **fields}) + b"\n"


class EventStreamEncoding:
    """One block a message (WHATWG HTML, 9.2.6). Events are unnamed so that `onmessage` gets them."""

    def event(self, event: Event) -> bytes:
        return sse_event(event_json(event), f"{event.epoch}-{event.offset}")

    def message(self, kind: str, fields: dict[str, Any], position: Position | None = None) -> bytes:
        return sse_message({"type": kind, **fields}, str(position) if position else None)


def sse_event(line: bytes, cursor: str) -> bytes:
    """The block of an event, `line` being its JSON.

    The id comes last: clients such as @microsoft/fetch-event-source and eventsource 2 keep it as soon as they read it, and would
    resume behind an event of which a broken connection brought the id and not all of the data.
    """
    return b"data: %b\nid: %b\n\n" % (line, cursor.encode())


def sse_message(message: dict[str, Any], cursor: str | None) -> bytes:
    """The block of any other message, named by its type. A goodbye sets the reader's `retry` time, too."""
    identity = b"id: %b\n" % cursor.encode() if cursor else b""
    retry = (
        b"retry: %d\n" % round(message["reconnect_in"] * 1000) if "reconnect_in" in message else b""
    )
    return b"%bevent: %b\ndata: %b\n%b\n" % (
        retry,
        message["type"].encode(),
        orjson.dumps(message),
        identity,
    )


def joined(
    encoding: Encoding,
    events: Iterable[Event],
    unwritable: Callable[[Encoding, Event, Exception], bytes],
) -> bytes:
    """The bytes of events, one behind the other. `unwritable` gives what stands instead of one that cannot be encoded."""
    try:
        return b"".join(map(encoding.event, events))
    except Exception:  # looked for below: one by one costs more
        return b"".join([_written(encoding, event, unwritable) for event in events])


def _written(
    encoding: Encoding, event: Event, unwritable: Callable[[Encoding, Event, Exception], bytes]
) -> bytes:
    try:
        return encoding.event(event)
    except Exception as error:
        return unwritable(encoding, event, error)


WEBSOCKET = WebSocketEncoding()
DEFLATE = DeflateEncoding()
LINES = LineEncoding()
EVENT_STREAM = EventStreamEncoding()
