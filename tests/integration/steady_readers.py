"""Readers over raw sockets that read slowly and steadily."""

import socket
import ssl
import time
import zlib
from collections.abc import Sequence

from tests.harness.clients import SECONDS, masked, read_until

PACE = 20_000
"""Bytes a second that they read."""
WEBSOCKET = (
    "GET /v1/ws{} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{}\r\n"
)


class Steady:
    """A reader over a raw socket that reads at a steady pace and answers pings."""

    def __init__(self, sock: socket.socket, request: str, pace: int = PACE) -> None:
        self.sock = sock
        sock.sendall(request.encode())
        head = read_until(sock, b"\r\n\r\n")
        self.websocket = head.startswith(b"HTTP/1.1 101")
        assert self.websocket or head.startswith(b"HTTP/1.1 200"), head
        self.pace = pace
        self.taken = 0
        self.text = b""
        self.pings = 0
        self.gaps = 0
        self.ended = ""
        self._rest = b""

    def take(self, room: int) -> None:
        """Read what is there, at most this many bytes."""
        self.sock.settimeout(0)
        try:
            data = self.sock.recv(room)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError as error:
            self.ended = self.ended or type(error).__name__
            return
        if not data:
            self.ended = self.ended or "end"
        self.taken += len(data)
        self._rest += data
        if not self.websocket:
            self.gaps += self._rest.count(b'"type":"gap"')
            self.text, self._rest = (self.text + self._rest)[-1_000_000:], b""
        while self.websocket and self._frame():
            pass

    def _frame(self) -> bool:
        head, length = 2, self._rest[1] & 0x7F if len(self._rest) > 1 else 0
        if length == 126:
            head, length = 4, int.from_bytes(self._rest[2:4])
        if len(self._rest) < head + length:
            return False
        compressed = self._rest[0] & 0x40
        opcode, payload = self._rest[0] & 0x0F, self._rest[head : head + length]
        self._rest = self._rest[head + length :]
        if opcode == 9:
            self.pings += 1
            self.sock.settimeout(SECONDS)
            self.sock.sendall(masked(payload, opcode=10))
        elif opcode == 8:
            self.ended = f"close {int.from_bytes(payload[:2])}"
        else:
            payload = (
                zlib.decompress(payload + b"\0\0\xff\xff\1\0\0\xff\xff", -15)
                if compressed
                else payload
            )
            self.gaps += payload.startswith(b'{"type":"gap"')
            self.text = (self.text + payload)[-1_000_000:]
        return True


def read(readers: Sequence[Steady], seconds: float) -> None:
    """Let all of them read for this long, each at its pace."""
    begin = time.monotonic()
    before = {reader: reader.taken for reader in readers}
    while (passed := time.monotonic() - begin) < seconds:
        for reader in readers:
            room = int(passed * reader.pace) - (reader.taken - before[reader])
            if room > 0 and not reader.ended:
                reader.take(room)
        time.sleep(0.005)  # it is the pace that is tested


def get(port: int, path: str) -> str:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
