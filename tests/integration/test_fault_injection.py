"""A fault is injected wherever something shared calls what belongs to one connection, and nobody else notices.

The places come from the code's syntax (tests/inventory.py): one that PLACES does not name fails a test.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import structlog
import uvicorn
from uvicorn.server import ServerState
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from eventhub.auth.blocks import Target
from eventhub.server.app import Application, create_app
from eventhub.server.http_protocol import HttpProtocol, protocol_for
from eventhub.server.wire import WebSocketProtocol
from eventhub.settings import Settings
from tests.credentials import SECRET, token
from tests.inventory import places

PATIENCE = 30
BESIDE = "json.beside"
TYPE = {
    "payload": "json",
    "presence": True,
    "publish": ["client", "producer"],
    "anonymous": ["publish", "subscribe", "presence"],
}
KEY = {"id": "known", "algorithm": "HS256", "secret": SECRET.decode()}


class Fault(Exception):
    """Nobody foresaw this, nor can it be written down."""

    def __str__(self) -> str:
        raise ZeroDivisionError


class World:
    """A real server in this loop, with readers of one channel that must never notice anything."""

    def __init__(self, app: Application, port: int) -> None:
        self.app, self.port = app, port
        self.url = f"ws://127.0.0.1:{port}/v1/ws"
        self.victim = ""
        """The session of the connection that faults are meant for; "" for whoever comes."""
        self.armed = False
        self.fired = 0
        self.published = 0
        self.beside: list[ClientConnection] = []
        self.lines: asyncio.StreamReader

    def concerns(self, arguments: tuple[Any, ...]) -> bool:
        """Whether a call is about the victim: something of its connection is among the arguments."""
        names = [name for each in arguments for name in (getattr(each, "id", ""), _session(each))]
        return not self.victim or self.victim in names

    async def connect(self, query: str = "?channel=json.victim") -> ClientConnection:
        """A client, which is the victim from now on."""
        client = await connect(f"{self.url}{query}")
        self.victim = (await hear(client, "hello"))["session"]
        if query:
            await hear(client, "subscribed")
        return client

    def protocol(self) -> WebSocketProtocol:
        """The victim's."""
        found = next(each for each in self.app.gateway._connections if self.concerns((each,)))
        assert isinstance(found, WebSocketProtocol)
        return found

    async def post(self, channel: str, data: Any) -> int:
        """Publish over HTTP; the status."""
        return (await self.request("POST", f"/v1/channels/{channel}", json.dumps(data)))[0]

    async def request(self, method: str, path: str, body: str = "") -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        answer = await reader.read()
        writer.close()
        return int(answer.split(b" ", 2)[1]), answer

    async def undisturbed(self) -> None:
        """Everybody beside is connected, and gets an event that is published now, and nothing else."""
        self.published += 1
        assert await self.post(BESIDE, self.published) == 201
        for client in self.beside:
            assert (await hear(client, "event"))["data"] == self.published
        while b'"type":"event"' not in (line := await self.lines.readline()):
            assert line, "the stream ended"
        assert json.loads(line)["data"] == self.published
        assert not self.app.hub.ended
        assert (await self.request("GET", "/readyz"))[0] == 200


def _session(each: Any) -> str:
    session = getattr(each, "session", None) or getattr(each, "_session", None)
    return session if isinstance(session, str) else getattr(session, "id", "")


