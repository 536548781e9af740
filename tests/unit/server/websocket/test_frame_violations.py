"""server/websocket/frame_parser.py: violations, each of the sections 5.1 to 5.5 of RFC 6455."""

import struct

import pytest
from websockets.frames import Frame, Opcode

from eventhub.delivery.encoding import BINARY, CLOSE, PING, PONG, TEXT
from eventhub.server.websocket.frame_parser import (
    PROTOCOL_ERROR,
    FrameParser,
    ProtocolViolation,
)
from tests.unit.server.websocket.frames import (
    CONT,
    LIMIT,
    frame,
    raw,
    read,
    violation,
)


def broken(*chunks: bytes) -> str:
    """What is wrong with these bytes, which violate the protocol."""
    error = violation(*chunks)
    assert error.code == PROTOCOL_ERROR == 1002
    return error.reason


@pytest.mark.parametrize("bit", [0x40, 0x20, 0x10])
def test_a_reserved_bit_is_a_violation(bit: int) -> None:
    assert violation(raw(0x81 | bit, 0x80)).code == PROTOCOL_ERROR
    assert "reserved bits" in broken(raw(0x89 | bit, 0x80))


def test_a_frame_without_a_mask_is_a_violation() -> None:
    error = violation(Frame(Opcode.TEXT, b"x").serialize(mask=False))
    assert (error.code, error.reason) == (PROTOCOL_ERROR, "a client's frames must be masked")


@pytest.mark.parametrize("opcode", [0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF])
def test_a_reserved_opcode_is_a_violation(opcode: int) -> None:
    error = violation(raw(0x80 | opcode, 0x80))
    assert (error.code, error.reason) == (PROTOCOL_ERROR, f"opcode {opcode} is reserved")


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_a_fragmented_control_frame_is_a_violation(opcode: int) -> None:
    assert violation(raw(opcode, 0x80)).code == PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
@pytest.mark.parametrize(
    ("second", "extended"),
    [(0x80 | 126, struct.pack("!H", 126)), (0x80 | 127, struct.pack("!Q", 126))],
)
def test_a_control_frame_of_more_than_125_bytes_is_a_violation(
    opcode: int, second: int, extended: bytes
) -> None:
    assert "nor longer than 125 bytes" in broken(raw(0x80 | opcode, second, extended, b"x" * 126))


def test_a_continuation_of_nothing_is_a_violation() -> None:
    reason = "a continuation frame without a message to continue"
    assert broken(frame(CONT, b"x")) == reason
    assert broken(frame(CONT, b"x", fin=False)) == reason
    assert broken(frame(TEXT, b"a", fin=False), frame(CONT, b"b"), frame(CONT, b"c")) == reason
    assert broken(frame(PING), frame(CONT)) == reason


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("fin", [True, False])
def test_a_new_message_before_the_end_of_the_last_is_a_violation(opcode: int, fin: bool) -> None:  # noqa: FBT001  # a parameter of the test
    reason = "a new message before the last one was complete"
    assert broken(frame(TEXT, b"a", fin=False), frame(opcode, b"b", fin=fin)) == reason
    assert (
        broken(frame(TEXT, b"", fin=False) + frame(PING) + frame(opcode, b"b", fin=fin)) == reason
    )


@pytest.mark.parametrize(
    ("second", "extended"),
    [
        (126, struct.pack("!H", 0)),
        (126, struct.pack("!H", 125)),
        (127, struct.pack("!Q", 0)),
        (127, struct.pack("!Q", 126)),
        (127, struct.pack("!Q", 65535)),
    ],
)
def test_a_length_that_is_not_in_its_shortest_form_is_a_violation(
    second: int, extended: bytes
) -> None:
    error = violation(raw(0x82, 0x80 | second, extended))
    assert (error.code, error.reason) == (PROTOCOL_ERROR, "the length is not in its shortest form")


def test_a_64_bit_length_with_its_highest_bit_set_is_a_violation() -> None:
    assert "most significant bit" in broken(raw(0x82, 0x80 | 127, struct.pack("!Q", 1 << 63)))
    assert "most significant bit" in broken(raw(0x82, 0x80 | 127, struct.pack("!Q", 2**64 - 1)))


@pytest.mark.parametrize(
    ("second", "extended"),
    [
        (126, struct.pack("!H", 126)),
        (126, struct.pack("!H", 65535)),
        (127, struct.pack("!Q", 65536)),
    ],
)
def test_the_shortest_length_of_each_form_is_read(second: int, extended: bytes) -> None:
    payload = b"x" * int.from_bytes(extended)
    assert read(raw(0x82, 0x80 | second, extended, payload)) == [(BINARY, payload)]


def test_a_violation_shows_in_the_first_bytes_already() -> None:
    assert violation(b"\xc1\x80").code == PROTOCOL_ERROR
    assert violation(b"\x81\x05").code == PROTOCOL_ERROR
    assert violation(raw(0x82, 0x80 | 127, struct.pack("!Q", 5))[:10]).code == PROTOCOL_ERROR
    assert violation(raw(0x82, 0x80 | 126, struct.pack("!H", 5))[:4]).code == PROTOCOL_ERROR
    assert read(b"\xc1") == [], "one byte is no frame header yet"
    assert read(raw(0x82, 0x80 | 126, struct.pack("!H", 5))[:3]) == [], "half a length says nothing"


def test_messages_before_a_violation_are_given_first() -> None:
    stream = FrameParser(LIMIT).feed(frame(TEXT, b"a") + frame(PING, b"b") + raw(0x83, 0x80))
    assert next(stream) == (TEXT, b"a")
    assert next(stream) == (PING, b"b")
    with pytest.raises(ProtocolViolation):
        next(stream)
