"""A client's WebSocket stream, as raw bytes or as almost correct frames, compared with RFC 6455 as
`websockets` reads it.
"""

import zlib
from collections.abc import Generator, Iterable

from websockets.frames import Frame

from eventhub.delivery.encoding import BINARY, CLOSE, COMPRESSED, TEXT
from eventhub.server.websocket.frame_parser import (
    INVALID_DATA,
    PROTOCOL_ERROR,
    FrameParser,
    MessageTooLong,
    ProtocolViolation,
)
from tests.fuzz.source import Source, cut

LIMIT = 300
HEADER = 14
OPCODES = (TEXT, 0, BINARY, TEXT, 0, 9, 10, CLOSE, 3, 11)
Outcome = tuple[list[tuple[int, bytes]], str]


def frames(data: bytes) -> None:
    """However the stream is divided, the outcome is the same, within the bounds, and agrees with
    `websockets`.
    """
    source = Source(data)
    flags, places = source.byte(), source.take(source.byte() % 32)
    stream = source.rest() if flags & 1 else built(source)
    deflate = bool(flags & 2)
    whole = read([stream], deflate=deflate)
    assert read(cut(stream, places), deflate=deflate) == whole
    messages, _ = whole
    for opcode, message in messages:
        assert len(message) <= LIMIT
        if opcode == TEXT:
            message.decode()
    if not deflate:
        expected = assembled(stream)[: len(messages)]
        assert messages == expected, (messages, expected)


def read(chunks: Iterable[bytes], *, deflate: bool) -> Outcome:
    """What a parser reads, and the kind of error that ended it."""
    parser, found = FrameParser(LIMIT, deflate=deflate), list[tuple[int, bytes]]()
    try:
        for chunk in chunks:
            found.extend(parser.feed(chunk))
            assert len(parser._buffer) <= LIMIT + HEADER
            assert len(parser._fragments or b"") <= LIMIT
    except ProtocolViolation as violation:
        assert violation.code in (PROTOCOL_ERROR, INVALID_DATA)
        assert 0 < len(violation.reason.encode()) <= 123
        return found, str(violation.code)
    except MessageTooLong:
        return found, "too long"
    return found, ""


def built(source: Source) -> bytes:
    """Frames built from choices: opcode, bits, the form of the length, a payload that may be
    compressed.
    """
    stream = b""
    while source:
        flags, opcode = source.byte(), source.pick(OPCODES)
        payload = source.take(source.byte() % (LIMIT + 20) if flags & 64 else source.byte() % 16)
        if flags & 32:
            squeeze = zlib.compressobj(wbits=-15)
            payload = (
                squeeze.compress(payload * (flags >> 6 or 1)) + squeeze.flush(zlib.Z_SYNC_FLUSH)
            )[:-4]
        length = len(payload) + (source.byte() if flags & 16 else 0)
        first = opcode | (0 if flags & 1 else 0x80) | (COMPRESSED if flags & 2 else 0)
        stream += (
            bytes((first,)) + lengths(length, flags, masked=flags & 12 != 12) + bytes(4) + payload
        )
    return stream


def lengths(length: int, flags: int, *, masked: bool) -> bytes:
    mask = 0x80 if masked else 0
    if flags & 12 == 8:
        return bytes((mask | 127,)) + length.to_bytes(8)
    if length > 125 or flags & 12 == 4:
        return bytes((mask | 126,)) + length.to_bytes(2)
    return bytes((mask | length,))


def assembled(stream: bytes) -> list[tuple[int, bytes]]:
    """The messages and control frames of a stream, as far as `websockets` can read it."""
    found: list[tuple[int, bytes]] = []
    opcode, parts = 0, b""
    for frame in parsed(stream):
        if frame.opcode >= CLOSE:
            found.append((int(frame.opcode), bytes(frame.data)))
            continue
        opcode, parts = (
            (int(frame.opcode) or opcode),
            (parts if frame.opcode == 0 else b"") + bytes(frame.data),
        )
        if frame.fin:
            found.append((opcode, parts))
    return found


def parsed(stream: bytes) -> Iterable[Frame]:
    at = 0

    def read_exact(count: int) -> Generator[None, None, bytes]:
        nonlocal at
        if at + count > len(stream):
            raise EOFError
        at += count
        return stream[at - count : at]
        yield

    while True:
        try:
            next(Frame.parse(read_exact, mask=True))
        except StopIteration as done:
            yield done.value
        except Exception:  # it does not matter where it stops: ours must have stopped as well
            return
