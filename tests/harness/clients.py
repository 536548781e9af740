"""Clients for tests: thin helpers over libraries nobody here wrote."""

import json
import selectors
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self

import httpx
from websockets.sync.client import ClientConnection, connect

from eventhub_client.tls_socket import SafeConnection

SECONDS = 30  # of patience: a busy machine is no fault of a server
Message = dict[str, Any]


http = httpx.Client(verify=False, timeout=SECONDS, limits=httpx.Limits(max_keepalive_connections=0))
"""For single requests: no certificates to load, no connection kept that a restarted server would
not know.
"""


def metric(url: str, name: str) -> float:
    """The value of one series, or the sum over all of a name."""
    lines = http.get(f"{url}/metrics").text.splitlines()
    meant = (name,) if "{" in name else (f"{name} ", f"{name}{{")
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(meant))


class WsClient:
    """A WebSocket client (the `websockets` library)."""

    def __init__(self, url: str, **options: Any) -> None:
        self._context = ExitStack()
        self.connection: ClientConnection = self._context.enter_context(
            connect(url, open_timeout=SECONDS, create_connection=SafeConnection, **options)
        )

    def send(self, **fields: Any) -> None:
        self.connection.send(json.dumps(fields))

    def receive(self) -> Message:
        message: Message = json.loads(self.connection.recv(timeout=SECONDS))
        return message

    def until(self, kind: str) -> Message:
        """The next message of this type; others before it are passed over."""
        while (message := self.receive())["type"] != kind:
            pass
        return message

    def events(self, count: int) -> list[Message]:
        return [self.until("event") for _ in range(count)]

    def subscribe(self, channel: str, **fields: Any) -> Message:
        self.send(type="subscribe", channel=channel, **fields)
        return self.until("subscribed")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._context.close()


@contextmanager
def ndjson(url: str) -> Iterator[Iterator[Message]]:
    """The messages of an NDJSON stream; heartbeats are passed over."""
    with http.stream("GET", url) as response:
        assert response.status_code == 200, response.read()
        yield (json.loads(line) for line in response.iter_lines() if line)


class Block:
    """One Server-Sent Events block."""

    def __init__(self, lines: list[str]) -> None:
        fields = [line.partition(":")[::2] for line in lines]
        values = {name: value.removeprefix(" ") for name, value in fields if name}
        self.name = values.get(
            "event", "message" if "data" in values else ""
        )  # a block without data dispatches nothing
        self.id = values.get("id")
        self.retry = values.get("retry")
        self.comment = any(not name for name, _ in fields)
        self.message: Message | None = json.loads(values["data"]) if "data" in values else None


@contextmanager
def sse(url: str, last_event_id: str | None = None) -> Iterator[Iterator[Block]]:
    """The blocks of a Server-Sent Events stream."""
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
    with http.stream("GET", url, headers=headers) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield _blocks(response.iter_lines())


def _blocks(lines: Iterator[str]) -> Iterator[Block]:
    block: list[str] = []
    for line in lines:
        if line.startswith(":"):
            yield Block([line])
        elif line:
            block.append(line)
        elif block:
            yield Block(block)
            block = []


def raw(port: int, *, receive_buffer: int | None = None, source: str = "") -> socket.socket:
    """A bare TCP connection; `source` is the address it comes from, any of 127.0.0.0/8."""
    sock = socket.socket()
    if source:
        sock.bind((source, 0))
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(SECONDS)
    sock.connect(("127.0.0.1", port))
    return sock


def upgrade(
    port: int,
    query: str = "",
    *,
    receive_buffer: int | None = None,
    behind: bytes = b"",
    source: str = "",
) -> socket.socket:
    """A WebSocket opened by hand, its handshake read; `behind` is sent in the same segment as the
    request.
    """
    sock = raw(port, receive_buffer=receive_buffer, source=source)
    sock.sendall(
        f"GET /v1/ws{query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        + behind
    )
    head = read_until(sock, b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101"), head
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head, "RFC 6455, 1.3"
    return sock


def masked(payload: bytes, opcode: int = 1, *, final: bool = True) -> bytes:
    """A client's frame."""
    first = (0x80 if final else 0) | opcode
    length = len(payload)
    if length < 126:
        head = bytes((first, 0x80 | length))
    elif length < 65536:
        head = bytes((first, 0x80 | 126)) + length.to_bytes(2)
    else:
        head = bytes((first, 0x80 | 127)) + length.to_bytes(8)
    key = b"\x12\x34\x56\x78"
    return head + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


def frame(sock: socket.socket) -> tuple[int, bytes]:
    """The next frame of the server: opcode and payload."""
    head = exactly(sock, 2)
    length = head[1] & 0x7F
    if length == 126:
        length = int.from_bytes(exactly(sock, 2))
    elif length == 127:
        length = int.from_bytes(exactly(sock, 8))
    return head[0] & 0x0F, exactly(sock, length)


def close_code(sock: socket.socket) -> int:
    """The code of the server's close frame; frames before it are passed over."""
    while True:
        opcode, payload = frame(sock)
        if opcode == 8:
            return int.from_bytes(payload[:2])


class NdjsonProducer:
    """A producer that sends its stream piece by piece over a raw socket."""

    def __init__(self, port: int, channel: str, head: str = "") -> None:
        self.sock = raw(port)
        self.sock.sendall(
            f"POST /v1/channels/{channel} HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: application/x-ndjson\r\n{head}"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        self.answer = b""

    def send(self, data: bytes) -> None:
        self.sock.sendall(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        self.sock.sendall(b"0\r\n\r\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.sock.close()

    def progress(self) -> Message:
        """The next line of the answer."""
        while True:
            line, separator, rest = self.answer.partition(b"\n")
            if separator and line.startswith(b"{"):
                self.answer = rest
                message: Message = json.loads(line)
                return message
            if separator:
                self.answer = rest  # the head and chunk sizes
            else:
                self.answer += exactly(self.sock, 1)


def goodbyes(
    sockets: Iterable[socket.socket],
) -> Iterator[tuple[float, socket.socket, list[Message]]]:
    """Each as it comes: when (on the monotonic clock), to whom, and the messages before it. They
    are closed.
    """
    with selectors.DefaultSelector() as selector:
        for sock in sockets:
            selector.register(sock, selectors.EVENT_READ, list[Message]())
        while selector.get_map():
            ready = selector.select(SECONDS)
            assert ready, f"{len(selector.get_map())} clients hear nothing in {SECONDS} seconds"
            for key, _ in ready:
                assert isinstance(key.fileobj, socket.socket)
                key.data.append(json.loads(frame(key.fileobj)[1]))
                if key.data[-1]["type"] == "goodbye":
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
                    yield time.monotonic(), key.fileobj, key.data


def busiest(moments: Sequence[float], seconds: float) -> int:
    """The most that came within so many seconds."""
    return max(sum(begin <= moment < begin + seconds for moment in moments) for begin in moments)


def exactly(sock: socket.socket, count: int) -> bytes:
    """So many bytes. Raises EOFError."""
    data = b""
    while len(data) < count:
        if not (part := sock.recv(count - len(data))):
            raise EOFError
        data += part
    return data


def read_until(sock: socket.socket, end: bytes) -> bytes:
    """What comes up to `end`. Raises EOFError with it when the connection ends before."""
    got = b""
    while not got.endswith(end):
        if not (part := sock.recv(1)):
            raise EOFError(got)
        got += part
    return got


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    """Read a process's output up to a line that holds `text`."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"the output ended without {text}")
