"""The wire bytes of events and messages. Subscribers with the same encoding share them."""

import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, Protocol

import orjson

from eventhub.events.event import EXTENSIONS, RESERVED, SCHEMA, Event, Gap, Position, format_time
from eventhub.events.signal import Signal

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
COMPRESSED = 0x40
"""The RSV1 bit: the message is compressed (RFC 7692, 6)."""
COMPRESS_FROM = 96
"""Smallest payload that is compressed. Compression makes smaller ones larger."""
COMPRESSION_LEVEL = 3
SIGNAL = b'{"type":"signal"'
"""The output of `signal_json` begins so, and no other message does."""

_SHOWN_APART = frozenset((*RESERVED, EXTENSIONS))
_TEXTS = tuple(name for name in RESERVED if name != SCHEMA)
_medium_head = struct.Struct(">BBH").pack  # half the time of building it from bytes and integers


def event_json(event: Event) -> bytes:
    """The event object of PROTOCOL.md. It has no line breaks: `data` is canonical JSON."""
    attributes = _attributes(event.attributes) if event.attributes else b""
    return b'{"type":"event","channel":"%b","id":"%b-%d","time":"%b","data":%b%b}' % (
        event.channel.encode(),
        event.epoch.encode(),
        event.offset,
        _time(event.time),
        event.data,
        attributes,
    )


@lru_cache(maxsize=256)
def _time(milliseconds: int) -> bytes:
    """Events that are joined often have the same time."""
    return format_time(milliseconds).encode()


def signal_json(signal: Signal) -> bytes:
    """The signal object of PROTOCOL.md, without line breaks, as `event_json`."""
    return b'%b,"channel":"%b","time":"%b","data":%b%b}' % (
        SIGNAL,
        signal.channel.encode(),
        _time(signal.time),
        signal.data,
        _attributes(signal.attributes) if signal.attributes else b"",
    )


def _attributes(attributes: Mapping[str, str]) -> bytes:
    """The fields of an event that are stored as attributes, each if there is anything to say."""
    if len(attributes) == 1 and (version := attributes.get(SCHEMA)) is not None:
        return _version(version)
    fields = b"".join(
        b',"%b":%b' % (name.encode(), orjson.dumps(value))
        for name in _TEXTS
        if (value := attributes.get(name)) is not None
    )
    if EXTENSIONS in attributes:  # the JSON of an object
        fields += b',"extensions":' + attributes[EXTENSIONS].encode()
    if (version := attributes.get(SCHEMA)) is not None:
        fields += _version(version)
    if not fields:
        return b',"attributes":' + orjson.dumps(attributes)
    others = {name: value for name, value in attributes.items() if name not in _SHOWN_APART}
    return fields + b',"attributes":' + orjson.dumps(others) if others else fields


@lru_cache(maxsize=256)
def _version(number: str) -> bytes:
    """The version of a schema. Anything else was stored by something else."""
    return b',"schema":%b' % number.encode() if number.isdecimal() else b""


def event_id(line: bytes) -> str:
    """The event id in the output of `event_json`. Neither a channel nor an id contains a quote."""
    return line.split(b'"', 12)[11].decode()


def gap_fields(gap: Gap) -> dict[str, Any]:
    """The fields of a `gap` message."""
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
        return _medium_head(0x80 | opcode, 126, length) + payload
    return bytes((0x80 | opcode, 127)) + length.to_bytes(8) + payload


def deflated(payload: bytes, opcode: int = TEXT) -> bytes:
    """One frame, compressed with permessage-deflate if that helps (RFC 7692, 7.2.1)."""
    if len(payload) < COMPRESS_FROM:
        return frame(payload, opcode)
    deflate = zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return frame(
        (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4], opcode | COMPRESSED
    )


class Encoding(Protocol):
    """How one transport carries messages.

    `kind` is the message's `type`, `position` where the reader stands after it.
    """

    def event(self, event: Event) -> bytes:
        """The bytes of an event."""
        ...

    def signal(self, signal: Signal) -> bytes:
        """The bytes of a signal."""
        ...

    def message(self, kind: str, fields: dict[str, Any], position: Position | None = None) -> bytes:
        """The bytes of any other message."""
        ...


