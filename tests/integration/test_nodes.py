"""Several nodes, real clients, real faults: nothing acknowledged is lost, nothing comes twice or out of order, no gap is silent."""

import asyncio
from collections.abc import Callable

from tests.harness import EventHubServer
from tests.nodes import trial

Start = Callable[..., EventHubServer]
CONFIG = """
broker: {broker}
log: {{level: warning}}
heartbeat: 2
shutdown: {{grace: 2, reconnect_within: 0.2}}
channels:
  chat: {{payload: chat, history: {{events: 100000, age: 1h}}, presence: true, publish: [client, producer]}}
"""


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


def test_a_node_on_sqlite_that_is_killed_again_and_again_loses_nothing_and_nobody_notices(start: Start) -> None:
    async def scenario() -> None:
        hub = start(CONFIG.format(broker="sqlite:///events.db"))
        async with trial([hub]) as running:
            for _ in range(4):
                await running.more(100)
                await asyncio.to_thread(hub.kill)
                await asyncio.to_thread(hub.start)
                running.faults += 1
            await asyncio.to_thread(hub.restart)
            running.faults += 1
        books = running.books()
        assert books.clean, books
        assert books.gaps == 0, "a restart is no gap where the log survives"

    asyncio.run(scenario())
