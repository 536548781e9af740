"""A connection manager over a real hub, and open connections that record their calls."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from eventhub.brokers.memory import MemoryBroker
from eventhub.config.loader import channel_types
from eventhub.config.settings import Settings
from eventhub.errors import EventHubError, ShuttingDown
from eventhub.hub.hub import Hub
from eventhub.observability.metrics import Metrics
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.security.authentication import Authentication


def build(**fields: Any) -> ConnectionManager:
    """A connection manager over a real hub, on default settings but for `fields`."""
    configured = Settings(**fields)
    types = channel_types(configured, Path())
    metrics = Metrics(kind.name for kind in types)
    hub = Hub(
        types, MemoryBroker(lambda channel: types.resolve(channel).retention, Hub.now), metrics
    )
    return ConnectionManager(configured, hub, Authentication(configured.auth, Path(), Hub.now))


async def drain(manager: ConnectionManager) -> None:
    """As a node among others does."""
    manager.drain.begin(0)
    await manager.drain.run()


class OpenConnection:
    """An open connection that records its calls."""

    end_reason = "told to"

    def __init__(
        self,
        manager: ConnectionManager,
        transport: str = "websocket",
        size: int = 0,
        on_beat: Callable[[], None] | None = None,
    ) -> None:
        self.transport = transport
        self.size = size
        self.beats = 0
        self.goodbyes: list[ShuttingDown] = []
        self.on_beat = on_beat
        self.manager = manager
        self.leaves = True
        self.told = asyncio.Event()
        self.aborted = False
        manager.opened(
            self, manager.registry.new_identity(manager.authentication.nobody, "192.0.2.1")
        )

    def fail(self, error: EventHubError) -> None:
        self.failed = error

    def abort(self) -> None:
        self.aborted = True

    def buffered(self) -> int:
        return self.size

    def heartbeat(self) -> None:
        self.beats += 1
        if self.on_beat is not None:
            self.on_beat()

    def goodbye(self, error: ShuttingDown) -> None:
        self.goodbyes.append(error)
        self.told.set()
        if self.leaves:
            self.manager.closed(self)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(20):
            await scenario()

    asyncio.run(main())
