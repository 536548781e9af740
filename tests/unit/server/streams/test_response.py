"""server/streams/response.py: what a client is sent, and how a stream ends."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message

from eventhub.auth.principal import ANYONE
from eventhub.config.settings import Settings
from eventhub.errors import TokenExpired, UnknownChannel
from eventhub.events.event import NewEvent, Position
from eventhub.server.app import create_app
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.messages.asgi_extensions import HALF_CLOSED
from eventhub.server.streams.query import StreamQuery
from eventhub.server.streams.response import StreamResponse
from tests.harness.loop import in_loop


class Client:
    """A client of one stream, without a server."""

    def __init__(self, transport: str = "sse", query: bytes = b"channel=logs.a") -> None:
        self.manager: ConnectionManager = create_app(Settings(), Path()).manager
        self.transport, self.query = transport, StreamQuery(query)
        self.messages: list[Message] = []
        self.received: asyncio.Queue[Message] = asyncio.Queue()
        self.response: StreamResponse

    async def serve(self, *steps: Callable[[], Any]) -> bytes:
        """The body, while the steps are done one after the other; then the client disconnects."""
        running = asyncio.create_task(self.manager.hub.run())
        await self.manager.hub.started.wait()
        try:
            return await self._serve(steps)
        finally:
            running.cancel()
            await asyncio.wait([running])

    async def _serve(self, steps: Sequence[Callable[[], Any]]) -> bytes:
        identity = self.manager.registry.new_identity(ANYONE, "127.0.0.1")
        self.response = StreamResponse(self.manager, self.transport, self.query, identity)
        scope: dict[str, Any] = {"type": "http", "client": ("127.0.0.1", 1)}
        serving = asyncio.create_task(self.response(scope, self.received.get, self._send))
        for step in steps:
            await asyncio.sleep(0.01)
            if isinstance(done := step(), Coroutine):
                await done
        await asyncio.sleep(0.05)
        self.received.put_nowait({"type": "http.disconnect"})
        await serving
        return b"".join(message["body"] for message in self.messages[1:])

    async def publish(self) -> Position:
        (receipt,) = await self.manager.hub.publish([NewEvent("logs.a", b'{"level":"info"}', 0)])
        assert not isinstance(receipt, Exception)
        return receipt.position

    async def _send(self, message: Message) -> None:
        self.messages.append(message)


@in_loop
async def test_events_are_sent_as_they_are_published() -> None:
    client = Client()
    body = await client.serve(client.publish)
    assert client.messages[0]["status"] == 200
    assert dict(client.messages[0]["headers"])[b"content-type"] == b"text/event-stream"
    assert body.startswith(b"retry: ")
    assert b'"level":"info"' in body


@in_loop
async def test_ndjson_has_one_object_a_line() -> None:
    client = Client("ndjson")
    body = await client.serve(client.publish)
    assert body.count(b"\n") == len(body.splitlines())
    assert b'"level":"info"' in body.splitlines()[-1]


@in_loop
async def test_an_error_is_sent_and_ends_the_stream() -> None:
    client = Client()
    body = await client.serve(lambda: client.response.fail(TokenExpired("it has expired")))
    assert b"token_expired" in body
    assert client.messages[-1] == {"type": "http.response.body", "body": b""}
    assert client.response.end_reason == "token_expired"


@in_loop
async def test_a_client_that_closed_its_half_is_probed() -> None:
    client = Client()
    body = await client.serve(
        lambda: client.received.put_nowait({"type": HALF_CLOSED}),
    )
    assert b": heartbeat\n" in body


@in_loop
async def test_a_subscription_that_is_refused_leaves_nothing_behind() -> None:
    client = Client(query=b"channel=nothing.a")
    with pytest.raises(UnknownChannel):
        await client.serve()
    assert client.messages == []
