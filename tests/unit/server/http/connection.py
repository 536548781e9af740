"""An HTTP connection without a socket: what its client sends, and what that is answered."""

import asyncio
import re
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from eventhub.errors import EventHubError
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.http.protocol import HttpProtocol, protocol_for
from eventhub.server.http.state import HttpState
from tests.harness.transport import RecordedTransport
from tests.harness.virtual_time import turns
from tests.unit.server.connections.manager_builder import build

GET = b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST_GET = b"GET /b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n"
UPGRADE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Connection:
    """One connection. Its application reads the body if `reads`, and answers if `proceed` is set.

    `errors` are those that the application met while it read.
    """

    def __init__(
        self,
        manager: ConnectionManager | None = None,
        transport: RecordedTransport | None = None,
        *,
        reads: bool = True,
        answers: bool = True,
        **settings: Any,
    ) -> None:
        self.manager = manager or build(native=False, **settings)
        self.transport = transport or RecordedTransport()
        self.proceed = asyncio.Event()
        if answers:
            self.proceed.set()
        self.reads = reads
        self.scopes: list[Scope] = []
        self.bodies: list[bytes] = []
        self.errors: list[str] = []
        self.state = ServerState()
        self.connections: set[Any] = self.state.connections
        bound: Any = protocol_for(self.manager)
        config: Any = type("Config", (), {"loaded_app": self.app})
        self.protocol: HttpProtocol = bound(config, self.state, {"shared": 1})
        self.protocol.connection_made(self.transport)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        status = 200
        try:
            if self.reads:
                self.bodies.append(await read(receive))
        except EventHubError as error:
            self.errors.append(error.code)
            status = error.status
        await self.proceed.wait()
        length = (b"content-length", b"0")
        await send({"type": "http.response.start", "status": status, "headers": [length]})
        await send({"type": "http.response.body"})

    async def send(self, *data: bytes) -> None:
        """What the client sends, as one read of the socket, and what that causes."""
        self.protocol.data_received(b"".join(data))
        await turns()

    async def answer(self) -> None:
        """The application answers all requests."""
        self.proceed.set()
        await turns()

    def lose(self) -> None:
        """The TCP connection has closed."""
        self.transport.closed = True
        self.protocol.connection_lost(None)
        self.proceed.set()

    @property
    def statuses(self) -> list[int]:
        """Of all answers."""
        return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d+) ", self.transport.written)]

    @property
    def input(self) -> HttpState:
        return self.protocol._requests._state

    @property
    def idle(self) -> int:
        """Connections that wait for their next request."""
        return len(self.manager.connection_limits.idle)


async def read(receive: Receive) -> bytes:
    """The whole body."""
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body", False):
            return body
