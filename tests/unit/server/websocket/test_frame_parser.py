"""server/websocket/frame_parser.py against RFC 6455; frames are built by the websockets library
where it agrees to build them.
"""

import struct
import zlib
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ProtocolError
from websockets.frames import Close, Frame, Opcode

from eventhub.delivery.encoding import BINARY, CLOSE, PING, PONG, TEXT
from eventhub.server.websocket.frame_parser import (
    CONTROL_LENGTH,
    FRAGMENTS_PER_PAUSE,
    INVALID_DATA,
    NO_STATUS,
    PROTOCOL_ERROR,
    FrameParser,
    MessageTooLong,
    ProtocolViolation,
    accept_deflate,
    check_utf8,
    close_code,
    close_payload,
)

thorough = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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


# Messages


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 125, 126, 127, 65535, 65536, LIMIT])
def test_a_message_of_one_frame(opcode: int, length: int) -> None:
    payload = bytes(n % 127 for n in range(length))
    assert read(frame(opcode, payload)) == [(opcode, payload)]


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
@pytest.mark.parametrize("length", [0, 2, CONTROL_LENGTH])
def test_a_control_frame(opcode: int, length: int) -> None:
    assert read(frame(opcode, b"x" * length)) == [(opcode, b"x" * length)]


def test_the_examples_of_the_rfc() -> None:  # 5.7
    assert read(bytes.fromhex("818537fa213d7f9f4d5158")) == [(TEXT, b"Hello")]
    assert read(bytes.fromhex("8a8537fa213d7f9f4d5158")) == [(PONG, b"Hello")]


def test_each_frame_has_a_masking_key_of_its_own() -> None:
    assert (
        read(raw(0x81, 0x85, b"", b"Hello") + bytes.fromhex("818537fa213d7f9f4d5158"))
        == [(TEXT, b"Hello")] * 2
    )


def test_fragments_are_joined() -> None:
    assert read(
        frame(TEXT, b"a", fin=False),
        frame(CONT, b"", fin=False),
        frame(CONT, b"b", fin=False),
        frame(CONT, b"c"),
    ) == [(TEXT, b"abc")]
    assert read(frame(BINARY, b"", fin=False), frame(CONT, b"")) == [(BINARY, b"")]


def test_a_character_may_be_cut_by_fragments() -> None:
    fox = "🦊".encode()
    assert read(
        frame(TEXT, fox[:1], fin=False) + frame(CONT, fox[1:3], fin=False) + frame(CONT, fox[3:])
    ) == [(TEXT, fox)]


@pytest.mark.parametrize("cut_at", [1, 5, 6, 7, 8, 9, 10])
def test_a_character_may_be_cut_where_bytes_arrive(cut_at: int) -> None:
    data = frame(TEXT, "🦊".encode())
    assert read(data[:cut_at], data[cut_at:]) == [(TEXT, "🦊".encode())]


def test_control_frames_between_fragments_come_first() -> None:
    stream = (
        frame(TEXT, b"a", fin=False)
        + frame(PING, b"1")
        + frame(CONT, b"b", fin=False)
        + frame(PONG, b"2")
        + frame(CONT, b"c")
    )
    assert read(stream) == [(PING, b"1"), (PONG, b"2"), (TEXT, b"abc")]


def test_messages_after_a_fragmented_one_are_whole_again() -> None:
    stream = (
        frame(BINARY, b"a", fin=False)
        + frame(CONT, b"b")
        + frame(TEXT, b"c")
        + frame(TEXT, b"d", fin=False)
        + frame(CONT, b"e")
    )
    assert read(stream) == [(BINARY, b"ab"), (TEXT, b"c"), (TEXT, b"de")]


def test_a_frame_in_part_gives_nothing_yet() -> None:
    data = frame(TEXT, b"x" * 300)
    parser = FrameParser(LIMIT)
    for byte in data[:-1]:
        assert list(parser.feed(bytes((byte,)))) == []
    assert list(parser.feed(data[-1:])) == [(TEXT, b"x" * 300)]
    assert list(parser.feed(b"")) == []