class StatefulEncoding:
    """An encoding that has to encode each event once, in the order in which they are written."""


class WebSocketEncoding:
    """A text frame for each message."""

    def event(self, event: Event) -> bytes:
        return frame(event_json(event))

    def signal(self, signal: Signal) -> bytes:
        return frame(signal_json(signal))

    def message(self, kind: str, fields: dict[str, Any], position: Position | None = None) -> bytes:
        return frame(orjson.dumps({"type": kind, **fields}))


class DeflateEncoding(WebSocketEncoding):
    """Text frames with permessage-deflate.

    Without context takeover, so that all subscribers share a frame (RFC 7692, 7.1.1).
    """

    def event(self, event: Event) -> bytes:
        return deflated(event_json(event))


class LineEncoding:
    """A line for each message: NDJSON. ASGI connections get it too, split at the line breaks."""

    def event(self, event: Event) -> bytes:
        return event_json(event) + b"\n"

    def signal(self, signal: Signal) -> bytes:
        return signal_json(signal) + b"\n"

    def message(self, kind: str, fields: dict[str, Any], position: Position | None = None) -> bytes:
        return orjson.dumps({"type": kind, **fields}) + b"\n"


class EventStreamEncoding:
    """A block for each message (WHATWG HTML, 9.2.6). Events have no name: `onmessage` gets them."""

    def event(self, event: Event) -> bytes:
        return sse_event(event_json(event), f"{event.epoch}-{event.offset}")

    def signal(self, signal: Signal) -> bytes:
        return sse_signal(signal_json(signal))

    def message(self, kind: str, fields: dict[str, Any], position: Position | None = None) -> bytes:
        return sse_message({"type": kind, **fields}, str(position) if position else None)


def sse_event(line: bytes, cursor: str) -> bytes:
    """The block of an event. `line` is its JSON.

    The id comes last. Clients such as @microsoft/fetch-event-source and eventsource 2 keep an id as
    soon as they have read it. If the connection broke before the data was complete, they would
    resume after an event that they never got.
    """
    return b"data: %b\nid: %b\n\n" % (line, cursor.encode())


def sse_signal(line: bytes) -> bytes:
    """The block of a signal. It has no id: nobody resumes from a signal."""
    return sse_block(line, "signal")


def sse_message(message: dict[str, Any], cursor: str | None) -> bytes:
    """The block of any other message, named by its type. A goodbye also sets `retry`."""
    return sse_block(orjson.dumps(message), message["type"], cursor, message.get("reconnect_in"))


def sse_block(
    data: bytes, name: str, cursor: str | None = None, reconnect_in: float | None = None
) -> bytes:
    """The block of a named message."""
    identity = b"id: %b\n" % cursor.encode() if cursor else b""
    retry = b"" if reconnect_in is None else b"retry: %d\n" % round(reconnect_in * 1000)
    return b"%bevent: %b\ndata: %b\n%b\n" % (retry, name.encode(), data, identity)


Joined = Callable[[Encoding, list[Event], Callable[[Encoding, Event, Exception], bytes]], bytes]
"""As `joined`."""


def joined(
    encoding: Encoding,
    events: Iterable[Event],
    replacement_for: Callable[[Encoding, Event, Exception], bytes],
) -> bytes:
    """The bytes of several events. `replacement_for` replaces an event that cannot be encoded."""
    if not isinstance(encoding, StatefulEncoding):
        with suppress(Exception):
            return b"".join(map(encoding.event, events))
    # One by one, which costs more.
    return b"".join([event_or_replacement(encoding, event, replacement_for) for event in events])


def event_or_replacement(
    encoding: Encoding, event: Event, replacement_for: Callable[[Encoding, Event, Exception], bytes]
) -> bytes:
    """The bytes of one event."""
    try:
        return encoding.event(event)
    except Exception as error:
        return replacement_for(encoding, event, error)


WEBSOCKET = WebSocketEncoding()
DEFLATE = DeflateEncoding()
LINES = LineEncoding()
EVENT_STREAM = EventStreamEncoding()
