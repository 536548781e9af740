"""server/websocket/frame_parser.py: the length of messages, close frames, and text."""

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ProtocolError
from websockets.frames import Close

from eventhub.delivery.encoding import BINARY, CLOSE, PING, TEXT
from eventhub.server.websocket.frame_parser import (
    CONTROL_LENGTH,
    INVALID_DATA,
    NO_STATUS,
    PROTOCOL_ERROR,
    FrameParser,
    MessageTooLong,
    ProtocolViolation,
    check_utf8,
    close_code,
    close_payload,
)
from tests.unit.server.websocket.frames import (
    CONT,
    frame,
    raw,
    read,
    violation,
)

thorough = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


# Limits


@pytest.mark.parametrize("limit", [1, 125, 126, 65535, 65536])
def test_a_message_of_the_limit_is_taken_and_one_more_byte_is_too_long(limit: int) -> None:
    assert read(frame(TEXT, b"x" * limit), limit=limit) == [(TEXT, b"x" * limit)]
    with pytest.raises(MessageTooLong):
        read(frame(TEXT, b"x" * (limit + 1)), limit=limit)


def test_a_message_that_is_too_long_is_refused_by_its_header_before_its_bytes_are_held() -> None:
    for header in (
        raw(0x82, 0x80 | 127, struct.pack("!Q", 2**63 - 1))[:10],
        raw(0x81, 0x80 | 126, struct.pack("!H", 126))[:4],
        b"\x81\xe5",
    ):
        with pytest.raises(MessageTooLong):
            read(header, limit=100)


@pytest.mark.parametrize(
    "before", [b"", frame(PING), frame(BINARY, b"x" * 100)], ids=["alone", "ping", "message"]
)
@pytest.mark.parametrize(
    "header", [b"\x82\xfe" + struct.pack("!H", 126), b"\x82\xff" + struct.pack("!Q", 65_536)]
)
def test_a_length_that_comes_in_parts_is_refused_with_its_last_byte(
    before: bytes, header: bytes
) -> None:
    parser = FrameParser(100)
    list(parser.feed(before + header[:2]))
    assert list(parser.feed(header[2:-1])) == []
    with pytest.raises(MessageTooLong):
        list(parser.feed(header[-1:]))


@pytest.mark.parametrize("length", [0, 126, 65_536])
@pytest.mark.parametrize("here", range(1, 15))
def test_a_header_may_be_cut_anywhere_after_another_frame(here: int, length: int) -> None:
    data = frame(BINARY, b"x" * length)
    found = read(frame(PING, b"before") + data[:here], data[here:])
    assert found == [(PING, b"before"), (BINARY, b"x" * length)]


def test_fragments_count_together() -> None:
    fragments = [frame(TEXT, b"x" * 40, fin=False), frame(CONT, b"x" * 40, fin=False)]
    assert read(*fragments, frame(CONT, b"x" * 20), limit=100) == [(TEXT, b"x" * 100)]
    with pytest.raises(MessageTooLong):
        read(*fragments, frame(CONT, b"x" * 21), limit=100)
    with pytest.raises(MessageTooLong):
        read(*fragments, frame(CONT, b"x" * 21, fin=False)[:2], limit=100)


def test_each_message_has_the_limit_for_itself() -> None:
    message = [frame(TEXT, b"x" * 60, fin=False), frame(CONT, b"x" * 40)]
    assert len(read(*message, *message, frame(BINARY, b"x" * 100), limit=100)) == 3


def test_control_frames_do_not_count() -> None:
    ping = frame(PING, b"x" * CONTROL_LENGTH)
    stream = [frame(TEXT, b"x" * 5, fin=False), ping, ping, frame(CONT, b"x" * 5)]
    assert [opcode for opcode, _ in read(*stream, limit=10)] == [PING, PING, TEXT]
    farewell = b"\x03\xe8" + b"x" * (CONTROL_LENGTH - 2)
    assert read(frame(CLOSE, farewell), limit=10) == [(CLOSE, farewell)]


# Close frames


def allowed(code: int) -> bool:
    """In the opinion of the websockets library."""
    try:
        Close.parse(code.to_bytes(2))
    except ProtocolError:
        return False
    return True


def test_close_codes_are_those_that_may_be_sent() -> None:
    good = {code for code in range(65536) if allowed(code)}
    for code in good:
        assert close_code(code.to_bytes(2) + b"why") == code
    for code in {*range(5100), 65535} - good:
        with pytest.raises(ProtocolViolation, match="invalid code") as caught:
            close_code(code.to_bytes(2) + b"why")
        assert caught.value.code == PROTOCOL_ERROR


def test_a_close_without_a_code_has_no_status() -> None:
    assert close_code(b"") == NO_STATUS


