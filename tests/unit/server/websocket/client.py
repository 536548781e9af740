"""A WebSocket client without a socket: its connection, and what that was sent."""

from typing import Any

import orjson

from eventhub.delivery.encoding import CLOSE, TEXT
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.security.connection_limits import Slot
from eventhub.server.websocket.protocol import WebSocketProtocol
from eventhub.server.websocket.upgrade import Upgrade, UpgradeRequest
from tests.harness.clients import masked
from tests.harness.transport import RecordedTransport
from tests.unit.server.connections.manager_builder import build

HEADERS = [
    (b"host", b"localhost"),
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    (b"sec-websocket-version", b"13"),
]
ORIGIN = (b"origin", b"https://elsewhere.example")
PING_COMMAND = masked(b'{"type":"ping"}')


class Transport(RecordedTransport):
    """Counts the answers to commands."""

    @property
    def pongs(self) -> int:
        return self.written.count(b'"pong"')


class Client:
    """A connection that is not open yet, and its upgrade request."""

    def __init__(
        self,
        url: bytes = b"/v1/ws",
        *headers: tuple[bytes, bytes],
        tail: bytes = b"",
        manager: ConnectionManager | None = None,
        slot: Slot | None = None,
        transport: Transport | None = None,
        **settings: Any,
    ) -> None:
        self.manager = manager or build(native=False, **settings)
        self.transport = transport or Transport()
        self.connections: set[Any] = set()
        self.protocol = WebSocketProtocol(self.manager, self.transport, self.connections, slot)
        request = UpgradeRequest("GET", url, [*HEADERS, *headers], tail)
        self.upgrade = Upgrade(self.manager, self.transport, self.protocol, request)

    def send(self, *frames: bytes) -> None:
        """What the client sends, as one read of the socket."""
        self.protocol.data_received(b"".join(frames))

    def command(self, **fields: Any) -> None:
        self.send(masked(orjson.dumps(fields)))

    def lose(self) -> None:
        """The TCP connection has closed."""
        self.transport.closed = True
        self.protocol.connection_lost(None)

    @property
    def status(self) -> bytes:
        """The status of the answer to the upgrade request."""
        return self.transport.written.split(b" ", 2)[1]

    @property
    def frames(self) -> list[tuple[int, bytes]]:
        """Opcode and payload of each frame that was sent."""
        return parsed(self.transport.written.partition(b"\r\n\r\n")[2])

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [orjson.loads(payload) for opcode, payload in self.frames if opcode == TEXT]

    @property
    def types(self) -> list[str]:
        """The type of each message that was sent."""
        return [message["type"] for message in self.messages]

    @property
    def close_frames(self) -> list[tuple[int, str]]:
        """Code and reason of each close frame; code 0 without one."""
        return [
            (int.from_bytes(payload[:2]), payload[2:].decode())
            for opcode, payload in self.frames
            if opcode == CLOSE
        ]

    @property
    def open_connections(self) -> int:
        """Those that the connection manager knows."""
        assert len(self.manager.registry) == len(self.manager._connections)
        return len(self.manager.registry)


def opened(url: bytes = b"/v1/ws", *headers: tuple[bytes, bytes], **options: Any) -> Client:
    """An open connection."""
    client = Client(url, *headers, **options)
    client.upgrade.answer()
    return client


def parsed(data: bytes) -> list[tuple[int, bytes]]:
    """The frames of a server: final, and not masked (RFC 6455, 5.2)."""
    found = []
    while data:
        assert data[0] & 0x80
        size, begin = data[1], 2
        if size >= 126:
            begin = 4 if size == 126 else 10
            size = int.from_bytes(data[2:begin])
        found.append((data[0] & 0x7F, data[begin : begin + size]))
        data = data[begin + size :]
    return found
