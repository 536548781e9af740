"""Frames of a client, built by the websockets library where it agrees to build them."""

import zlib

import pytest
from websockets.frames import Frame, Opcode

from eventhub.server.websocket.frame_parser import (
    FrameParser,
    ProtocolViolation,
)

LIMIT = 70_000
CONT = 0
Message = tuple[int, bytes]


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """A client's frame."""
    return Frame(Opcode(opcode), payload, fin).serialize(mask=True)


def raw(first: int, second: int, extended: bytes = b"", payload: bytes = b"") -> bytes:
    """A client's frame that no library builds; the masking key is zero, so the payload stands as it
    is.
    """
    return bytes((first, second)) + extended + bytes(4) + payload


def read(*chunks: bytes, limit: int = LIMIT) -> list[Message]:
    parser = FrameParser(limit)
    return [message for chunk in chunks for message in parser.feed(chunk)]


def violation(*chunks: bytes) -> ProtocolViolation:
    with pytest.raises(ProtocolViolation) as caught:
        read(*chunks)
    assert str(caught.value) == caught.value.reason
    return caught.value


def squeeze(payload: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


def client_frame(first: int, payload: bytes) -> bytes:
    assert len(payload) < 126
    return bytes((first, 0x80 | len(payload), 0, 0, 0, 0)) + payload
