"""The whole application behind connections that have no network, for publishes."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from eventhub.config.settings import Settings
from eventhub.events.event import Earliest
from eventhub.server.app import Application
from eventhub.server.http.protocol import HttpProtocol, protocol_for
from tests.harness import hubs
from tests.harness.eventually import in_turns
from tests.harness.transport import RecordedTransport

EVENT = b'{"sender":"ana","text":"oi"}'
KEY = "ehk_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
TIME = re.compile(rb'"time":"[^"]+"|"id":"[^"]+"|event [a-z0-9]+-[0-9]+')
CONFIG: dict[str, Any] = {
    "channels": {
        "chat": {"payload": "chat", "publish": ["client", "producer"]},
        "raw": {"payload": "json"},
        "closed": {"payload": "json", "publish": ["client"]},
    }
}
WITH_KEYS: dict[str, Any] = {
    **CONFIG,
    "auth": {
        "keys": [
            {
                "name": "backend",
                "hash": f"sha256:{sha256(KEY.encode()).hexdigest()}",
                "publish": ["raw.>"],
                "rate": 5,
            }
        ]
    },
}


class Node:
    """The application, with connections that have no network."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.app = Application(Settings.model_validate(config), Path())
        self.manager = self.app.manager
        self.state = ServerState()
        self.state.default_headers = [(b"date", b"Mon, 30 Nov 2026 00:00:00 GMT")]
        self._uvicorn = uvicorn.Config(
            self.app, http=protocol_for(self.manager), lifespan="off", log_config=None
        )
        self._uvicorn.load()

    def connect(self, address: str = "192.0.2.1") -> "Connection":
        protocol: Any = self._uvicorn.http_protocol_class
        return Connection(protocol(self._uvicorn, self.state, {}), address)

    async def stored(self, channel: str) -> list[bytes]:
        page = await self.app.hub.history(channel, Earliest(), 1000)
        return [event.data for event in page.events]


class Connection:
    """One client's."""

    def __init__(self, protocol: HttpProtocol, address: str) -> None:
        self.transport = RecordedTransport(info={"peername": (address, 50_000)})
        self.protocol = protocol
        protocol.connection_made(self.transport)

    def send(self, data: bytes) -> bytes:
        """Returns what is answered at once."""
        before = len(self.transport.written)
        self.protocol.data_received(data)
        return self.transport.written[before:]

    async def ask(self, *parts: bytes) -> bytes:
        """Returns the answer to these bytes, each part read by itself."""
        before = len(self.transport.written)
        for part in parts:
            self.protocol.data_received(part)
            await asyncio.sleep(0)
        await in_turns("a complete answer", lambda: self._complete(before))
        return self.transport.written[before:]

    @property
    def over(self) -> bool:
        """The server has closed it, or its half."""
        return self.transport.closed or self.transport.ended

    async def created(self, count: int) -> None:
        """Until so many events were answered with 201."""
        await in_turns("201", lambda: self.transport.written.count(b"HTTP/1.1 201"), count.__eq__)

    def _complete(self, before: int) -> bool:
        head, end, body = self.transport.written[before:].partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        return bool(end) and length is not None and len(body) >= int(length[1])


@asynccontextmanager
async def running(config: dict[str, Any] = CONFIG) -> AsyncIterator[Node]:
    node = Node(config)
    async with hubs.running(node.app.hub):
        yield node


def post(
    channel: str = "raw.a",
    body: bytes = EVENT,
    *headers: str,
    method: str = "POST",
    version: str = "1.1",
    length: bool = True,
) -> bytes:
    lines = [f"{method} /v1/channels/{channel} HTTP/{version}", "Host: localhost", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def shown(answer: bytes) -> tuple[bytes, list[bytes], bytes]:
    """Status line, sorted headers and body of an answer, without what differs between events."""
    head, _, body = answer.partition(b"\r\n\r\n")
    right_length = b"content-length: %d\r\n" % len(body)  # positions have more digits later
    status, *lines = (head + b"\r\n").replace(right_length, b"").split(b"\r\n")
    return status, sorted(lines), TIME.sub(b"-", body)


async def primed(node: Node, request: bytes) -> Connection:
    """A connection on which this head was accepted."""
    connection = node.connect()
    await connection.ask(request[:-1], request[-1:])
    return connection
