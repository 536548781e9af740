"""The client's side of a WebSocket connection, RFC 6455 chapters 5, 7 and 8, without I/O."""

import codecs
import zlib
from collections.abc import Iterator

from eventhub.delivery.encoding import BINARY, CLOSE, COMPRESSED, PING, PONG, TEXT

CONTINUATION = 0x0
PROTOCOL_ERROR, NO_STATUS, INVALID_DATA, SERVICE_RESTART = 1002, 1005, 1007, 1012
CONTROL_LENGTH = 125
FRAGMENTS_PER_PAUSE = 64
"""After this many fragments the parser yields an empty frame, so that its caller can stop reading.
"""


class ProtocolViolation(Exception):
    """The connection must be failed with close code `code` (RFC 6455, 7.1.7)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class MessageTooLong(Exception):
    """A message beyond the maximum length."""


class FrameParser:
    """Turns bytes into complete messages and control frames, as (opcode, payload).

    It holds at most one message of `limit` bytes. Text that cannot be UTF-8 raises
    ProtocolViolation at once, before its message is complete (8.1). `deflate`: permessage-deflate
    was negotiated, without context takeover by the client.
    """

    __slots__ = (
        "_buffer",
        "_checked",
        "_deflate",
        "_first",
        "_fragments",
        "_limit",
        "_missing",
        "_text",
        "frames",
        "size",
    )

    def __init__(self, limit: int, *, deflate: bool = False) -> None:
        self._limit = limit
        self._deflate = deflate
        self._buffer: bytes | bytearray = b""
        self._missing = 0  # bytes that the frame in the buffer still needs
        self._fragments: bytearray | None = None
        self._first = CONTINUATION  # the first byte of the message under way
        self._text: codecs.IncrementalDecoder | None = None  # checks a text message in parts
        self._checked = 0  # bytes of the frame in the buffer that it has checked
        self.frames = 0
        """Frames parsed. The caller may reset it."""
        self.size = 0
        """Bytes of their payloads, compressed and decompressed. The caller may reset it."""

    @property
    def pending(self) -> int | None:
        """Bytes of an incomplete frame or message; None without one."""
        if self._fragments is not None:
            return len(self._fragments) + len(self._buffer)
        return len(self._buffer) or None

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Parse bytes. Raises ProtocolViolation or MessageTooLong; then the parser is done.

        Between many fragments it yields an empty CONTINUATION, which the caller ignores.
        """
        if self._buffer:
            # do not parse, nor copy, a large message again for each small part
            if len(data) < self._missing:
                if isinstance(self._buffer, bytes):
                    self._buffer = bytearray(self._buffer)
                self._buffer += data
                self._missing -= len(data)
                self._check_part()
                return
            data = bytes(self._buffer) + data
            self._buffer = b""
        self._missing = 0
        at = 0
        size = len(data)
        while size - at >= 2:
            first, second = data[at], data[at + 1]
            self._check(first, second)
            length = second & 0x7F
            header = _header(length)
            if length > CONTROL_LENGTH:
                length = int.from_bytes(data[at + 2 : at + header - 4])
            if size - at >= header - 4:
                self._check_length(first & 0x0F, second & 0x7F, length)
            end = at + header + length
            if size < end:
                self._missing = end - size if size - at >= header else 0
                break
            payload = _unmask(data[at + header : end], data[at + header - 4 : at + header])
            at = end
            self.frames += 1
            self.size += length
            if (message := self._assemble(first, payload)) is not None:
                yield message
            elif self.frames % FRAGMENTS_PER_PAUSE == 0:
                yield CONTINUATION, b""
        self._buffer = data[at:]
        if self._missing:
            self._check_part()

    def _check(self, first: int, second: int) -> None:
        opcode = first & 0x0F
        if first & 0x70 and not (
            self._deflate and first & 0x70 == COMPRESSED and opcode in (TEXT, BINARY)
        ):
            raise ProtocolViolation(
                PROTOCOL_ERROR, "reserved bits are set where no extension was negotiated for them"
            )
        if not second & 0x80:
            raise ProtocolViolation(PROTOCOL_ERROR, "a client's frames must be masked")
        if opcode in (CLOSE, PING, PONG):
            if not first & 0x80 or second & 0x7F > CONTROL_LENGTH:
                raise ProtocolViolation(
                    PROTOCOL_ERROR,
                    "a control frame must not be fragmented nor longer than 125 bytes",
                )
        elif opcode == CONTINUATION:
            if self._fragments is None:
                raise ProtocolViolation(
                    PROTOCOL_ERROR, "a continuation frame without a message to continue"
                )
        elif opcode not in (TEXT, BINARY):
            raise ProtocolViolation(PROTOCOL_ERROR, f"opcode {opcode} is reserved")
        elif self._fragments is not None:
            raise ProtocolViolation(
                PROTOCOL_ERROR, "a new message before the last one was complete"
            )

    def _check_length(self, opcode: int, short: int, length: int) -> None:
        if length >> 63:
            raise ProtocolViolation(
                PROTOCOL_ERROR, "the most significant bit of a 64-bit length must be 0"
            )
        if (short == 126 and length < 126) or (short == 127 and length < 65536):
            raise ProtocolViolation(PROTOCOL_ERROR, "the length is not in its shortest form")
        if opcode < CLOSE and length + len(self._fragments or b"") > self._limit:
            raise MessageTooLong

    def _check_part(self) -> None:
        """Check the text of the incomplete frame in the buffer, from where the last check ended."""
        buffer = self._buffer
        first = self._first if buffer[0] & 0x0F == CONTINUATION else buffer[0]
        if first & (0x0F | COMPRESSED) != TEXT:
            return
        begin, turn = _header(buffer[1] & 0x7F), self._checked % 4
        key = bytes(buffer[begin - 4 : begin])
        part = bytes(buffer[begin + self._checked :])
        self._checked += len(part)
        self._check_text(_unmask(part, key[turn:] + key[:turn]))

    def _check_text(self, part: bytes) -> None:
        if self._text is None:
            self._text = _decoder()
        try:
            self._text.decode(part)
        except UnicodeDecodeError:
            raise _not_utf8() from None

    def _assemble(self, first: int, payload: bytes) -> tuple[int, bytes] | None:
        opcode, final = first & 0x0F, first & 0x80
        if opcode >= CLOSE:
            return opcode, payload
        if final and opcode != CONTINUATION:
            return opcode, self._whole(first, payload)
        if opcode != CONTINUATION:
            self._first, self._fragments = first, bytearray()
        assert self._fragments is not None  # `_check`
        self._fragments += payload
        if not final:
            if self._first & (0x0F | COMPRESSED) == TEXT:
                self._check_text(payload[self._checked :])
            self._checked = 0
            return None
        message, self._fragments = bytes(self._fragments), None
        return self._first & 0x0F, self._whole(self._first, message)

    def _whole(self, first: int, message: bytes) -> bytes:
        """The decompressed message of at most `limit` bytes. A text is checked for UTF-8."""
        self._text, self._checked = None, 0
        if first & COMPRESSED:
            message = self._inflate(message)
        if first & 0x0F == TEXT:
            check_utf8(message)
        return message

    def _inflate(self, message: bytes) -> bytes:
        """RFC 7692, 7.2.2."""
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            whole = inflate.decompress(message + b"\x00\x00\xff\xff", self._limit + 1)
        except zlib.error:
            raise ProtocolViolation(
                INVALID_DATA, "the message is not compressed as negotiated"
            ) from None
        self.size += len(whole)
        if len(whole) > self._limit:
            raise MessageTooLong
        return whole