def cut(stream: bytes, places: Sequence[int]) -> list[bytes]:
    ends = sorted({place % (len(stream) + 1) for place in places} | {len(stream)})
    return [stream[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


@st.composite
def conversations(draw: st.DrawFn) -> tuple[bytes, list[Message]]:
    """A stream, and the messages in it in the order in which they are complete."""
    controls = st.lists(
        st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=CONTROL_LENGTH)), max_size=2
    )
    stream, messages = bytearray(), []
    texts = st.tuples(st.just(TEXT), st.text(max_size=400).map(str.encode))
    for opcode, message in draw(
        st.lists(texts | st.tuples(st.just(BINARY), st.binary(max_size=400)), max_size=4)
    ):
        fragments = cut(message, draw(st.lists(st.integers(0, 1600), max_size=3)))
        for number, fragment in enumerate(fragments):
            for control in draw(controls):
                stream += frame(*control)
                messages.append(control)
            stream += frame(CONT if number else opcode, fragment, fin=number == len(fragments) - 1)
        messages.append((opcode, message))
    return bytes(stream), messages


@thorough
@given(conversations(), st.lists(st.integers(0, 10_000), max_size=30))
def test_however_the_stream_is_cut_the_messages_are_the_same(
    conversation: tuple[bytes, list[Message]], places: list[int]
) -> None:
    stream, messages = conversation
    assert read(*cut(stream, places)) == messages


@thorough
@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=10))
def test_any_bytes_are_messages_or_a_violation_however_they_are_cut(
    stream: bytes, places: list[int]
) -> None:
    def outcome(chunks: Sequence[bytes]) -> tuple[list[Message], str]:
        parser, found = FrameParser(100), list[Message]()
        try:
            for chunk in chunks:
                found.extend(parser.feed(chunk))
        except (ProtocolViolation, MessageTooLong) as error:
            return found, repr(error)
        return found, ""

    assert outcome([stream]) == outcome(cut(stream, places))


# Violations, each of the sections 5.1 to 5.5


@pytest.mark.parametrize("bit", [0x40, 0x20, 0x10])
def test_a_reserved_bit_is_a_violation(bit: int) -> None:
    assert violation(raw(0x81 | bit, 0x80)).code == PROTOCOL_ERROR
    assert "reserved bits" in violation(raw(0x89 | bit, 0x80)).reason


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
    assert (
        "nor longer than 125 bytes"
        in violation(raw(0x80 | opcode, second, extended, b"x" * 126)).reason
    )


