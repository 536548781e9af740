"""A connection to Redis over a transport that keeps what is written."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from eventhub.brokers.redis.link import RedisLink


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.aborted = False

    def write(self, data: Any) -> None:
        self.written += data

    def abort(self) -> None:
        self.aborted = True


def on_a_link(scenario: Callable[[RedisLink, Wire, list[Any]], Awaitable[None]]) -> None:
    async def main() -> None:
        pushed: list[Any] = []
        link, wire = RedisLink(pushed.append), Wire()
        link.connection_made(wire)
        await scenario(link, wire, pushed)

    asyncio.run(main())
