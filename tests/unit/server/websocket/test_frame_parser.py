"""server/websocket/frame_parser.py against RFC 6455: messages, however they are cut."""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventhub.delivery.encoding import BINARY, CLOSE, PING, PONG, TEXT
from eventhub.server.websocket.frame_parser import (
    CONTROL_LENGTH,
    FRAGMENTS_PER_PAUSE,
    FrameParser,
    MessageTooLong,
    ProtocolViolation,
)
from tests.unit.server.websocket.frames import CONT, LIMIT, Message, frame, raw, read

thorough = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


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
    assert parser.pending is None
    for data, pending in ((b"", None), (whole[:-1], 8), (whole[-1:], None)):
        list(parser.feed(data))
        assert parser.pending == pending
    list(parser.feed(frame(TEXT, b"", fin=False)))
    assert parser.pending == 0, "an empty fragment begins a message"
    last = frame(CONT, b"abc")
    list(parser.feed(frame(CONT, b"x" * 10, fin=False) + last[:3]))
    assert parser.pending == 10 + 3
    list(parser.feed(last[3:]))
    assert parser.pending is None


def test_a_message_whose_rest_waits_is_not_pending() -> None:
    parser, whole = FrameParser(LIMIT), frame(TEXT, b"abc")
    list(parser.feed(whole[:5]))
    messages = parser.feed(whole[5:] + whole)
    assert next(messages) == (TEXT, b"abc")
    assert parser.pending is None
    assert list(messages) == [(TEXT, b"abc")]


@pytest.mark.parametrize("sizes", [(6, 6, 4), (6, 4, 6), (10, 5, 1), (7, 8, 1)])
def test_a_frame_is_complete_with_its_last_byte_whatever_the_sizes_of_its_parts(
    sizes: tuple[int, ...],
) -> None:
    data, parser = frame(TEXT, b"0123456789"), FrameParser(LIMIT)
    assert sum(sizes) == len(data)
    for size in sizes[:-1]:
        assert list(parser.feed(data[:size])) == []
        data = data[size:]
    assert list(parser.feed(data)) == [(TEXT, b"0123456789")]