def test_a_close_of_one_byte_is_a_violation() -> None:
    with pytest.raises(ProtocolViolation, match="invalid code"):
        close_code(b"\x03")


def test_a_close_reason_must_be_utf_8() -> None:
    assert close_code(b"\x03\xe8" + "até".encode()) == 1000
    for reason in (b"\xff", "até".encode()[:-1], b"\xed\xa0\x80"):
        with pytest.raises(ProtocolViolation) as caught:
            close_code(b"\x03\xe8" + reason)
        assert caught.value.code == INVALID_DATA


@thorough
@given(st.integers(3000, 4999), st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_a_close_payload_fits_a_control_frame_and_is_read_by_websockets(
    code: int, reason: str
) -> None:
    payload = close_payload(code, reason)
    assert len(payload) <= CONTROL_LENGTH
    found = Close.parse(payload)
    assert found.code == code == close_code(payload)
    assert reason.startswith(found.reason)
    assert (
        len(found.reason.encode()) == len(reason.encode())
        or len(found.reason.encode()) > CONTROL_LENGTH - 2 - 4
    ), "no more is cut than needed"


@pytest.mark.parametrize("room", range(4))
def test_a_long_reason_is_cut_to_what_fits_between_two_characters(room: int) -> None:
    most = CONTROL_LENGTH - 2
    reason = "x" * (most - room) + "🦊"
    assert close_payload(1000, "x" * most) == b"\x03\xe8" + b"x" * most
    assert close_payload(1000, reason) == b"\x03\xe8" + b"x" * (most - room)


# Text


@pytest.mark.parametrize("payload", [b"", b"x", "até 🦊 \x00 \uffff".encode()])
def test_text_is_utf_8(payload: bytes) -> None:
    check_utf8(payload)


@pytest.mark.parametrize(
    "payload",
    [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", "🦊".encode()[:3], b"a\x80"],
)
def test_other_text_is_a_violation_of_its_own_code(payload: bytes) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        check_utf8(payload)
    assert caught.value.code == INVALID_DATA == 1007


@pytest.mark.parametrize("bad", [b"\xc0", b"\xed\xa0\x80", b"\xf4\x90", b"\x80"])
def test_text_that_cannot_become_utf_8_is_a_violation_at_once(bad: bytes) -> None:
    text = "até 🦊".encode() + bad
    for chunks in (
        [frame(TEXT, text, fin=False)],
        [frame(TEXT, text[:8], fin=False), frame(PING), frame(CONT, text[8:], fin=False)],
        [frame(TEXT, text + b"more")[: -len(b"more")]],
        [bytes((byte,)) for byte in frame(TEXT, text + b"more")[: -len(b"more")]],
        [frame(TEXT, text[:4], fin=False), frame(CONT, text[4:] + b"more")[: -len(b"more")]],
    ):
        assert violation(*chunks).code == INVALID_DATA


@pytest.mark.parametrize("length", [126, 65_536])
def test_a_long_text_is_checked_from_its_first_byte_on(length: int) -> None:
    good, bad = b"x" * length, b"\xff".ljust(length, b"x")
    assert read(frame(TEXT, good)[:-1]) == []
    assert violation(frame(TEXT, bad)[:-1]).code == INVALID_DATA
    parts = [frame(TEXT, bad)[begin : begin + 5] for begin in range(0, 20, 5)]
    assert violation(*parts).code == INVALID_DATA


def test_a_message_that_ends_within_a_character_is_a_violation() -> None:
    fox = "🦊".encode()
    assert violation(frame(TEXT, fox[:3])).code == INVALID_DATA
    assert violation(frame(TEXT, fox[:1], fin=False), frame(CONT, fox[1:3])).code == INVALID_DATA


@pytest.mark.parametrize("at", range(7, 13))
def test_a_character_may_be_cut_by_parts_of_a_fragment_and_by_fragments(at: int) -> None:
    text = "a€é".encode()
    for cut in range(len(text) + 1):
        first = frame(TEXT, text[:cut], fin=False)
        assert read(first[:at], first[at:], frame(CONT, text[cut:])) == [(TEXT, text)]


def test_every_fragment_is_checked_from_its_beginning() -> None:
    first = frame(TEXT, b"abcd", fin=False)
    for bad in (frame(CONT, b"\xffbcd", fin=False), frame(CONT, b"\xffbcdef")[:-1]):
        assert violation(first[:9], first[9:], bad).code == INVALID_DATA


def test_every_message_is_checked_from_its_beginning() -> None:
    whole = frame(TEXT, b"abcd")
    for bad in (frame(TEXT, b"\xffbcd", fin=False), frame(TEXT, b"\xffbcdef")[:-1]):
        assert violation(whole[:9], whole[9:], bad).code == INVALID_DATA
