"""A client of one stream, without a server. Time passes only when a test says so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import Message

from eventhub.auth.principal import ANYONE
from eventhub.events.event import NewEvent, Position
from eventhub.server.connections.liveness import OutgoingBytes
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.messages.asgi_extensions import ABORT
from eventhub.server.streams.query import StreamQuery
from eventhub.server.streams.response import FORMS, StreamResponse
from tests.harness.hubs import running
from tests.harness.virtual_time import turns
from tests.unit.server.connections.manager_builder import build


class Client:
    """`room`: it takes what is sent; without it, `send` waits, as it does for a slow reader."""

    def __init__(
        self,
        transport: str = "sse",
        query: bytes = b"channel=logs.a",
        manager: ConnectionManager | None = None,
        **settings: Any,
    ) -> None:
        self.manager = manager or build(**settings)
        self.transport, self.query = transport, StreamQuery(query)
        self.messages: list[Message] = []
        self.received: asyncio.Queue[Message] = asyncio.Queue()
        self.room = asyncio.Event()
        self.room.set()
        self.aborted = False
        self.outgoing = OutgoingBytes(0, 0)
        self.scope: dict[str, Any] = {
            "type": "http",
            "client": ("192.0.2.1", 1),
            "extensions": {ABORT: {"abort": self.abort, "outgoing": lambda: self.outgoing}},
        }
        self.response: StreamResponse
        self.task: asyncio.Task[None]

    def open(self) -> None:
        """Subscribe, and begin to answer. Raises what the response raises."""
        identity = self.manager.registry.new_identity(ANYONE, "192.0.2.1")
        self.response = StreamResponse(
            self.manager, self.transport, self.query, identity, FORMS[self.transport]
        )
        answering = self.response(self.scope, self.received.get, self._send)
        self.task = asyncio.create_task(answering)

    @asynccontextmanager
    async def streaming(self) -> AsyncIterator[None]:
        """While the stream is open; then the client disconnects."""
        async with running(self.manager.hub):
            self.open()
            await turns()
            yield
            self.disconnect()
            self.room.set()
            await asyncio.wait([self.task])

    def disconnect(self) -> None:
        self.received.put_nowait({"type": "http.disconnect"})

    def abort(self) -> None:
        """The connection is cut off."""
        self.aborted = True
        self.disconnect()

    async def publish(self, channel: str = "logs.a", count: int = 1) -> Position:
        """The position of the last event."""
        events = [NewEvent(channel, b'{"level":"info"}', 0) for _ in range(count)]
        receipts = await self.manager.hub.publish(events)
        assert not isinstance(receipts[-1], Exception)
        await turns(50)
        return receipts[-1].position

    @property
    def head(self) -> dict[bytes, bytes]:
        return dict(self.messages[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    @property
    def ended(self) -> bool:
        """Its response is complete, in order."""
        return self.messages[-1] == {"type": "http.response.body", "body": b""}

    async def _send(self, message: Message) -> None:
        await self.room.wait()
        self.messages.append(message)
