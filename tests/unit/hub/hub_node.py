"""A running hub on a memory broker, for tests."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from eventhub.brokers.memory import MemoryBroker
from eventhub.common.faults import internal
from eventhub.delivery.encoding import LINES
from eventhub.delivery.subscriber import Subscriber, SubscriptionStart
from eventhub.errors import (
    BrokerUnavailable,
    EventHubError,
)
from eventhub.events.channel_types import (
    ChannelType,
    ChannelTypes,
    PublisherKind,
    Retention,
    SlowReaderPolicy,
)
from eventhub.events.event import (
    HistoryPage,
    Latest,
    NewEvent,
    Position,
    Receipt,
    Since,
    Start,
)
from eventhub.events.schema import AnySchema
from eventhub.hub.hub import Hub
from eventhub.observability.metrics import Metrics
from eventhub.observability.tracing import Tracing
from tests.harness.eventually import in_turns
from tests.harness.hubs import running
from tests.harness.wire import Wire


class Owned(Wire):
    """A writer whose owner leaves as soon as it fails, as connections do."""

    def __init__(self, node: "Node") -> None:
        super().__init__()
        self.node = node
        self.subscribers: list[Subscriber] = []
        self.on_fail = self._leave

    def abort(self) -> None:
        self.fail(internal())

    def _leave(self) -> None:
        for subscriber in self.subscribers:
            self.node.hub.unsubscribe(subscriber)


class Flaky(MemoryBroker):
    """A memory broker that is away for its first calls."""

    away = 0
    trouble: str | None = None
    fault: Exception | None = None
    """Raised by the calls that `away` does not concern."""
    asked = subscribed = 0
    """Slices that were read, and calls of subscribe."""

    async def subscribe(self, channel: str) -> Position:
        self._try()
        self.subscribed += 1
        return await super().subscribe(channel)

    async def history(self, channel: str, since: Start, limit: int) -> HistoryPage:
        self._try()
        self.asked += 1
        await asyncio.sleep(0)  # as over a network
        return await super().history(channel, since, limit)

    def unready(self) -> str | None:
        return self.trouble

    def _try(self) -> None:
        if self.away:
            self.away -= 1
            raise BrokerUnavailable("away")
        if self.fault is not None:
            raise self.fault


class Node:
    """A running hub on a memory broker."""

    def __init__(self, tracing: Tracing | None = None) -> None:
        def kind(name: str, slow: SlowReaderPolicy) -> ChannelType:
            retention = Retention(10, None)
            return ChannelType(
                name,
                "json",
                AnySchema(),
                retention,
                presence=True,
                slow=slow,
                publish=frozenset(PublisherKind),
            )

        types = ChannelTypes({slow: kind(slow, slow) for slow in SlowReaderPolicy})
        self.broker = Flaky(lambda channel: types.resolve(channel).retention, Hub.now)
        self.metrics = Metrics(kind.name for kind in types)
        self.hub = Hub(types, self.broker, self.metrics, tracing)

    def subscribe(
        self, channel: str, since: Since | None = None, member: str = "", wire: Owned | None = None
    ) -> Owned:
        wire = wire or Owned(self)
        subscriber = Subscriber(channel, since or Latest(), wire, self._started, member)
        self.hub.subscribe(subscriber)
        wire.subscribers.append(subscriber)
        return wire

    async def publish(self, channel: str, *texts: str) -> Sequence[Receipt | EventHubError]:
        return await self.hub.publish(
            [NewEvent(channel, f'"{text}"'.encode(), Hub.now()) for text in texts]
        )

    def _started(self, subscriber: Subscriber, start: SubscriptionStart) -> None:
        subscriber.writer.write(LINES.message("subscribed", start.as_dict()))


def run(scenario: Callable[[Node], Awaitable[None]], tracing: Tracing | None = None) -> None:
    async def main() -> None:
        node = Node(tracing)
        async with asyncio.timeout(60), running(node.hub):
            await scenario(node)

    asyncio.run(main())


async def until(condition: Callable[[], bool]) -> None:
    """Within so many turns of the loop, of which there are enough for its shortest timers."""
    await in_turns("what is asked here", condition, turns=1_000_000)


def fault(*_: object) -> None:
    raise ZeroDivisionError("a fault of ours")
