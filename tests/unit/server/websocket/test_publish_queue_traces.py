"""server/websocket/publish_queue.py: the traces of events that one client publishes."""

from collections.abc import Mapping, Sequence

import pytest
import structlog

from eventhub.errors import BrokerUnavailable, EventHubError
from eventhub.events.event import Earliest, Event, Receipt
from eventhub.observability.tracing import GuardedTracing
from tests.unit.server.websocket.publisher import Publisher, run


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
