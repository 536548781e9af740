"""Several nodes, real clients, real faults: nothing acknowledged is lost, nothing comes twice or out of order, no gap is silent."""

import asyncio
from collections.abc import Callable

from tests.harness import EventHubServer
from tests.nodes import trial

Start = Callable[..., EventHubServer]


def test_a_node_that_restarts_without_its_log_tells_every_reader(start: Start) -> None:
    """On one node and in memory, so that the judge is seen to find what is lost, and gaps to explain it."""

    async def scenario() -> None:
        hub = start()
        async with trial([hub]) as running:
            await running.more(100)
            await asyncio.to_thread(hub.kill)
            await asyncio.to_thread(hub.start)
            running.faults += 1
            await running.more(100)
        books = running.books()
        assert books.clean, books
        assert books.gaps >= len(running.readers)

    asyncio.run(scenario())
