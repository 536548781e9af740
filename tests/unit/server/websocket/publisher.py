"""A connection that publishes on a hub whose broker stores when it is let, for tests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from eventhub.brokers.memory import MemoryBroker
from eventhub.config.loader import channel_types
from eventhub.config.settings import Settings
from eventhub.errors import EventHubError
from eventhub.events.event import NewEvent, Receipt
from eventhub.hub.hub import Hub
from eventhub.observability.metrics import Metrics
from eventhub.server.websocket.publish_queue import PublishQueue
from eventhub.session.commands import Ref
from tests.harness.hubs import running

TYPES = channel_types(Settings(), Path())


class GatedBroker(MemoryBroker):
    """A memory broker that stores when it is let, and notes the sizes of the groups it gets."""

    def __init__(self) -> None:
        super().__init__(lambda channel: TYPES.resolve(channel).retention, lambda: 0)
        self.gate = asyncio.Event()
        self.gate.set()
        self.groups: list[int] = []
        self.waiting = asyncio.Event()
        self.fault: Exception | None = None

    async def publish(self, events: Sequence[NewEvent]) -> Sequence[Receipt | EventHubError]:
        self.groups.append(len(events))
        self.waiting.set()
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        return await super().publish(events)


class Publisher:
    """A connection that publishes, and its answers."""

    def __init__(self, hub: Hub, broker: GatedBroker) -> None:
        self.hub = hub
        self.broker = broker
        self.answers: list[tuple[Ref, str, Receipt | EventHubError]] = []
        self.failed: list[EventHubError] = []
        self.submissions = PublishQueue(hub, self.answer, self.failed.append, "session")
        self.answered = asyncio.Event()

    def answer(self, ref: Ref, channel: str, outcome: Receipt | EventHubError) -> None:
        self.answers.append((ref, channel, outcome))
        self.answered.set()

    def add(self, ref: int, key: str | None = None) -> bool:
        return self.submissions.add(ref, NewEvent("chat.a", b"%d" % ref, 0, None, key))

    async def until(self, count: int) -> None:
        """Until so many are answered."""
        while len(self.answers) < count:
            self.answered.clear()
            await self.answered.wait()

    @property
    def refs(self) -> list[Ref]:
        return [ref for ref, _, _ in self.answers]

    @property
    def codes(self) -> list[str]:
        return [
            outcome.code if isinstance(outcome, EventHubError) else "stored"
            for _, _, outcome in self.answers
        ]


@asynccontextmanager
async def connected() -> AsyncIterator[Publisher]:
    broker = GatedBroker()
    hub = Hub(TYPES, broker, Metrics(kind.name for kind in TYPES))
    async with running(hub):
        yield Publisher(hub, broker)


def run(scenario: Callable[[Publisher], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(10), connected() as publisher:
            await scenario(publisher)

    asyncio.run(main())