async def hear(client: ClientConnection, kind: str) -> dict[str, Any]:
    """Its next message, which is of this type."""
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
    """A server, and its readers."""
    fields = {
        "auth": {"public_metrics": True, "tokens": {"leeway": 0, "keys": [KEY]}},
        "channels": {"json": TYPE},
        "limits": {"buffer_bytes": 65536, **limits},
        "heartbeat": heartbeat,
    }
    app = create_app(Settings.model_validate(fields), Path())
    config = uvicorn.Config(app, http=protocol_for(app.gateway), ws=WebSocketProtocol, log_config=None, lifespan="on")
    config.load()
    state = ServerState()
    build: Any = config.http_protocol_class
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app._lifespan(None))
        server = await asyncio.get_running_loop().create_server(
            lambda: build(config=config, server_state=state, app_state={}), "127.0.0.1", 0
        )
        stack.callback(server.close)
        here = World(app, server.sockets[0].getsockname()[1])
        for _ in range(3):
            here.beside.append(await stack.enter_async_context(connect(f"{here.url}?channel={BESIDE}")))
            await hear(here.beside[-1], "hello")
            await hear(here.beside[-1], "subscribed")
        here.lines, writer = await asyncio.open_connection("127.0.0.1", here.port)
        stack.callback(writer.close)
        writer.write(f"GET /v1/channels/{BESIDE}/ndjson HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        while b'"subscribed"' not in await here.lines.readline():
            pass
        try:
            yield here
        finally:
            here.armed = False
            app.hub.draining = True
            async with asyncio.timeout(PATIENCE):
                open_here: set[Any] = state.connections
                while open_here:  # a loop that ends with open transports tells so, in some later test
                    for each in list(open_here):
                        each.transport.abort() if isinstance(each, HttpProtocol) else each.abort()
                    await asyncio.sleep(0)


# What provokes a fault, and what its victim sees


async def a_message(world: World) -> None:
    client = await world.connect()
    await client.send('{"type":"ping"}')
    await ends(client)


def break_for(world: World, what: bytes) -> None:
    """The victim's transport raises for messages that hold this."""
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
    head = "GET /v1/sse?channel=json.victim&channel=json.other HTTP/1.1\r\nHost: localhost\r\nConnection: close"
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
    """The client leaves; nothing of it stays."""
    client = await world.connect("?channel=json.victim&member=eve")
    assert world.app.hub.members("json.victim") == ["eve"]
    await client.close()
    while world.app.hub.members("json.victim"):  # noqa: ASYNC110  # it tells nobody
        await asyncio.sleep(0.01)


async def a_member(world: World) -> None:
    """Who watches is written to when another comes."""
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
    """Ends all of a principal: one that cannot be ended is cut off, and the others are ended."""
    first, second = [await connect(world.url, additional_headers=bearer("known")) for _ in range(2)]
    world.victim = (await hear(first, "hello"))["session"]
    await hear(second, "hello")
    assert world.app.gateway.visits.end(Target("subject", "ana"), blocked=False) == 2
    await ends(second, 4503)
    await end_of(first)


async def a_goodbye(world: World) -> None:
    client = await world.connect()
    world.app.gateway._send_away(world.protocol())
    await ends(client)


async def a_loop_of_the_node(world: World) -> None:
    """Begins again."""
    while not world.fired:  # noqa: ASYNC110  # it tells nobody
        await asyncio.sleep(0.01)


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
    "message in parts": ({"body_seconds": 0.5}, 25),
    "pace": ({"commands": 10}, 25),
}
"""Limits and a heartbeat, where it takes others."""
INJECTIONS: dict[str, tuple[str, Callable[[World], Awaitable[None]]]] = {
    "message": ("eventhub.session:Session.receive", a_message),
    "write": ("", a_transport_that_takes_no_event),
    "transport": ("", a_transport_that_takes_nothing),
    "stream": ("eventhub.server.outbox:CursorOutbox._block", a_stream),
    "started": ("eventhub.session:Session._subscribed", a_subscription),
    "feed": ("eventhub.feed:Feed._advance", a_subscription),
    "page": ("eventhub.feed:Feed._held_page", a_replay),
    "history": ("eventhub.brokers.memory:MemoryBroker.history", a_replay),
    "announcements": ("eventhub.brokers.memory:MemoryBroker.subscribe", a_subscription),
    "handshake": ("eventhub.server.wire:agree", a_handshake),
    "handshake with keys": ("eventhub.server.guard:Guard.refresh", a_handshake_with_an_unknown_key),
    "renewal": ("eventhub.server.guard:Guard.refresh", an_unknown_key),
    "decided": ("eventhub.session:Session._decided", an_unknown_key),
    "published": ("eventhub.session:Session.published", a_publish_whose_answer_fails),
    "publish": ("eventhub.hub:Hub.publish", a_publish),
    "first message": ("eventhub.server.wire:WebSocketProtocol._is_mute", silence),
    "heartbeat": ("eventhub.server.wire:WebSocketProtocol.beat", a_heartbeat),
    "message in parts": ("eventhub.server.wire:WebSocketProtocol._message_is_due", a_message_in_parts),
    "pace": ("eventhub.server.wire:WebSocketProtocol._paused", many_messages),
    "congested": ("eventhub.session:Session.congested", a_full_buffer),
    "leave": ("eventhub.feed:Feed.leave", an_end),
    "closed": ("eventhub.server.visits:Visits.leave", an_end),
    "log": ("eventhub.journal:ended", an_end),
    "watcher": ("", a_member),
    "buffered": ("eventhub.server.wire:WebSocketProtocol.buffered", a_scrape),
    "readings": ("eventhub.server.machine:Machine.readings", a_scrape_without_a_part),
    "request": ("eventhub.server.http:_shown", a_request),
    "operator": ("eventhub.server.wire:WebSocketProtocol.fail", an_operator),
    "goodbye": ("eventhub.session:Session.goodbye", a_goodbye),
    "presence": ("eventhub.presence:Roster.expire", a_loop_of_the_node),
    "rates": ("eventhub.server.rates:Rates.forget", a_loop_of_the_node),
}
"""What is made to raise ("": the provocation does it), and what provokes it."""
ITS_OWN = "called for one connection or request alone, whose end it is; the loop's handler notes what it raises"
OUTSIDE = "of a server that the broker depends on (tests/contract/test_unreadable.py, tests of that broker)"
PROCESS = "of the whole process: it calls nothing that a connection could make fail"
_PLACES: dict[str, list[str]] = {
    PROCESS: [
        "arrays.py:_scan:_end",
        "arrays.py:pieces:_end",
        "server/admin.py:Admin._tell:tell",
        "server/app.py:Application._lifespan:set_exception_handler",
        "server/app.py:_beat:beat",
        "server/certificates.py:Certificates.run:to_thread",
        "server/server.py:Server._drain:_last_call",
        "server/server.py:Server.handle_exit:call_soon_threadsafe",
        "server/server.py:Server.startup:add_reader",
        "server/siblings.py:Siblings._asked:contained",
        "server/siblings.py:Siblings._asked:create_task",
        "server/siblings.py:Siblings.run:add_reader",
        "server/siblings.py:Siblings.scrape:add_done_callback",
        "server/siblings.py:Siblings.scrape:create_task",
    ],
    OUTSIDE: [
        "brokers/nats/broker.py:NatsBroker.run:_serve",
        "brokers/nats/keys.py:Keys.claim:_write",
        "brokers/nats/link.py:Link.open:add_done_callback",
        "brokers/nats/session.py:Session.reopen:create_task",
        "brokers/redis/broker.py:RedisBroker._shard:create_task",
        "brokers/redis/broker.py:RedisBroker.run:create_task",
        "brokers/redis/link.py:Link.data_received:_give",
        "brokers/redis/link.py:Link.write:call_soon",
        "brokers/redis/publisher.py:Publisher._again:call_later",
        "brokers/redis/publisher.py:Publisher._wake:call_soon",
        "brokers/redis/shard.py:Shard._proves:create_task",
        "brokers/redis/shard.py:Shard._subscribe:write",
        "brokers/redis/shard.py:Shard.run:create_task",
        "brokers/redis/values.py:announce:deliver",
        "brokers/sqlite/broker.py:SqliteBroker.run:run_in_executor",
        "brokers/sqlite/writer.py:Writer._publish:_call",
        "brokers/sqlite/writer.py:Writer._recover:_call",
        "brokers/sqlite/writer.py:Writer._refuse:_call",
        "brokers/sqlite/writer.py:Writer._subscribe:_call",
    ],
    "history": [
        "brokers/sqlite/broker.py:SqliteBroker.history:run_in_executor",
        "reads.py:Reads._read:_lose",
        "reads.py:Reads.ask:_spawn",
    ],
    "started": [
        "endings.py:Endings._end:_note",
        "endings.py:Endings._go_on:_end",
        "endings.py:Endings._go_on:_soon",
        "endings.py:Endings.add:_soon",
    ],
    "write": [
        "fanout.py:Fanout._report:broke",
        "fanout.py:Fanout.settle:write",
        "hub.py:Hub._flush:call_soon",
        "hub.py:Hub.dirty:call_soon",
        "writes.py:write_all_plainly:write",
    ],
    "feed": [
        "feed.py:Feed._mend:_serve",
        "feed.py:Feed._pass_over:fail",
    ],
    "page": [
        "hub.py:Hub._make_whole:call_later",
        "hub.py:Hub._mend:call_later",
        "reads.py:Reads._keep:call_later",
        "reads.py:Reads._read:_give",
        "reads.py:Reads.ask:call_soon",
    ],
    "announcements": [
        "hub.py:Hub._settle:spawn",
    ],
    "operator": [
        "hub.py:Hub._soon:call_soon",
        "server/gateway.py:Gateway.cut_off:contain",
        "server/visits.py:Visits.end:_fail",
    ],
    "presence": [
        "hub.py:Hub.run:create_task",
        "nodes.py:Nodes.attend:_note",
    ],
    "renewal": [
        "hub.py:Hub.spawn:add_done_callback",
        "hub.py:Hub.spawn:create_task",
        "server/assembly.py:Assembly._hear:spawn",
    ],
    "watcher": [
        "nodes.py:Nodes.hear:_note",
        "watchers.py:Watchers._tell_crowd:_write",
        "watchers.py:Watchers._tell_each:_write",
        "watchers.py:Watchers._write:write_all",
        "watchers.py:Watchers.drained:_call",
        "watchers.py:Watchers.tell:_call",
    ],
    "rates": [
        "server/app.py:Application._lifespan:create_task",
        "server/rates.py:Rates.run:tell",
    ],
    "first message": [
        "server/deadlines.py:Deadlines._expire:call_soon",
        "server/deadlines.py:Deadlines._expire:contain",
        "server/deadlines.py:Deadlines.set:call_at",
        "server/visits.py:Visits._set:deadlines.after",
        "server/websocket.py:WebSocketShell._read:deadlines.after",
        "server/wire.py:WebSocketProtocol._shake_hands:deadlines.after",
    ],
    "goodbye": [
        "server/farewell.py:in_turn:tell",
        "server/farewell.py:together:tell",
        "server/gateway.py:Gateway.opened:call_soon",
    ],
    "heartbeat": [
        "server/gateway.py:Gateway.beat:contained",
    ],
    "buffered": [
        "server/gateway.py:Gateway.readings:buffered",
    ],
    ITS_OWN: [
        "server/http_protocol.py:HttpProtocol._answered:call_later",
        "server/http_protocol.py:HttpProtocol._answered:call_soon",
        "server/http_protocol.py:HttpProtocol._feed:_fail",
        "server/http_protocol.py:HttpProtocol._hold:later",
        "server/http_protocol.py:HttpProtocol._run:add_done_callback",
        "server/gateway.py:Gateway.end_session:later",
        "server/http_protocol.py:HttpProtocol._run:create_task",
        "server/starts.py:Starts.start:later",
        "server/http_protocol.py:HttpProtocol._wait:call_later",
        "server/http_protocol.py:HttpProtocol.connection_made:call_later",
        "server/http_protocol.py:HttpProtocol.last_call:call_later",
        "server/http_protocol.py:HttpProtocol.on_message_begin:call_later",
        "server/idle.py:IdleConnections._close:retire",
        "server/idle.py:IdleConnections._look:call_soon",
        "server/idle.py:IdleConnections._set_timer:call_at",
        "server/ingest.py:Ingest._read:_end",
        "server/ingest.py:Ingest._take_chunk:_end",
        "server/ingest.py:Ingest.fail:call_later",
        "server/joining.py:Joining.close:call_later",
        "server/joining.py:Joining.write:call_soon",
        "server/race.py:race:create_task",
        "server/refusal.py:Refusal.__init__:call_later",
        "server/stream.py:Stream._probe:call_later",
        "server/websocket.py:WebSocketShell._read:contained",
        "server/wire.py:WebSocketProtocol._close:call_later",
        "server/wire.py:WebSocketProtocol._linger:call_later",
    ],
    "readings": [
        "server/machine.py:Machine.readings:to_thread",
    ],
    "stream": [
        "server/outbox.py:Outbox._next:call_soon",
        "server/outbox.py:Outbox.close:call_later",
        "server/outbox.py:Outbox.write:call_soon",
    ],
    "published": [
        "server/submissions.py:Submissions.add:spawn",
    ],
    "pace": [
        "server/turns.py:Turns._come_back:call_soon",
        "server/turns.py:Turns._go_on:call_soon",
        "server/turns.py:Turns._pass:call_soon",
        "server/turns.py:Turns.another:later",
        "server/wire.py:WebSocketProtocol._hold:call_later",
        "server/wire.py:WebSocketProtocol._paused:later",
        "server/wire.py:WebSocketProtocol._wait_for_turn:later",
    ],
    "decided": [
        "server/visits.py:Visits.renew:_spawn",
    ],
    "message in parts": [
        "server/wire.py:WebSocketProtocol._begin_or_end:deadlines.after",
        "server/wire.py:WebSocketProtocol._message_is_due:deadlines.set",
    ],
    "handshake with keys": [
        "server/wire.py:WebSocketProtocol._shake_hands:spawn",
    ],
    "closed": [
        "server/wire.py:WebSocketProtocol.connection_lost:contain",
    ],
    "congested": [
        "server/wire.py:WebSocketProtocol.pause_writing:call_soon",
        "server/wire.py:WebSocketProtocol.resume_writing:call_soon",
    ],
}
PLACES = {place: name for name, found in _PLACES.items() for place in found}


def test_every_place_has_an_injection_or_a_reason() -> None:
    found = places()
    assert sorted(found - PLACES.keys()) == [], "inject a fault there, or say why nothing shared is at risk"
    assert sorted(PLACES.keys() - found) == [], "there is no such place any more"
    assert set(PLACES.values()) <= {*INJECTIONS, ITS_OWN, OUTSIDE, PROCESS}


@pytest.mark.parametrize("name", INJECTIONS)
def test_nobody_else_notices(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target, provoke = INJECTIONS[name]
    here: list[World] = []
    if target:
        inject(target, here, monkeypatch)

    async def main() -> None:
        async with asyncio.timeout(PATIENCE), world(*SETTINGS.get(name, ({}, 25))) as there:
            here.append(there)
            await there.undisturbed()
            there.armed = True
            await provoke(there)
            there.armed = False
            await there.undisturbed()
            assert there.fired, "nothing was injected"
            assert there.app.hub.faults.counts.total(), "it is counted"

    with structlog.testing.capture_logs():  # which renders no tracebacks
        asyncio.run(main())


def inject(target: str, here: list[World], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have it raise when it is about the victim."""
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