def accept_deflate(offers: str) -> bool:
    """Whether the server can accept one of the client's offers of compression (RFC 7692, 7.1).

    It accepts with `server_no_context_takeover; client_no_context_takeover`. It declines an offer
    that limits the server's window: frames are shared with clients that did not limit it.
    """
    for offer in offers.split(","):
        name, *parameters = (part.strip().lower() for part in offer.split(";"))
        known = (
            "server_no_context_takeover",
            "client_no_context_takeover",
            "client_max_window_bits",
        )
        if name == "permessage-deflate" and all(
            parameter.partition("=")[0].strip() in known for parameter in parameters
        ):
            return True
    return False


def close_code(payload: bytes) -> int:
    """The code in a close frame's payload, NO_STATUS without one (7.1.5).

    Raises ProtocolViolation for an invalid code or reason.
    """
    if not payload:
        return NO_STATUS
    code = int.from_bytes(payload[:2])
    if len(payload) == 1 or not (
        1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999
    ):
        raise ProtocolViolation(PROTOCOL_ERROR, "a close frame with an invalid code")
    check_utf8(payload[2:])
    return code


def close_payload(code: int, reason: str) -> bytes:
    """A close frame's payload. A long reason is cut."""
    return code.to_bytes(2) + reason.encode()[: CONTROL_LENGTH - 2].decode(errors="ignore").encode()


def check_utf8(payload: bytes) -> None:
    """Raise ProtocolViolation unless the payload is UTF-8 (8.1)."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise _not_utf8() from None


_decoder = codecs.getincrementaldecoder("utf-8")


def _not_utf8() -> ProtocolViolation:
    return ProtocolViolation(INVALID_DATA, "text must be UTF-8")


def _header(length: int) -> int:
    """The header size of a client's frame, by its 7-bit length (5.2)."""
    return 8 if length == 126 else 14 if length == 127 else 6


def _unmask(payload: bytes, key: bytes) -> bytes:
    """XOR with the repeated key (5.3), as one operation on two large integers."""
    length = len(payload)
    mask = (key * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(mask, "little")).to_bytes(
        length, "little"
    )
