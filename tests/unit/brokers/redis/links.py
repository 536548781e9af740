"""A connection to Redis over a transport that keeps what is written."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from eventhub.brokers.redis.link import RedisLink
from tests.harness.transport import RecordedTransport


def on_a_link(
    scenario: Callable[[RedisLink, RecordedTransport, list[Any]], Awaitable[None]],
) -> None:
    async def main() -> None:
        pushed: list[Any] = []
        link, wire = RedisLink(pushed.append), RecordedTransport()
        link.connection_made(wire)
        await scenario(link, wire, pushed)

    asyncio.run(main())
