"""Compressed request bodies (Content-Encoding, RFC 9110, 8.4), unpacked in bounded pieces.

Codings: gzip (RFC 1952), deflate (RFC 1950, and RFC 1951 as some clients send it) and zstd (RFC
8878 and 9659). A body may consist of several gzip members or zstd frames.
"""

import sys
import zlib
from collections.abc import Callable, Mapping
from time import thread_time
from typing import Protocol

from starlette.types import Message, Receive

from eventhub.errors import InvalidRequest, PayloadTooLarge, UnsupportedMediaType
from eventhub.server.connections.fair_queue import FairQueue

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE_BYTES = 64 * 1024
"""The most bytes that are unpacked at once, which takes up to 0.2 ms."""
FREE_BYTES = 1024 * 1024
"""Bytes of a body that may have any ratio."""
MOST_RATIO = 200
"""Beyond FREE_BYTES, a body may have this many times the bytes that were received. Logs have 5 to
50.
"""
FREE_PARTS, PART_BYTES = 100, 512
"""Members or frames that a body may have, and one more for each PART_BYTES received: a new one
takes 10 µs, even if it is empty.
"""
WINDOW_LOG = 23
"""The largest window of zstd is 8 MiB (RFC 9659, 3)."""


class Decompressor(Protocol):
    """One member or frame, as `compression.zstd.ZstdDecompressor` of Python 3.14."""

    @property
    def eof(self) -> bool:
        """Whether its end was reached."""
        ...

    @property
    def needs_input(self) -> bool:
        """Whether `decompress` returns nothing more without new bytes."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What follows its end."""
        ...

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """The next bytes, at most `max_length`. It keeps the input that it does not use yet."""
        ...


class _Deflate:
    """One member of gzip or one stream of zlib."""

    def __init__(self, window_bits: int) -> None:
        self._inner = zlib.decompressobj(window_bits)
        self._is_full = False

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not (self._is_full or self._inner.unconsumed_tail)

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        found = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self._is_full = len(found) == max_length
        return found


class _ZlibOrRaw:
    """The coding deflate: a zlib stream, or one without its header (RFC 9110, 8.4.1.2)."""

    def __init__(self) -> None:
        self._first = b""
        self._inner: _Deflate | None = None

    @property
    def eof(self) -> bool:
        return self._inner is not None and self._inner.eof

    @property
    def needs_input(self) -> bool:
        return self._inner is None or self._inner.needs_input

    @property
    def unused_data(self) -> bytes:
        return b"" if self._inner is None else self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if self._inner is None:
            data = self._first + data
            if len(data) < 2:
                self._first = data
                return b""
            is_zlib = data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0
            self._inner = _Deflate(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
        return self._inner.decompress(data, max_length)


def _gzip() -> Decompressor:
    return _Deflate(16 + zlib.MAX_WBITS)


def _zstd() -> Decompressor:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: WINDOW_LOG})


CODINGS: dict[str, Callable[[], Decompressor]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,  # RFC 9110, 8.4.1.3
    "deflate": _ZlibOrRaw,
    "zstd": _zstd,
}
ACCEPTED = "gzip, deflate, zstd"


class Unpacker:
    """Unpacks one body. No I/O. Every method raises InvalidRequest or PayloadTooLarge."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._new = CODINGS[coding]
        self._part: Decompressor | None = None  # between two members or frames
        self._input = b""
        self._received = self._unpacked = self._parts = 0

    def feed(self, data: bytes) -> None:
        """Add received bytes, when `is_hungry`."""
        self._input = data
        self._received += len(data)

    @property
    def is_hungry(self) -> bool:
        """Whether `unpack` needs more bytes."""
        return not self._input and (self._part is None or self._part.needs_input)

    def unpack(self) -> bytes:
        """The next piece, which may be empty."""
        if self._part is None:
            self._part = self._new_part()
        data, self._input = self._input, b""
        try:
            piece = self._part.decompress(data, PIECE_BYTES)
        except (zlib.error, zstd.ZstdError) as error:
            raise InvalidRequest(
                f"the body is no valid {self._coding}, which its Content-Encoding says: {error}"
            ) from None
        if self._part.eof:
            self._input = self._part.unused_data
            self._part = None
        self._unpacked += len(piece)
        if self._unpacked > FREE_BYTES + MOST_RATIO * self._received:
            raise PayloadTooLarge(
                f"the body has {self._unpacked} bytes after {self._received} bytes of"
                f" {self._coding} are unpacked; expected at most {MOST_RATIO} times as many and"
                f" {FREE_BYTES} more"
            )
        return piece

    @property
    def is_whole(self) -> bool:
        """Whether the body may end here."""
        return self._part is None

    def end(self) -> None:
        """The body ends here."""
        if not self.is_whole:
            raise InvalidRequest(
                f"the body ends within its {self._coding} data, after {self._received} bytes"
            )

    def _new_part(self) -> Decompressor:
        self._parts += 1
        if self._parts > FREE_PARTS + self._received // PART_BYTES:
            raise PayloadTooLarge(
                f"the body has more than {self._parts - 1} {self._coding} members in"
                f" {self._received} bytes; expected at most {FREE_PARTS}, and one more for each"
                f" {PART_BYTES} bytes"
            )
        return self._new()


def coding_of(headers: Mapping[bytes, bytes]) -> str | None:
    """The body's coding, None if it is not compressed. Raises UnsupportedMediaType."""
    value = headers.get(b"content-encoding", b"").decode("latin-1")
    names = [name.strip().lower() for name in value.split(",")]
    codings = [name for name in names if name not in ("", "identity")]
    if not codings:
        return None
    if len(codings) > 1 or codings[0] not in CODINGS:
        shown = ", ".join(name[:40] for name in codings[:4])
        error = UnsupportedMediaType(
            f"the body's Content-Encoding is {shown}; expected one of {ACCEPTED}, or none"
        )
        error.codings = ACCEPTED
        raise error
    return codings[0]


def unpacked(headers: Mapping[bytes, bytes], receive: Receive, fair_queue: FairQueue) -> Receive:
    """An ASGI `receive` whose body is not compressed. `receive` itself if it is not.

    It raises InvalidRequest and PayloadTooLarge. Raises UnsupportedMediaType.
    """
    coding = coding_of(headers)
    return receive if coding is None else _UnpackedReceive(coding, receive, fair_queue)


class _UnpackedReceive:
    def __init__(self, coding: str, receive: Receive, fair_queue: FairQueue) -> None:
        self._unpacker = Unpacker(coding)
        self._receive = receive
        self._fair_queue = fair_queue
        self._since = 0.0
        self._is_last = False

    async def __call__(self) -> Message:
        while not self._is_over:
            if self._unpacker.is_hungry:
                message = await self._receive()
                if message["type"] != "http.request":
                    return message
                self._unpacker.feed(message.get("body", b""))
                self._is_last = not message.get("more_body", False)
            elif piece := await self._next_piece():
                more = not (self._is_over and self._unpacker.is_whole)
                return {"type": "http.request", "body": piece, "more_body": more}
        self._unpacker.end()
        return {"type": "http.request", "body": b"", "more_body": False}

    @property
    def _is_over(self) -> bool:
        return self._is_last and self._unpacker.is_hungry

    async def _next_piece(self) -> bytes:
        if self._fair_queue.over:
            await self._fair_queue.next_turn(self._since)
        begin = thread_time()
        try:
            return self._unpacker.unpack()
        finally:
            seconds = thread_time() - begin
            self._fair_queue.spend(seconds)
            self._since = self._fair_queue.advanced_position(self._since, seconds)
