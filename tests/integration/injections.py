"""`python -m tests.integration.injections`: each fault that tests inject, beside 1,000 clients of
the same node.

INJECTIONS says what is made to raise, and what provokes it. The 1,000 clients stay connected, read
what is published all the time, and must get each event once, in order, and nothing else. Prints
figures for RESULTS.md.
"""

import argparse
import asyncio
import json
import operator
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import structlog
import uvicorn
from uvicorn.server import ServerState
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from eventhub.auth.blocks import BlockTarget
from eventhub.config.settings import Settings
from eventhub.server.app import Application, create_app
from eventhub.server.http.protocol import HttpProtocol, protocol_for
from eventhub.server.process.server import Server
from eventhub.server.security.connection_limits import raise_descriptors
from eventhub.server.websocket.protocol import WebSocketProtocol
from tests.harness.credentials import SECRET, token
from tests.harness.eventually import async_eventually, in_turns
from tests.integration.crowd import Client, Crowd

PATIENCE = 80
PAUSE_SECONDS = 0.1
"""Between two events for those beside."""
BESIDE = "json.beside"
TYPE = {
    "payload": "json",
    "presence": True,
    "publish": ["client", "producer"],
    "anonymous": ["publish", "subscribe", "presence"],
}
KEY = {"id": "known", "algorithm": "HS256", "secret": SECRET.decode()}


class Fault(Exception):
    """An error that nobody foresaw, and that cannot be encoded."""

    def __str__(self) -> str:
        raise ZeroDivisionError


class World:
    """A real server in this loop, with readers of one channel that must never be disturbed."""

    def __init__(self, app: Application, port: int, connections: set[Any]) -> None:
        self.app, self.port, self.connections = app, port, connections
        self.url = f"ws://127.0.0.1:{port}/v1/ws"
        self.victim = ""
        """The session of the connection that faults are meant for; "" for whoever comes."""
        self.bystanders: set[str] = set()
        """Sessions that were there before."""
        self.armed = False
        self.fired = 0
        self.published = 0
        self.beside: list[ClientConnection] = []
        self.lines: asyncio.StreamReader

    def concerns(self, arguments: tuple[Any, ...]) -> bool:
        """Whether a call is about the victim: its arguments hold something of the victim's
        connection and nothing of another.
        """
        if any(BESIDE in (each, getattr(each, "channel", None)) for each in _flat(arguments)):
            return False
        names = {
            name
            for each in arguments
            for name in (getattr(each, "id", ""), _session(each))
            if isinstance(name, str)
        }
        return self.victim in names if self.victim else not names & self.bystanders

    def arm(self) -> None:
        """Inject faults from now on, but not into the connections that exist already."""
        self.bystanders = {
            name for each in self.app.manager._connections if (name := _session(each))
        }
        self.armed = True

    async def connect(self, query: str = "?channel=json.victim") -> ClientConnection:
        """Connect a client, which is the victim from now on."""
        client = await connect(f"{self.url}{query}")
        self.victim = (await hear(client, "hello"))["session"]
        if query:
            await hear(client, "subscribed")
        return client

    def protocol(self) -> WebSocketProtocol:
        """The victim's protocol."""
        found = next(each for each in self.app.manager._connections if self.concerns((each,)))
        assert isinstance(found, WebSocketProtocol)
        return found

    def kept(self, writer: asyncio.StreamWriter) -> HttpProtocol:
        """The server's end of an idle connection."""
        own = writer.get_extra_info("sockname")
        return next(
            each
            for each in self.connections
            if isinstance(each, HttpProtocol) and each.client == own
        )

    async def post(self, channel: str, data: Any) -> int:
        """Publish over HTTP. Returns the status."""
        return (await self.request("POST", f"/v1/channels/{channel}", json.dumps(data)))[0]

    async def request(self, method: str, path: str, body: str = "") -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        answer = await reader.read()
        writer.close()
        return int(answer.split(b" ", 2)[1]), answer

    async def caught_up(self, sent: list[int]) -> None:
        """The readers that are watched singly have read what was published, and nothing else."""
        for client in self.beside:
            assert [_offset(await hear(client, "event")) for _ in sent] == sent
        for offset in sent:
            while b'"type":"event"' not in (line := await self.lines.readline()):
                assert line, "the stream ended"
            assert _offset(json.loads(line)) == offset

    async def undisturbed(self) -> None:
        """All other clients are connected, get an event that is published now, and nothing else."""
        self.published += 1
        assert await self.post(BESIDE, self.published) == 201
        for client in self.beside:
            assert (await hear(client, "event"))["data"] == self.published
        while b'"type":"event"' not in (line := await self.lines.readline()):
            assert line, "the stream ended"
        assert json.loads(line)["data"] == self.published
        assert not self.app.hub.ended
        assert (await self.request("GET", "/readyz"))[0] == 200


