"""server/websocket/frame_parser.py: permessage-deflate (RFC 7692)."""

import pytest

from eventhub.delivery.encoding import BINARY, TEXT
from eventhub.server.websocket.frame_parser import (
    FrameParser,
    MessageTooLong,
    ProtocolViolation,
    accept_deflate,
)
from tests.unit.server.websocket.frames import CONT, client_frame, frame, read, squeeze


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
    parser, packed = FrameParser(1000, deflate=True), squeeze(b"x" * 20_000)
    with pytest.raises(MessageTooLong):
        list(parser.feed(client_frame(0xC1, packed)))
    assert parser.size == len(packed) + 1001, "one byte more than the limit was unpacked"
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


def test_bytes_are_counted_as_they_came_and_as_they_were_unpacked() -> None:
    parser = FrameParser(100_000, deflate=True)
    list(parser.feed(client_frame(0x81, b"x" * 10) + client_frame(0x89, b"y" * 5)))
    assert (parser.frames, parser.size) == (2, 15)
    small = squeeze(b"x" * 60_000)
    list(parser.feed(client_frame(0x41, small[:20]) + client_frame(0x80, small[20:])))
    assert (parser.frames, parser.size) == (4, 15 + len(small) + 60_000)


def test_only_the_first_frame_of_a_message_may_say_that_it_is_compressed() -> None:
    parser = FrameParser(1000, deflate=True)
    assert list(parser.feed(client_frame(0x41, squeeze(b"a")))) == []
    with pytest.raises(ProtocolViolation, match="reserved bits"):
        list(parser.feed(client_frame(0xC0, b"")))
