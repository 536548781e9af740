"""Clients that do everything a client of one node can do, over and over, so that each callback of a
connection is called.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from eventhub.auth.blocks import BlockTarget
from tests.integration.injections import World, bearer

PAUSE_SECONDS = 0.1
"""Before a client does it again."""
UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connection(world: World, text: str) -> AsyncIterator[Streams]:
    """Open a connection that begins with this request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    try:
        writer.write(text.replace("\n", "\r\n").replace("\r\r", "\r").encode())
        yield reader, writer
    finally:
        writer.close()


async def asks_and_stays(world: World) -> None:
    async with connection(world, "GET /livez HTTP/1.1\nHost: a\n\n" * 2) as (reader, _):
        await reader.read()


async def asks_and_begins_another(world: World) -> None:
    async with connection(world, "GET /livez HTTP/1.1\nHost: a\n\n") as (reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"GET /livez HTTP/1.1\r\n")
        await reader.read()


async def begins_a_head(world: World) -> None:
    async with connection(world, "GET /livez HTTP/1.1\n") as (reader, _):
        await reader.read()


async def owes_a_body(world: World) -> None:
    async with connection(world, "POST /livez HTTP/1.1\nHost: a\nContent-Length: 100000\n\n") as (
        reader,
        _,
    ):
        await reader.read()


async def frames_no_body(world: World) -> None:
    head = "POST /v1/channels/json.other HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n"
    async with connection(world, f"{head}what") as (reader, _):
        await reader.read()


async def sends_tiny_chunks(world: World) -> None:
    head = "POST /v1/channels/json.other HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n"
    async with connection(world, head + "1\n1\n" * 30_000 + "0\n\n") as (reader, _):
        await reader.readline()


async def comes_with_many(world: World) -> None:
    async def one() -> None:
        async with connection(world, "GET /livez HTTP/1.1\nHost: a\nConnection: close\n\n") as (
            reader,
            _,
        ):
            await reader.read()

    await asyncio.gather(*(one() for _ in range(60)))


async def keeps_a_connection_when_the_server_stops(world: World) -> None:
    async with connection(world, "GET /livez HTTP/1.1\nHost: a\n\n") as (reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        world.kept(writer).last_call()
        await reader.read()


async def produces_until_it_is_shut_out(world: World) -> None:
    head = (
        "POST /v1/channels/json.other HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n"
        "Content-Type: application/x-ndjson\n"
    )
    async with connection(
        world, f"{head}Authorization: {bearer('known')['Authorization']}\n\n2\n1\n\n"
    ) as (reader, _):
        await reader.readline()
        world.app.manager.registry.disconnect(BlockTarget("subject", "ana"), blocked=False)
        await reader.read()


async def reads_a_stream_half_closed(world: World) -> None:
    async with connection(world, "GET /v1/channels/json.other/sse HTTP/1.1\nHost: a\n\n") as (
        reader,
        writer,
    ):
        await reader.readuntil(b"subscribed")
        writer.write_eof()
        await asyncio.sleep(PAUSE_SECONDS)


async def does_not_answer_a_close(world: World) -> None:
    async with connection(
        world, f"GET /v1/ws HTTP/1.1\nHost: a\n{UPGRADE}Sec-WebSocket-Version: 13\n\n"
    ) as (reader, writer):
        await reader.readuntil(b"hello")
        writer.write(b"\x88\x82\x00\x00\x00\x00\x03\xe7")  # a code that no close may have
        await reader.read()


async def sends_a_handshake_of_another_version(world: World) -> None:
    async with connection(
        world, f"GET /v1/ws HTTP/1.1\nHost: a\n{UPGRADE}Sec-WebSocket-Version: 7\n\n"
    ) as (reader, _):
        await reader.read()


DOINGS: list[Callable[[World], Awaitable[None]]] = [
    asks_and_stays,
    asks_and_begins_another,
    begins_a_head,
    owes_a_body,
    frames_no_body,
    sends_tiny_chunks,
    comes_with_many,
    keeps_a_connection_when_the_server_stops,
    produces_until_it_is_shut_out,
    reads_a_stream_half_closed,
    does_not_answer_a_close,
    sends_a_handshake_of_another_version,
]


async def everything(world: World) -> None:
    """Do everything, until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        for do in DOINGS:
            tasks.create_task(_again(world, do))


async def _again(world: World, do: Callable[[World], Awaitable[None]]) -> None:
    while True:
        with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            async with asyncio.timeout(1):  # a command that a fault disturbed is never answered
                await do(world)
        await asyncio.sleep(PAUSE_SECONDS)