def _offset(event: dict[str, Any]) -> int:
    return int(event["id"].partition("-")[2])


def _flat(arguments: tuple[Any, ...]) -> list[Any]:
    return [
        one for each in arguments for one in (each if isinstance(each, list | tuple) else [each])
    ]


def _session(each: Any) -> str:
    each = getattr(each, "_connection", each)  # of a connection's reader
    session = getattr(each, "session", None) or getattr(each, "_session", None)
    return session if isinstance(session, str) else getattr(session, "id", "")


async def hear(client: ClientConnection, kind: str) -> dict[str, Any]:
    """Wait for its next message, which has this type."""
    message: dict[str, Any] = json.loads(await client.recv())
    assert message["type"] == kind, message
    return message


async def end_of(client: ClientConnection) -> ConnectionClosed:
    """How its connection ended."""
    try:
        while True:
            await client.recv()
    except ConnectionClosed as closed:
        return closed


async def ends(client: ClientConnection, code: int = 4500) -> None:
    closed = await end_of(client)
    assert closed.rcvd is not None, "it was told why"
    assert closed.rcvd.code == code


@asynccontextmanager
async def world(limits: dict[str, float], heartbeat: float) -> AsyncIterator[World]:
    """Start a server and its readers."""
    fields = {
        "auth": {"public_metrics": True, "tokens": {"leeway": 0, "keys": [KEY]}},
        "channels": {"json": TYPE},
        "limits": {"buffer_bytes": 65536, "connections_per_address": 4000, **limits},
        "heartbeat": heartbeat,
    }
    app = create_app(Settings.model_validate(fields), Path())
    config = uvicorn.Config(
        app, http=protocol_for(app.manager), ws=WebSocketProtocol, log_config=None, lifespan="on"
    )
    config.load()
    state = ServerState()
    build: Any = config.http_protocol_class
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app._lifespan(None))
        server = await asyncio.get_running_loop().create_server(
            lambda: build(config=config, server_state=state, app_state={}), "127.0.0.1", 0
        )
        stack.callback(server.close)
        here = World(app, server.sockets[0].getsockname()[1], state.connections)
        for _ in range(3):
            here.beside.append(
                await stack.enter_async_context(connect(f"{here.url}?channel={BESIDE}"))
            )
            await hear(here.beside[-1], "hello")
            await hear(here.beside[-1], "subscribed")
        here.lines, writer = await asyncio.open_connection("127.0.0.1", here.port)
        stack.callback(writer.close)
        writer.write(
            f"GET /v1/channels/{BESIDE}/ndjson HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        )
        while b'"subscribed"' not in await here.lines.readline():
            pass
        try:
            yield here
        finally:
            here.armed = False
            app.hub.draining = True

            def still_open() -> list[Any]:
                left: list[Any] = list(state.connections)
                for each in left:
                    each.transport.abort() if isinstance(each, HttpProtocol) else each.abort()
                return left

            # a loop that ends with open transports warns of it in a later test
            await in_turns("connections to end", still_open, operator.not_)


# What provokes a fault, and what its victim sees


async def a_message(world: World) -> None:
    client = await world.connect()
    await client.send('{"type":"ping"}')
    await ends(client)


def break_for(world: World, what: bytes) -> None:
    """Make the victim's transport raise for messages that hold this text."""
    protocol = world.protocol()
    write = protocol.write

    def broken(data: bytes) -> None:
        if what in data:
            world.fired += 1
            raise Fault
        write(data)

    protocol.write = broken


async def a_transport_that_takes_no_event(world: World) -> None:
    client = await world.connect("")
    break_for(world, b'"type":"event"')
    await client.send('{"type":"subscribe","channel":"json.victim"}')
    await hear(client, "subscribed")
    async with connect(f"{world.url}?channel=json.victim") as behind:
        await hear(behind, "hello")
        await hear(behind, "subscribed")
        assert await world.post("json.victim", 1) == 201
        await hear(behind, "event")
    await ends(client)


async def a_transport_that_takes_nothing(world: World) -> None:
    client = await world.connect("")

    def broken(data: bytes) -> None:
        world.fired += 1
        raise Fault

    world.protocol().write = broken
    await client.send('{"type":"ping"}')
    assert (await end_of(client)).rcvd is None, "it could not be told: it was cut off"


async def a_stream(world: World) -> None:
    world.armed = False
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    head = (
        "GET /v1/sse?channel=json.victim&channel=json.other HTTP/1.1\r\nHost: localhost\r\n"
        "Connection: close"
    )
    writer.write(f"{head}\r\n\r\n".encode())
    await reader.readuntil(b"json.other")
    world.armed = True
    assert await world.post("json.victim", 1) == 201
    await reader.read()  # to its end
    writer.close()


async def a_subscription(world: World) -> None:
    await ends(await connect(f"{world.url}?channel=json.victim&since=earliest"))


async def a_replay(world: World) -> None:
    assert await world.post("json.victim", 1) == 201
    await ends(await connect(f"{world.url}?channel=json.victim&since=earliest"))


async def a_handshake(world: World, **options: Any) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(world.url, **options)
    assert refused.value.response.status_code == 500


async def a_handshake_with_an_unknown_key(world: World) -> None:
    await a_handshake(world, additional_headers=bearer("unknown"))


async def an_unknown_key(world: World) -> None:
    client = await world.connect()
    world.victim = ""
    await client.send(json.dumps({"type": "auth", "token": token(header={"kid": "unknown"})}))
    await ends(client)


async def a_publish_whose_answer_fails(world: World) -> None:
    client = await world.connect()
    await client.send('{"type":"publish","channel":"json.victim","data":1}')
    await ends(client)


async def a_publish(world: World) -> None:
    client = await world.connect("")
    world.victim = ""
    await client.send('{"type":"publish","channel":"json.victim","data":1,"ref":1}')
    assert (await hear(client, "error"))["code"] == "internal"
    await client.close()


async def silence(world: World) -> None:
    await ends(await world.connect(""))


async def a_heartbeat(world: World) -> None:
    await ends(await world.connect())


async def a_message_in_parts(world: World) -> None:
    client = await world.connect()
    client.transport.write(b"\x01\x81\x00\x00\x00\x00x")
    await ends(client)


async def many_messages(world: World) -> None:
    client = await world.connect()
    for _ in range(150):
        await client.send('{"type":"ping"}')
    await ends(client)


async def an_end(world: World) -> None:
    """The client disconnects; nothing of it is left."""
    client = await world.connect("?channel=json.victim&member=eve")
    assert world.app.hub.members("json.victim") == ["eve"]
    await client.close()
    await async_eventually(
        "nobody", lambda: world.app.hub.members("json.victim"), operator.not_, seconds=PATIENCE
    )


async def a_member(world: World) -> None:
    """Watchers are written to when another member joins."""
    watcher = await world.connect("")
    break_for(world, b'"type":"join"')
    await watcher.send('{"type":"subscribe","channel":"json.victim","presence":true}')
    await hear(watcher, "subscribed")
    async with connect(f"{world.url}?channel=json.victim&member=ana") as other:
        await hear(other, "hello")
        await hear(other, "subscribed")
        await ends(watcher)
        await other.send('{"type":"ping"}')
        await hear(other, "pong")


async def a_pattern(world: World) -> None:
    """A channel whose events its patterns' subscribers cannot take is given up with them."""
    client = await world.connect("")
    await client.send('{"type":"subscribe","channel":"json.victim.*"}')
    await hear(client, "subscribed")
    world.victim = ""
    assert await world.post("json.victim.a", 1) == 201
    await ends(client)


async def a_birth(world: World) -> None:
    """The feed of a channel that is born cannot be made: the next list of channels has it."""
    client = await world.connect("")
    await client.send('{"type":"subscribe","channel":"json.victim.*"}')
    await hear(client, "subscribed")
    world.victim = ""
    assert await world.post("json.victim.a", 1) == 201
    await async_eventually("the fault", lambda: world.fired, seconds=PATIENCE)
    await client.send('{"type":"ping"}')
    assert "pong" in [json.loads(await client.recv())["type"] for _ in range(2)]
    await client.close()


async def a_list_of_channels(world: World) -> None:
    """The channels of a pattern cannot be read: its subscribers are closed."""
    client = await world.connect("")
    world.victim = ""
    await client.send('{"type":"subscribe","channel":"json.victim.*"}')
    await ends(client)


async def a_transport_that_takes_no_positions(world: World) -> None:
    """One subscriber of a pattern has caught up, and is to be told where it stands."""
    assert await world.post("json.victim.a", 1) == 201
    client = await world.connect("")
    break_for(world, b'"type":"positions"')
    await client.send('{"type":"subscribe","channel":"json.victim.*","since":"earliest"}')
    await ends(client)


async def a_failing_filter(world: World) -> None:
    """Of two filters of a channel, one fails, and its reader cannot be told."""
    client = await world.connect("")
    world.victim = ""
    async with connect(f"{world.url}?channel=json.victim") as beside:
        await hear(beside, "hello")
        await hear(beside, "subscribed")
        fields = {"type": "subscribe", "channel": "json.victim", "where": "data.level > 1"}
        await client.send(json.dumps(fields))
        await hear(client, "subscribed")
        assert await world.post("json.victim", {}) == 201
        await hear(beside, "event")
        await ends(client)
        await beside.send('{"type":"ping"}')
        await hear(beside, "pong")


async def a_scrape(world: World) -> None:
    client = await world.connect()
    await a_scrape_without_a_part(world)
    await client.close()


async def a_scrape_without_a_part(world: World) -> None:
    status, answer = await world.request("GET", "/metrics")
    assert status == 200
    assert b"eventhub_connections{" in answer
    assert b"eventhub_faults_total" in answer


async def a_request(world: World) -> None:
    status, answer = await world.request("GET", "/v1/types")
    assert status == 500
    assert b'"code":"internal"' in answer


async def an_operator(world: World) -> None:
    """An operator disconnects a principal: the connection that cannot be ended is cut off, and the
    others are ended.
    """
    first, second = [await connect(world.url, additional_headers=bearer("known")) for _ in range(2)]
    world.victim = (await hear(first, "hello"))["session"]
    await hear(second, "hello")
    assert world.app.manager.registry.disconnect(BlockTarget("subject", "ana"), blocked=False) == 2
    await ends(second, 4503)
    await end_of(first)


async def a_goodbye(world: World) -> None:
    client = await world.connect()
    world.app.manager.drain._send_away(world.protocol())
    await ends(client)


async def a_kept_connection(world: World) -> None:
    """Of two idle connections whose time is up, the one that cannot be closed is cut off, and the
    other is closed in time.
    """
    streams = [await asyncio.open_connection("127.0.0.1", world.port) for _ in range(2)]
    for reader, writer in streams:
        writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
    kept = world.kept(streams[0][1])

    def broken() -> None:
        world.fired += 1
        raise Fault

    kept._retire = broken  # type: ignore[method-assign]  # that is the point
    for reader, writer in streams:
        await reader.read()  # to its end
        writer.close()


async def a_last_call(world: World) -> None:
    """A stopping node tells its idle connections one after the other; an error in one ends only
    that one.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    stopping: Any = SimpleNamespace(_manager=world.app.manager)
    assert not Server._last_call(stopping, world.kept(writer)), "nothing is due"
    writer.close()


async def a_loop_of_the_node(world: World) -> None:
    """A loop of the node that fails begins again."""
    await async_eventually("the fault", lambda: world.fired, seconds=PATIENCE)


async def a_full_buffer(world: World) -> None:
    client = await world.connect()
    client.transport.pause_reading()
    for _ in range(400):
        await world.post("json.victim", "x" * 60_000)
        if world.fired:
            break
    client.transport.resume_reading()
    await end_of(client)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(header={'kid': key})}"}


SETTINGS: dict[str, tuple[dict[str, float], float]] = {
    "first message": ({"first_frame_seconds": 0.5}, 25),
    "heartbeat": ({}, 0.5),
    "idle": ({"keep_alive_seconds": 0.5}, 25),
    "message in parts": ({"body_seconds": 0.5}, 25),
    "pace": ({"commands": 10}, 25),
}
"""Limits and a heartbeat, where it takes others."""
INJECTIONS: dict[str, tuple[str, Callable[[World], Awaitable[None]]]] = {
    "message": ("eventhub.session.session:Session.receive", a_message),
    "write": ("", a_transport_that_takes_no_event),
    "transport": ("", a_transport_that_takes_nothing),
    "stream": ("eventhub.server.streams.outbox:CursorOutbox._server_sent_event", a_stream),
    "started": ("eventhub.session.session:Session._subscribed", a_subscription),
    "feed": ("eventhub.delivery.catching_up:CatchingUpSubscribers.advance", a_subscription),
    "page": ("eventhub.delivery.catching_up:CatchingUpSubscribers.page", a_replay),
    "history": ("eventhub.brokers.memory:MemoryBroker.history", a_replay),
    "announcements": ("eventhub.brokers.memory:MemoryBroker.subscribe", a_subscription),
    "handshake": ("eventhub.server.websocket.upgrade:negotiate", a_handshake),
    "handshake with keys": (
        "eventhub.server.security.authentication:Authentication.refresh",
        a_handshake_with_an_unknown_key,
    ),
    "renewal": ("eventhub.server.security.authentication:Authentication.refresh", an_unknown_key),
    "decided": ("eventhub.session.session:Session._decided", an_unknown_key),
    "published": ("eventhub.session.session:Session.published", a_publish_whose_answer_fails),
    "publish": ("eventhub.hub.hub:Hub.publish", a_publish),
    "first message": (
        "eventhub.server.websocket.reader:FrameReader._first_message_is_late",
        silence,
    ),
    "heartbeat": ("eventhub.server.websocket.protocol:WebSocketProtocol.heartbeat", a_heartbeat),
    "message in parts": (
        "eventhub.server.websocket.reader:FrameReader._check_message",
        a_message_in_parts,
    ),
    "pace": ("eventhub.server.websocket.reader:FrameReader._pause_is_over", many_messages),
    "congested": ("eventhub.session.session:Session.congested", a_full_buffer),
    "leave": ("eventhub.delivery.feed:Feed.leave", an_end),
    "closed": ("eventhub.server.connections.registry:ConnectionRegistry.remove", an_end),
    "log": ("eventhub.hub.subscription_log:ended", an_end),
    "watcher": ("", a_member),
    "pattern": ("eventhub.delivery.pattern_audience:PatternAudience.deliver", a_pattern),
    "birth": ("eventhub.hub.patterns:Patterns._cover", a_birth),
    "list": ("eventhub.hub.patterns:Patterns._list", a_list_of_channels),
    "positions": ("", a_transport_that_takes_no_positions),
    "filter": ("eventhub.delivery.filtering:FilteredEncoding.failed", a_failing_filter),
    "buffered": ("eventhub.server.websocket.protocol:WebSocketProtocol.buffered", a_scrape),
    "readings": (
        "eventhub.server.process.process_metrics:ProcessMetrics.readings",
        a_scrape_without_a_part,
    ),
    "request": ("eventhub.server.api.read_routes:_describe", a_request),
    "operator": ("eventhub.server.websocket.protocol:WebSocketProtocol.fail", an_operator),
    "idle": ("", a_kept_connection),
    "last call": ("eventhub.server.http.protocol:HttpProtocol.last_call", a_last_call),
    "goodbye": ("eventhub.session.session:Session.goodbye", a_goodbye),
    "presence": ("eventhub.presence.roster:Roster.expire", a_loop_of_the_node),
    "rates": ("eventhub.server.security.publish_quota:PublishQuota.forget", a_loop_of_the_node),
}
"""What is made to raise ("": the provocation does it), and what provokes it."""


class Reader(asyncio.Protocol):
    """An SSE or NDJSON stream of the other clients, and what it received."""

    def __init__(self, kind: str) -> None:
        self.offsets: list[int] = []
        self.other: list[str] = []
        """Types of messages that are no events, and how it ended."""
        self.begun = asyncio.Event()
        self._kind = kind
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(
            f"GET /v1/channels/{BESIDE}/{self._kind} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            if (text := line.removeprefix(b"data: ")).startswith(b"{"):
                self._hear(json.loads(text))

    def connection_lost(self, exc: Exception | None) -> None:
        self.other.append(f"ended: {exc}")

    def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "event":
            self.offsets.append(_offset(message))
        elif message["type"] == "subscribed":
            self.begun.set()
        elif message["type"] != "hello":
            self.other.append(message["type"])


class Beside:
    """Many clients of one channel, four fifths of them WebSockets, and a publisher that never
    stops.
    """

    def __init__(self, port: int, clients: int) -> None:
        self.crowd = Crowd(port)
        self.readers = [Reader(("sse", "ndjson")[number % 2]) for number in range(clients // 5)]
        self.sockets = clients - len(self.readers)
        self.sent: list[int] = []
        """Offsets of what was published, in order."""
        self._stopping = False

    async def join(self) -> None:
        """Connect; returns when all are subscribed."""
        await self.crowd.add(BESIDE, [None] * self.sockets)
        for reader in self.readers:
            await self._open(reader)

    async def publish(self) -> None:
        """Publish until told to stop. Each publish must be accepted at once."""
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.crowd.port}", timeout=PATIENCE
        ) as http:
            while not self._stopping:
                answer = await http.post(
                    f"/v1/channels/{BESIDE}",
                    content="1",
                    headers={"content-type": "application/json"},
                )
                assert answer.status_code == 201, answer.text
                self.sent.append(_offset(answer.json()))
                await asyncio.sleep(PAUSE_SECONDS)

    async def some(self) -> None:
        """Wait until a few more events are published."""
        enough = len(self.sent) + 3
        await async_eventually(
            f"{enough} events", lambda: len(self.sent), lambda seen: seen >= enough
        )

    async def check(self, publishing: asyncio.Task[None]) -> None:
        """Check that every client got every event once, in order, and nothing else."""
        self._stopping = True
        await publishing
        everybody: list[Client | Reader] = [*self.crowd.clients, *self.readers]
        await async_eventually(
            f"all {len(self.sent)} at each",
            lambda: min(len(each.offsets) for each in everybody),
            lambda seen: seen >= len(self.sent),
        )
        assert [each for each in everybody if each.offsets != self.sent] == []
        crowd = self.crowd
        seen = (crowd.lost, crowd.refused, crowd.gaps, crowd.errors, crowd.goodbyes)
        assert seen == (0, 0, 0, [], []), seen
        assert crowd.connected == self.sockets
        assert [other for reader in self.readers for other in reader.other] == []

    async def leave(self) -> None:
        """Disconnect all."""
        for reader in self.readers:
            reader.transport.abort()
        await self.crowd.end()

    async def _open(self, reader: Reader) -> None:
        await asyncio.get_running_loop().create_connection(
            lambda: reader, "127.0.0.1", self.crowd.port
        )
        await reader.begun.wait()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an injection."""

    fired: int
    counted: int
    published: int
    """To those beside."""
    deliveries: int


@asynccontextmanager
async def watched(beside: Beside) -> AsyncIterator[None]:
    """Readers read before, during and after the injection."""
    await beside.join()
    async with asyncio.TaskGroup() as tasks:
        publishing = tasks.create_task(beside.publish())
        await beside.some()
        yield
        await beside.some()
        await beside.check(publishing)
    await beside.leave()


async def injected(name: str, clients: int = 0) -> Outcome:
    """Run an injection in a world with this many other clients, none of which may be disturbed."""
    target, provoke = INJECTIONS[name]
    here: list[World] = []
    with pytest.MonkeyPatch.context() as patch:
        if target:
            inject(target, here, patch)
        limits, heartbeat = SETTINGS.get(name, ({}, 25))
        heartbeat *= (
            4 if clients else 1
        )  # each answers a ping within a heartbeat, and all share this core
        async with asyncio.timeout(PATIENCE + clients / 20), world(limits, heartbeat) as there:
            here.append(there)
            await there.undisturbed()
            beside = Beside(there.port, clients)
            async with watched(beside) if clients else nullcontext():
                there.arm()
                await provoke(there)
                there.armed = False
            await there.caught_up(beside.sent)
            await there.undisturbed()
            assert there.fired, "nothing was injected"
            counted = there.app.hub.faults.counts.total()
            assert counted, "it is counted"
            return Outcome(there.fired, counted, len(beside.sent), len(beside.sent) * clients)


def inject(target: str, here: list[World], monkeypatch: pytest.MonkeyPatch) -> None:
    """Make it raise when it is called for the victim."""
    module, _, path = target.partition(":")
    owner: Any = import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    original = getattr(owner, name)

    def faulty(*arguments: Any, **named: Any) -> Any:
        if here and here[0].armed and here[0].concerns(arguments):
            here[0].fired += 1
            raise Fault
        return original(*arguments, **named)

    monkeypatch.setattr(owner, name, faulty)


def main() -> None:
    """Inject each fault, and print what happened."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.integration.injections", description=__doc__
    )
    parser.add_argument("--clients", type=int, default=1000, help="(%(default)s)")
    parser.add_argument("names", nargs="*", help="of injections (all)")
    options = parser.parse_args()
    raise_descriptors()
    sys.stdout.write(
        "| injected | raised | counted | published beside | delivered beside "
        "| lost, ended, told |\n|---|---|---|---|---|---|\n"
    )
    begin = time.monotonic()
    for name in options.names or INJECTIONS:
        with structlog.testing.capture_logs() as lines:
            outcome = asyncio.run(injected(name, options.clients))
        assert any(line["event"] == "fault" for line in lines), "it is logged"
        row = (
            name,
            outcome.fired,
            outcome.counted,
            outcome.published,
            f"{outcome.deliveries:,}",
            0,
        )
        sys.stdout.write(f"| {' | '.join(map(str, row))} |\n")
        sys.stdout.flush()
    sys.stdout.write(f"{time.monotonic() - begin:.0f} s\n")


if __name__ == "__main__":
    main()
