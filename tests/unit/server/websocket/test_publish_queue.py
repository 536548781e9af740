"""server/websocket/publish_queue.py: publishes of one connection, in order, in groups, bounded."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog

from eventhub.brokers.memory import MemoryBroker
from eventhub.config.loader import channel_types
from eventhub.config.settings import Settings
from eventhub.errors import BrokerUnavailable, EventHubError, IdempotencyConflict
from eventhub.events.event import Earliest, Event, NewEvent, Receipt
from eventhub.hub.hub import Hub
from eventhub.observability.metrics import Metrics
from eventhub.observability.tracing import GuardedTracing
from eventhub.server.websocket.publish_queue import BACKLOG, PublishQueue
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


def test_a_publish_is_stored_and_answered_with_its_receipt() -> None:
    async def scenario(publisher: Publisher) -> None:
        assert publisher.add(7) is True
        assert publisher.answers == [], "not before it is stored"
        await publisher.until(1)
        ((ref, channel, outcome),) = publisher.answers
        assert (ref, channel) == (7, "chat.a")
        assert isinstance(outcome, Receipt)
        piece = await publisher.broker.history("chat.a", Earliest(), 10)
        assert [event.position for event in piece.events] == [outcome.position]

    run(scenario)


def test_publishes_are_stored_and_answered_in_order_over_batches() -> None:
    async def scenario(publisher: Publisher) -> None:
        for ref in range(10):
            publisher.add(ref)
            if ref % 3 == 0:
                await asyncio.sleep(0)
        await publisher.until(10)
        assert publisher.refs == list(range(10))
        piece = await publisher.broker.history("chat.a", Earliest(), 100)
        assert [event.data for event in piece.events] == [b"%d" % ref for ref in range(10)]

    run(scenario)


def test_events_that_come_during_a_publish_are_one_batch() -> None:
    async def scenario(publisher: Publisher) -> None:
        publisher.broker.gate.clear()
        publisher.add(0)
        await publisher.broker.waiting.wait()
        for ref in range(1, 6):
            publisher.add(ref)
        assert publisher.broker.groups == [1], (
            "never two at a time: they could overtake one another"
        )
        publisher.broker.gate.set()
        await publisher.until(6)
        assert publisher.broker.groups == [1, 5]
        assert publisher.refs == list(range(6))

    run(scenario)


def test_events_that_come_together_are_one_batch() -> None:
    async def scenario(publisher: Publisher) -> None:
        for ref in range(5):
            publisher.add(ref)
        await publisher.until(5)
        assert publisher.broker.groups == [5]

    run(scenario)


def test_after_everything_is_answered_it_begins_again() -> None:
    async def scenario(publisher: Publisher) -> None:
        for ref in range(3):
            publisher.add(ref)
            await publisher.until(ref + 1)
        assert publisher.broker.groups == [1, 1, 1]
        assert publisher.refs == [0, 1, 2]

    run(scenario)


def test_a_full_queue_takes_no_more_until_some_are_published() -> None:
    async def scenario(publisher: Publisher) -> None:
        publisher.broker.gate.clear()
        publisher.add(0)
        await publisher.broker.waiting.wait()
        assert [publisher.add(ref) for ref in range(1, BACKLOG)] == [True] * (BACKLOG - 1)
        assert publisher.submissions.roomy
        assert publisher.add(BACKLOG) is False
        assert not publisher.submissions.roomy
        assert publisher.add(BACKLOG + 1) is False, "what was read already is not lost"
        publisher.broker.gate.set()
        await publisher.until(BACKLOG + 2)
        assert publisher.submissions.roomy
        assert publisher.refs == list(range(BACKLOG + 2))

    run(scenario)


def test_there_is_room_again_when_an_answer_comes() -> None:
    async def scenario(publisher: Publisher) -> None:
        seen: list[bool] = []
        done = asyncio.Event()

        def answer(ref: Ref, channel: str, outcome: Receipt | EventHubError) -> None:
            seen.append(submissions.roomy)
            if ref == BACKLOG:
                done.set()

        submissions = PublishQueue(publisher.hub, answer, publisher.failed.append, "session")
        for ref in range(BACKLOG + 1):
            submissions.add(ref, NewEvent("chat.a", b"1", 0))
        assert not submissions.roomy
        await done.wait()
        assert seen == [True] * (BACKLOG + 1)

    run(scenario)


def test_a_refused_event_is_answered_in_order() -> None:
    async def scenario(publisher: Publisher) -> None:
        publisher.add(1, key="k")
        publisher.add(2, key="k")
        publisher.add(3)
        await publisher.until(3)
        assert publisher.refs == [1, 2, 3]
        assert publisher.codes == ["stored", IdempotencyConflict.code, "stored"]

    run(scenario)


@pytest.mark.parametrize("closing", [True, False])
def test_an_error_of_the_whole_batch_is_the_answer_to_each(closing: bool) -> None:  # noqa: FBT001  # a parameter
    async def scenario(publisher: Publisher) -> None:
        publisher.hub.closing = closing
        publisher.broker.fault = BrokerUnavailable("away")
        for ref in range(4):
            publisher.add(ref)
        await publisher.until(4)
        assert publisher.refs == list(range(4))
        assert publisher.codes == ["shutting_down" if closing else "broker_unavailable"] * 4

    run(scenario)


def test_after_an_error_the_next_are_stored() -> None:
    async def scenario(publisher: Publisher) -> None:
        publisher.broker.fault = BrokerUnavailable("away")
        publisher.add(1)
        await publisher.until(1)
        publisher.broker.fault = None
        publisher.add(2)
        await publisher.until(2)
        assert publisher.codes == ["broker_unavailable", "stored"]

    run(scenario)


def test_an_event_that_is_added_by_an_answer_is_published_too() -> None:
    async def scenario(publisher: Publisher) -> None:
        done = asyncio.Event()

        def answer(ref: Ref, channel: str, outcome: Receipt | EventHubError) -> None:
            publisher.answers.append((ref, channel, outcome))
            if ref == 1:
                submissions.add(2, NewEvent("chat.a", b"2", 0))
            else:
                done.set()

        submissions = PublishQueue(publisher.hub, answer, publisher.failed.append, "session")
        submissions.add(1, NewEvent("chat.a", b"1", 0))
        await done.wait()
        assert publisher.refs == [1, 2]

    run(scenario)


class Traced:
    """A publish that is traced, and how it ended."""

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self.attributes = {**attributes, "traceparent": "ours"}
        self.ends: list[str] = []

    def stored(self, begin: int, error: EventHubError | None) -> None:
        assert begin > 0

    def end(self, outcomes: Sequence[Receipt | EventHubError]) -> None:
        self.ends += [
            one.code if isinstance(one, EventHubError) else str(one.position) for one in outcomes
        ]


class EverySecond:
    """Traces every second publish."""

    def __init__(self) -> None:
        self.asked = 0
        self.traced: list[Traced] = []

    def publish(
        self, channel: str, attributes: Mapping[str, str] | None, transport: str
    ) -> Traced | None:
        assert (channel, transport) == ("chat.a", "websocket")
        self.asked += 1
        if self.asked % 2:
            return None
        self.traced.append(Traced(attributes or {}))
        return self.traced[-1]

    def fanned_out(
        self, channel: str, events: Sequence[Event], seconds: float, subscribers: int
    ) -> None: ...


def test_traced_events_of_a_batch_carry_their_context_and_end_with_their_own_outcome() -> None:
    async def scenario(publisher: Publisher) -> None:
        tracing = EverySecond()
        publisher.hub.tracing = GuardedTracing(tracing, publisher.hub.faults)
        for ref in range(4):
            publisher.add(ref)
        await publisher.until(4)
        receipts = [
            str(outcome.position)
            for _, _, outcome in publisher.answers
            if isinstance(outcome, Receipt)
        ]
        assert [traced.ends for traced in tracing.traced] == [[receipts[1]], [receipts[3]]]
        piece = await publisher.broker.history("chat.a", Earliest(), 10)
        assert [event.attributes for event in piece.events] == [None, {"traceparent": "ours"}] * 2

    run(scenario)


@pytest.mark.parametrize(
    ("fault", "code"),
    [(BrokerUnavailable("away"), "broker_unavailable"), (RuntimeError("a bug"), "internal")],
)
def test_a_trace_ends_where_the_broker_fails(fault: Exception, code: str) -> None:
    async def scenario(publisher: Publisher) -> None:
        tracing = EverySecond()
        publisher.hub.tracing = GuardedTracing(tracing, publisher.hub.faults)
        publisher.broker.fault = fault
        publisher.add(0)
        publisher.add(1)
        with structlog.testing.capture_logs() as lines:
            await publisher.until(2)
        assert [traced.ends for traced in tracing.traced] == [[code]]
        assert [(line["where"], line["session"]) for line in lines] == (
            [("publish", "session")] if code == "internal" else []
        )

    run(scenario)