def test_a_continuation_of_nothing_is_a_violation() -> None:
    reason = "a continuation frame without a message to continue"
    assert violation(frame(CONT, b"x")).reason == reason
    assert violation(frame(CONT, b"x", fin=False)).reason == reason
    assert (
        violation(frame(TEXT, b"a", fin=False), frame(CONT, b"b"), frame(CONT, b"c")).reason
        == reason
    )
    assert violation(frame(PING), frame(CONT)).reason == reason


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("fin", [True, False])
def test_a_new_message_before_the_end_of_the_last_is_a_violation(opcode: int, fin: bool) -> None:  # noqa: FBT001  # a parameter of the test
    reason = "a new message before the last one was complete"
    assert violation(frame(TEXT, b"a", fin=False), frame(opcode, b"b", fin=fin)).reason == reason
    assert (
        violation(frame(TEXT, b"", fin=False) + frame(PING) + frame(opcode, b"b", fin=fin)).reason
        == reason
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
    assert (
        "most significant bit"
        in violation(raw(0x82, 0x80 | 127, struct.pack("!Q", 1 << 63))).reason
    )
    assert (
        "most significant bit"
        in violation(raw(0x82, 0x80 | 127, struct.pack("!Q", 2**64 - 1))).reason
    )


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


def test_a_message_that_ends_within_a_character_is_a_violation() -> None:
    fox = "🦊".encode()
    assert violation(frame(TEXT, fox[:3])).code == INVALID_DATA
    assert violation(frame(TEXT, fox[:1], fin=False), frame(CONT, fox[1:3])).code == INVALID_DATA


def test_only_text_must_be_utf_8_and_compressed_text_once_it_is_whole() -> None:
    assert read(frame(BINARY, b"\xff", fin=False), frame(CONT, b"\xff" * 9)[:12]) == []
    parser = FrameParser(1000, deflate=True)
    packed = squeeze(b"x" * 300)
    with pytest.raises(UnicodeDecodeError):
        packed.decode()
    data = client_frame(0xC1, packed)
    assert [message for byte in data for message in parser.feed(bytes((byte,)))] == [
        (TEXT, b"x" * 300)
    ]
    with pytest.raises(ProtocolViolation, match="UTF-8"):
        list(parser.feed(client_frame(0xC1, squeeze(b"\xff" * 300))))


@pytest.mark.parametrize(
    ("offers", "accepted"),
    [
        ("permessage-deflate", True),
        ("permessage-deflate; client_max_window_bits", True),
        ("permessage-deflate; client_max_window_bits=12; server_no_context_takeover", True),
        ("permessage-deflate; server_max_window_bits=10, permessage-deflate", True),
        ("x-webkit-deflate-frame, PerMessage-Deflate; Client_No_Context_Takeover", True),
        ("permessage-deflate; server_max_window_bits=10", False),
        ("permessage-deflate; surprise", False),
        ("permessage-bzip2", False),
        ("", False),
    ],
)
def test_an_offer_is_taken_only_if_frames_can_be_shared(offers: str, *, accepted: bool) -> None:
    assert accept_deflate(offers) is accepted


def squeeze(payload: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


def client_frame(first: int, payload: bytes) -> bytes:
    assert len(payload) < 126
    return bytes((first, 0x80 | len(payload), 0, 0, 0, 0)) + payload


def test_a_compressed_message_comes_out_whole_also_in_fragments() -> None:
    payload = b'{"type":"ping"}' * 5
    packed = squeeze(payload)
    parser = FrameParser(1000, deflate=True)
    assert list(parser.feed(client_frame(0xC1, packed))) == [(1, payload)]
    fragments = (
        client_frame(0x41, packed[:3]) + client_frame(0x89, b"") + client_frame(0x80, packed[3:])
    )
    assert list(parser.feed(fragments)) == [(9, b""), (1, payload)]
    assert list(parser.feed(client_frame(0x81, b"plain"))) == [(1, b"plain")]


def test_a_compressed_message_larger_than_the_limit_is_never_inflated_beyond_it() -> None:
    with pytest.raises(MessageTooLong):
        list(FrameParser(1000, deflate=True).feed(client_frame(0xC1, squeeze(b"x" * 20_000))))
    assert list(FrameParser(1000, deflate=True).feed(client_frame(0xC1, squeeze(b"x" * 1000)))) == [
        (1, b"x" * 1000)
    ]


@pytest.mark.parametrize(
    ("first", "payload", "code"),
    [(0xC1, b"\xff\xff\xff", 1007), (0xC0, b"", 1002), (0xC9, b"", 1002), (0xE1, b"", 1002)],
)
def test_a_message_that_is_not_compressed_as_negotiated_is_a_violation(
    first: int, payload: bytes, code: int
) -> None:
    with pytest.raises(ProtocolViolation) as violation:
        list(FrameParser(1000, deflate=True).feed(client_frame(first, payload)))
    assert violation.value.code == code


def test_many_fragments_can_be_paused_in_between() -> None:
    parser = FrameParser(LIMIT)
    data = frame(TEXT, b"a", fin=False) + frame(0, b"", fin=False) * 200 + frame(0, b"b")
    stream = parser.feed(data)
    assert next(stream) == (0, b"")
    assert parser.frames == FRAGMENTS_PER_PAUSE
    assert [message for message in stream if message[0]] == [(TEXT, b"ab")]
    assert parser.frames == 202
    assert parser.pending is None


def test_the_size_of_an_incomplete_message_is_known() -> None:
    parser, whole = FrameParser(LIMIT), frame(TEXT, b"abc")
    for data, pending in ((b"", None), (whole[:-1], 8), (whole[-1:], None)):
        list(parser.feed(data))
        assert parser.pending == pending
    list(parser.feed(frame(TEXT, b"", fin=False)))
    assert parser.pending == 0, "an empty fragment begins a message"
    list(parser.feed(frame(0, b"x" * 10)))
    assert parser.pending is None


def test_bytes_are_counted_as_they_came_and_as_they_were_unpacked() -> None:
    parser = FrameParser(100_000, deflate=True)
    list(parser.feed(client_frame(0x81, b"x" * 10) + client_frame(0x89, b"y" * 5)))
    assert (parser.frames, parser.size) == (2, 15)
    small = squeeze(b"x" * 60_000)
    list(parser.feed(client_frame(0x41, small[:20]) + client_frame(0x80, small[20:])))
    assert (parser.frames, parser.size) == (4, 15 + len(small) + 60_000)
