"""A cluster on a broker that takes notes, for tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson

from eventhub.common.faults import Faults
from eventhub.common.machine import Machine
from eventhub.delivery.subscriber import Subscriber
from eventhub.events.event import Latest
from eventhub.hub.cluster import Cluster
from tests.harness.wire import Wire

LIST = {"number": 0, "part": 0, "last": True}


class NotedFaults(Faults):
    """Faults that keep what was said about each."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[tuple[str, str, dict[str, object]]] = []

    def note(self, where: str, error: BaseException, **fields: object) -> None:
        self.noted.append((where, type(error).__name__, fields))
        super().note(where, error, **fields)


class Node:
    """A cluster, what it broadcasts and what it does wrong."""

    def __init__(self, name: str = "n1") -> None:
        self.loop = asyncio.get_running_loop()
        self.spent = 0.0
        """Seconds that this process has calculated, which the loop does not notice."""
        self.sent: list[bytes] = []
        self.failure: Exception | None = None
        self.faults = NotedFaults()
        self.failed: list[Subscriber] = []
        self.cluster = Cluster(
            self,  # type: ignore[arg-type]  # as much of a broker as is asked
            lambda subscriber, _: self.failed.append(subscriber),
            self.faults,
            Machine(lambda: self.loop.time() + self.spent, name),
        )

    async def broadcast(self, message: bytes) -> None:
        if self.failure is not None:
            raise self.failure
        self.sent.append(message)

    def hear(self, node: str, **fields: object) -> None:
        """A message about presence from another node."""
        self.cluster.on_message(orjson.dumps({"node": node, **fields}))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Attend and notify meanwhile."""
        tasks = [asyncio.create_task(work()) for work in (self.cluster.attend, self.cluster.notify)]
        try:
            yield tasks[0]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def presence(self) -> list[dict[str, Any]]:
        found, self.sent = list(map(orjson.loads, self.sent)), []
        return found


def subscriber(channel: str = "chat.a", member: str = "", wire: Wire | None = None) -> Subscriber:
    return Subscriber(channel, Latest(), wire or Wire(), lambda *_: None, member, watching=True)
