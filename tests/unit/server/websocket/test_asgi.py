"""server/websocket/asgi.py: a session over ASGI messages, without a server."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import orjson
import pytest

from eventhub.config.limit_settings import LimitSettings
from eventhub.errors import InvalidFrame
from eventhub.server.websocket.asgi import AsgiWebSocket
from eventhub.server.websocket.frame_parser import SERVICE_RESTART
from eventhub.server.websocket.handshake import SUBPROTOCOL, WEBSOCKET_PATH
from tests.harness.loop import in_loop
from tests.unit.server.connections.manager_builder import build

PING = '{"type":"ping"}'
ORIGIN = (b"origin", b"https://elsewhere.example")


class Client:
    """The ASGI server's side of one connection."""

    def __init__(self, **limits: Any) -> None:
        self.manager = build(limits=LimitSettings(**limits))
        self.websocket = AsgiWebSocket(self.manager)
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.outgoing: asyncio.Queue[Any] = asyncio.Queue()
        self.incoming.put_nowait({"type": "websocket.connect"})
        self.task: asyncio.Task[None] | None = None

    def connect(
        self,
        *headers: tuple[bytes, bytes],
        path: str = WEBSOCKET_PATH,
        query: bytes = b"",
        subprotocols: tuple[str, ...] = (),
    ) -> None:
        scope = {
            "type": "websocket", "path": path, "query_string": query, "extensions": {},
            "headers": [(b"host", b"localhost"), *headers], "subprotocols": subprotocols,
            "client": ("127.0.0.1", 50_000),
        }  # fmt: skip
        running = self.websocket.run(scope, self.incoming.get, self.outgoing.put)
        self.task = asyncio.get_running_loop().create_task(running)

    def send(self, **message: Any) -> None:
        self.incoming.put_nowait({"type": "websocket.receive", **message})

    def disconnect(self) -> None:
        self.incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            message: dict[str, Any] = await self.outgoing.get()
        return message

    async def event(self) -> dict[str, Any]:
        """The next text message, parsed."""
        found: dict[str, Any] = orjson.loads((await self.next())["text"])
        return found

    async def opened(self) -> None:
        assert (await self.next())["type"] == "websocket.accept"
        assert (await self.event())["type"] == "hello"

    async def closed(self) -> tuple[int, str]:
        """The close code and reason; nothing of the connection stays."""
        while (message := await self.next())["type"] != "websocket.close":
            pass
        assert self.task is not None
        await self.task
        assert len(self.manager.deadlines) == 0
        return message["code"], message["reason"]


@in_loop
async def test_a_session_greets_answers_and_ends_with_its_client() -> None:
    client = Client()
    client.connect()
    await client.opened()
    client.send(text=PING)
    assert (await client.event())["type"] == "pong"
    client.disconnect()
    await client.closed()


@in_loop
async def test_a_subprotocol_is_chosen_when_it_is_offered() -> None:
    for offered, chosen in (((), None), (("other", SUBPROTOCOL), SUBPROTOCOL)):
        client = Client()
        client.connect(subprotocols=offered)
        assert (await client.next())["subprotocol"] == chosen
        client.disconnect()
        await client.closed()


@in_loop
async def test_a_wrong_path_is_refused_before_the_handshake() -> None:
    client = Client()
    client.connect(path="/elsewhere")
    assert (await client.next())["type"] == "websocket.close"


@in_loop
async def test_a_web_page_is_told_why_it_is_refused_behind_the_handshake() -> None:
    client = Client()
    client.connect(ORIGIN, path="/elsewhere")
    assert (await client.next())["type"] == "websocket.accept"
    error = await client.event()
    assert (error["type"], error["code"]) == ("error", "not_found")
    assert (await client.next())["reason"] == "not_found"


@in_loop
@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"bytes": b"{}"}, "unsupported_media_type"),
        ({"text": "x" * 200_000}, "payload_too_large"),
    ],
    ids=["binary", "too large"],
)
async def test_a_message_that_is_refused_ends_the_connection_with_its_error(
    message: dict[str, Any], reason: str
) -> None:
    client = Client(event_bytes=65_536)
    client.connect()
    await client.opened()
    client.send(**message)
    assert (await client.event())["code"] == reason
    assert (await client.closed())[1] == reason


@in_loop
async def test_a_client_that_neither_names_a_channel_nor_sends_a_message_is_ended() -> None:
    client = Client(first_frame_seconds=0.1)
    client.connect()
    await client.opened()
    assert (await client.event())["code"] == "request_timeout"
    assert (await client.closed())[1] == "request_timeout"


@in_loop
async def test_a_client_over_the_limit_of_commands_waits_and_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Client(commands=1)
    waits: list[float] = []
    sleep: Callable[[float], Coroutine[Any, Any, None]] = asyncio.sleep

    async def noted(seconds: float) -> None:
        waits.append(seconds)
        await sleep(0)

    client.connect()
    await client.opened()
    monkeypatch.setattr("eventhub.server.websocket.asgi.asyncio.sleep", noted)
    for _ in range(4):
        client.send(text=PING)
    for _ in range(4):
        assert (await client.event())["type"] == "pong"
    assert any(seconds > 0 for seconds in waits)
    client.disconnect()
    await client.closed()


@in_loop
async def test_a_goodbye_is_sent_before_the_connection_closes() -> None:
    client = Client()
    client.connect()
    await client.opened()
    client.websocket.goodbye(client.manager.drain.shutting_down())
    assert (await client.closed()) == (SERVICE_RESTART, "shutting_down")
    assert client.websocket.end_reason == "shutting_down"


@in_loop
async def test_a_failed_connection_sends_its_error_and_nothing_more() -> None:
    client = Client()
    client.connect()
    await client.opened()
    client.websocket.fail(InvalidFrame("anything"))
    client.websocket.fail(InvalidFrame("anything else"))
    assert (await client.event())["message"] == "anything"
    assert (await client.closed())[1] == "invalid_frame"
