"""Events and messages with hostile strings go through every encoding and are read back by `json`,
zlib, `websockets` and a parser of event streams.
"""

import json
import zlib
from collections.abc import Generator
from typing import Any

import orjson
from websockets.frames import Frame

from eventhub.delivery.encoding import (
    COMPRESSED,
    DEFLATE,
    EVENT_STREAM,
    LINES,
    TEXT,
    WEBSOCKET,
    event_id,
    event_json,
)
from eventhub.errors import EventHubError, InvalidRequest
from eventhub.events.event import ATTRIBUTES, Event, Position
from eventhub.events.schema import AnySchema
from eventhub.server.messages.problem import problem_document
from tests.fuzz.source import Source


def encoders(data: bytes) -> None:
    """What is read back is what was encoded: one line, one block, one frame each."""
    source = Source(data)
    event = made(source)
    expected = {
        "type": "event",
        "channel": event.channel,
        "id": str(event.position),
        "data": json.loads(event.data),
    }
    line = event_json(event)
    assert b"\n" not in line
    assert b"\r" not in line
    found = json.loads(line)
    assert found.pop("attributes", None) == (event.attributes or None)
    assert len(found.pop("time")) == 24
    assert found == expected
    assert event_id(line) == str(event.position)
    assert LINES.event(event) == line + b"\n"
    assert blocks(EVENT_STREAM.event(event)) == [{"id": str(event.position), "data": line.decode()}]
    assert unframed(WEBSOCKET.event(event)) == unframed(DEFLATE.event(event)) == line
    messages(source, event.position)


def made(source: Source) -> Event:
    attributes = {
        name: source.text(source.byte() % 40 + 1) or "-" for name in ATTRIBUTES if source.byte() & 1
    }
    position = Position("k3x9", int.from_bytes(source.take(8)) >> 1)
    time = int.from_bytes(source.take(5))
    body = source.take(source.byte() * 4)
    try:
        data = AnySchema().canonical(body)
    except EventHubError:
        data = orjson.dumps(body.decode(errors="replace"))
    return Event("chat.lobby", position.epoch, position.offset, 0, time, data, attributes)


def messages(source: Source, position: Position) -> None:
    fields: dict[str, Any] = {
        "message": source.text(60),
        "ref": source.text(20),
        "members": [{"id": source.text(30)}],
    }
    expected = {"type": "error", **fields}
    assert json.loads(LINES.message("error", fields)) == expected
    assert LINES.message("error", fields).count(b"\n") == 1
    assert json.loads(unframed(DEFLATE.message("error", fields))) == expected
    (block,) = blocks(EVENT_STREAM.message("error", fields, position))
    assert (block["event"], block["id"], json.loads(block["data"])) == (
        "error",
        str(position),
        expected,
    )
    error = InvalidRequest(source.text(200))
    assert json.loads(orjson.dumps(problem_document(error)))["detail"] == error.message


def blocks(stream: bytes) -> list[dict[str, str]]:
    """Parse an event stream (WHATWG HTML, 9.2.6)."""
    found: list[dict[str, str]] = []
    current: dict[str, str] = {}
    for line in stream.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]:
        name, _, value = line.partition(":")
        if line:
            current[name] = (current[name] + "\n" if name in current else "") + value.removeprefix(
                " "
            )
        else:
            found.append(current)
            current = {}
    assert not current, "every block ends"
    return found


def unframed(data: bytes) -> bytes:
    """The text of one frame; nothing may follow it."""

    def read_exact(count: int) -> Generator[None, None, bytes]:
        nonlocal data
        found, data = data[:count], data[count:]
        assert len(found) == count
        return found
        yield

    compressed = bool(data[0] & COMPRESSED)
    data = bytes((data[0] & ~COMPRESSED,)) + data[1:]
    try:
        next(Frame.parse(read_exact, mask=False))
    except StopIteration as done:
        frame: Frame = done.value
    assert (int(frame.opcode), frame.fin, data) == (TEXT, True, b"")
    payload = bytes(frame.data)
    return zlib.decompress(payload + b"\x00\x00\xff\xff\x03\x00", -15) if compressed else payload
