"""encoding.py: frames with permessage-deflate (RFC 7692), and the numbers of RFC 6455."""

import zlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventhub.delivery.encoding import (
    BINARY,
    CLOSE,
    COMPRESS_FROM,
    COMPRESSED,
    DEFLATE,
    PING,
    PONG,
    TEXT,
    WEBSOCKET,
    deflated,
    event_json,
    frame,
)
from eventhub.events.event import Event

FINAL = 0x80
LARGE = b'{"text":"' + b"the same again, " * 400 + b'"}'


def payload_of(data: bytes) -> bytes:
    """What a client that negotiated compression without context takeover reads."""
    length = data[1]
    header = {126: 4, 127: 10}.get(length, 2)
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    return inflate.decompress(data[header:] + b"\x00\x00\xff\xff")


def event(data: bytes) -> Event:
    return Event("chat.a", "e", 2, 1, 0, data)


def test_the_opcodes_and_the_bit_are_those_of_the_rfcs() -> None:
    assert (TEXT, BINARY, CLOSE, PING, PONG) == (0x1, 0x2, 0x8, 0x9, 0xA)
    assert COMPRESSED == 0b0100_0000


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("length", [126, 65_536])
def test_a_long_frame_has_its_own_opcode(opcode: int, length: int) -> None:
    assert frame(b"x" * length, opcode)[0] == FINAL | opcode


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_payload_is_compressed_from_a_certain_length_on(opcode: int) -> None:
    assert COMPRESS_FROM == 96
    short, long = b"x" * (COMPRESS_FROM - 1), b"x" * COMPRESS_FROM
    assert deflated(short, opcode) == frame(short, opcode)
    compressed = deflated(long, opcode)
    assert compressed[0] == FINAL | COMPRESSED | opcode
    assert len(compressed) < len(long)
    assert payload_of(compressed) == long


@given(st.binary(min_size=COMPRESS_FROM, max_size=2000))
def test_any_payload_is_read_back_and_ends_without_the_four_bytes(payload: bytes) -> None:
    data = deflated(payload)
    assert payload_of(data) == payload
    assert not data.endswith(b"\x00\x00\xff\xff"), "RFC 7692, 7.2.1"


def test_an_event_is_compressed_and_another_message_is_not() -> None:
    data = DEFLATE.event(event(LARGE))
    assert payload_of(data) == event_json(event(LARGE))
    assert len(data) < len(LARGE) / 10
    fields = {"text": "x" * COMPRESS_FROM}
    assert DEFLATE.message("gap", fields) == WEBSOCKET.message("gap", fields)
    assert DEFLATE.message("gap", fields) == frame(orjson.dumps({"type": "gap", **fields}))
