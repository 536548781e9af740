"""Servers of brokers in the test's own process and event loop."""

import asyncio
import operator
from collections.abc import AsyncIterator, Sized
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

from tests.harness.eventually import in_turns


class FakeServer(Protocol):
    """What a server does with its clients."""

    port: int

    @property
    def connections(self) -> Sized: ...

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None: ...

    def cut(self) -> None: ...


S = TypeVar("S", bound=FakeServer)


@asynccontextmanager
async def serving(server: S) -> AsyncIterator[S]:
    """The server, on a free port, or on the one that it had before."""
    listening = await asyncio.start_server(server.serve, "127.0.0.1", server.port)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        server.cut()
        await in_turns("connections to end", lambda: server.connections, operator.not_)
