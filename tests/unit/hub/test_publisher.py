"""What is counted and traced when events are stored, and when they are not."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from eventhub.common.faults import Faults
from eventhub.errors import (
    BrokerUnavailable,
    EventHubError,
    IdempotencyConflict,
    InvalidEvent,
    RateLimited,
)
from eventhub.events.event import NewEvent, NewEvents, Position, Receipt, Receipts
from eventhub.events.refused_event import AGAIN, Received
from eventhub.hub.publisher import Publisher

Results = Sequence[Receipt | EventHubError]


class Broker:
    """A broker with one answer for every call, which takes two seconds."""

    def __init__(self, node: "Node", outcome: Results | Exception) -> None:
        self._node = node
        self._outcome = outcome
        self.asked: list[str] = []

    async def publish(self, events: Sequence[NewEvent]) -> Results:
        self.asked += [event.channel for event in events]
        self._node.now += 2
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    def publish_now(self, event: NewEvent) -> Receipt | EventHubError:
        self._node.now += 2
        assert not isinstance(self._outcome, Exception)
        return self._outcome[0]

    def publish_all_now(self, events: NewEvents) -> Receipts | Sequence[EventHubError]:
        self._node.now += 2
        assert not isinstance(self._outcome, Exception)
        errors = [one for one in self._outcome if isinstance(one, EventHubError)]
        return errors or Receipts("e", 1, len(events.data), 0)


class Metrics:
    """Metrics that take notes. Counting published events may fail."""

    def __init__(self) -> None:
        self.notes: list[tuple[object, ...]] = []
        self.fault: Exception | None = None

    def stored(self, seconds: float) -> None:
        self.notes.append(("stored", seconds))

    def published(self, type_name: str, count: int) -> None:
        if self.fault is not None:
            raise self.fault
        self.notes.append(("published", type_name, count))

    def rejected(self, type_name: str, code: str) -> None:
        self.notes.append(("rejected", type_name, code))

    def refused(self, limit: str) -> None:
        self.notes.append(("refused", limit))

    def answered(self, type_name: str, seconds: float) -> None:
        self.notes.append(("answered", type_name, seconds))


class Models(Faults):
    """Faults that note which channel's model failed."""

    def __init__(self) -> None:
        super().__init__()
        self.models: list[tuple[str, str]] = []

    def note(self, where: str, error: BaseException, **fields: object) -> None:
        assert isinstance(error, Exception), "without it the log says nothing"
        super().note(where, error, **fields)

    def model_failed(self, channel: str, error: BaseException) -> None:
        self.models.append((channel, str(error)))


class Span:
    """A span that notes when an event was stored, or why it was not."""

    def __init__(self) -> None:
        self.outcomes: list[str | None] = []

    def stored(self, begin: int, failure: EventHubError | None) -> None:
        assert begin > 1_700_000_000_000_000_000, "nanoseconds since 1970"
        self.outcomes.append(None if failure is None else failure.code)


class Node:
    """A publisher and what is around it."""

    def __init__(self, outcome: Results | Exception = ()) -> None:
        self.now = 50.0
        self.metrics, self.faults = Metrics(), Models()
        self.broker = Broker(self, outcome)
        self.kept: list[tuple[str, Received]] = []
        self.publisher = Publisher(
            self.broker,  # type: ignore[arg-type]  # as much of a broker as is asked
            self.metrics,  # type: ignore[arg-type]  # the same
            self.faults,
            self.spawn,
            lambda error, received: self.kept.append((error.code, received)),
            clock=lambda: self.now,
        )

    def spawn(
        self, work: Coroutine[Any, Any, None], where: str, failed: Callable[[EventHubError], None]
    ) -> None:
        """As `Tasks.spawn`, but done when it returns."""
        assert where == "publish"
        asyncio.run(self.faults.contained(where, work, failed))

    def publish_now(self, channel: str) -> Receipt | EventHubError:
        return self.publisher.publish_now(NewEvent(channel, b"1", 0))

    def publish_all_now(self, channel: str) -> Receipts | Sequence[EventHubError]:
        return self.publisher.publish_all_now(NewEvents(channel, [b"1", b"2"], 0))

    def publish(self, *channels: str, spans: Sequence[Span] = ()) -> Results:
        events = [NewEvent(channel, b"1", 0) for channel in channels]
        return asyncio.run(self.publisher.publish(events, spans))  # type: ignore[arg-type]  # as much of a span as is asked


def receipt(offset: int, *, replayed: bool = False) -> Receipt:
    return Receipt(Position("e", offset), 0, replayed)


def limited(limit: str) -> EventHubError:
    return RateLimited("too many", retry_after=1).with_limit(limit)


def test_stored_events_are_counted_by_type_and_the_time_is_measured() -> None:
    results = [receipt(1), receipt(2), receipt(3)]
    node = Node(results)
    assert node.publish("chat.a", "logs.x.y", "chat.a") is results
    assert node.metrics.notes == [("stored", 2), ("published", "chat", 2), ("published", "logs", 1)]
    assert node.faults.counts == {}


def test_replayed_events_are_not_counted_again() -> None:
    node = Node([receipt(1, replayed=True), receipt(2)])
    node.publish("chat.a", "chat.a")
    assert node.metrics.notes == [("stored", 2), ("published", "chat", 1)]


def test_rejected_events_are_counted_with_their_code() -> None:
    node = Node([InvalidEvent("unfit"), receipt(1)])
    node.publish("chat.a", "chat.b")
    assert node.metrics.notes == [
        ("stored", 2),
        ("rejected", "chat", "invalid_event"),
        ("published", "chat", 1),
    ]


def test_the_time_of_a_broker_that_is_unavailable_is_measured_too() -> None:
    node = Node(BrokerUnavailable("away"))
    with pytest.raises(BrokerUnavailable):
        node.publish("chat.a")
    assert node.metrics.notes == [("stored", 2)]


def test_an_error_while_counting_does_not_hide_that_the_events_are_stored() -> None:
    results = [receipt(1)]
    node = Node(results)
    node.metrics.fault = ZeroDivisionError("a fault of ours")
    assert node.publish("chat.a") is results
    assert node.faults.counts == {"metrics": 1}


def test_a_result_is_missing_only_by_a_fault_that_is_noted() -> None:
    node = Node([receipt(1)])
    node.publish("chat.a", "chat.a")
    assert node.faults.counts == {"metrics": 1}


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        ([receipt(1)], None),
        (BrokerUnavailable("away"), "broker_unavailable"),
        (ZeroDivisionError("a fault of ours"), "internal"),
    ],
)
def test_every_span_gets_the_outcome(outcome: Results | Exception, code: str | None) -> None:
    node, spans = Node(outcome), [Span(), Span()]
    if isinstance(outcome, Exception):
        with pytest.raises(type(outcome)):
            node.publish("chat.a", spans=spans)
    else:
        assert node.publish("chat.a", spans=spans) is outcome
    assert [span.outcomes for span in spans] == [[code], [code]]
    assert node.broker.asked == ["chat.a"]


def test_a_refusal_is_counted_once_for_its_limit() -> None:
    node = Node()
    error = limited("publish_rate")
    node.publisher.refused(error)
    node.publisher.refused(error)
    node.publisher.refused(limited("publish_rate"))
    node.publisher.refused(InvalidEvent("no limit"))
    assert node.metrics.notes == [("refused", "publish_rate")] * 2


def test_a_rejection_by_a_limit_is_counted_as_both() -> None:
    node = Node()
    node.publisher.rejected("chat.a.b", limited("publish_rate"))
    assert node.metrics.notes == [("rejected", "chat", "rate_limited"), ("refused", "publish_rate")]
    assert node.faults.models == []


def test_the_cause_of_a_rejection_is_a_fault_of_the_model() -> None:
    node = Node()
    error = InvalidEvent("unfit")
    error.__cause__ = ZeroDivisionError("in the model")
    node.publisher.rejected("chat.a", error)
    assert node.faults.models == [("chat.a", "in the model")]
    assert node.faults.counts == {}


def test_an_event_whose_key_was_used_is_kept_unless_it_is_published_again() -> None:
    node = Node((IdempotencyConflict("used"),))
    event = NewEvent("a.x", b"1", 0, {"by": "ana", "refers": "e-1"}, "k", Position("e", 7))
    node.publisher.publish_now(event)
    node.publisher.publish_now(event._replace(key=f"{AGAIN}01"))
    options = {"refers": "e-1", "if_match": "e-7"}
    received = Received("a.x", b"1", "ana", None, "k", event.attributes, options)
    assert node.kept == [("idempotency_conflict", received)]


def test_delays_and_answers_are_counted() -> None:
    node = Node()
    node.publisher.delayed("publish_rate")
    node.publisher.answered("chat.a.b", 0.5)
    assert node.metrics.notes == [("refused", "publish_rate"), ("answered", "chat", 0.5)]


def test_an_event_that_is_stored_at_once_is_counted_and_measured() -> None:
    stored = receipt(1)
    node = Node([stored])
    assert node.publish_now("chat.a.b") is stored
    assert node.metrics.notes == [("stored", 2), ("published", "chat", 1)]


def test_an_event_that_is_replayed_at_once_is_only_measured() -> None:
    node = Node([receipt(1, replayed=True)])
    node.publish_now("chat.a")
    assert node.metrics.notes == [("stored", 2)]


def test_an_event_that_is_rejected_at_once_is_counted_with_its_code() -> None:
    error = InvalidEvent("unfit")
    node = Node([error])
    assert node.publish_now("chat.a") is error
    assert node.metrics.notes == [("stored", 2), ("rejected", "chat", "invalid_event")]


def test_an_error_while_counting_an_event_that_is_stored_at_once_is_noted() -> None:
    stored = receipt(1)
    node = Node([stored])
    node.metrics.fault = ZeroDivisionError("a fault of ours")
    assert node.publish_now("chat.a") is stored
    assert node.faults.counts == {"metrics": 1}


def test_an_array_that_is_stored_at_once_is_counted_and_measured() -> None:
    node = Node()
    assert node.publish_all_now("chat.a.b") == Receipts("e", 1, 2, 0)
    assert node.metrics.notes == [("stored", 2), ("published", "chat", 2)]


def test_each_event_of_an_array_that_is_rejected_at_once_is_counted() -> None:
    errors = [limited("channels"), limited("channels")]
    node = Node(errors)
    assert node.publish_all_now("chat.a.b") == errors
    refused = [("rejected", "chat", "rate_limited"), ("refused", "channels")]
    assert node.metrics.notes == [("stored", 2), *refused, *refused]


def test_an_error_while_counting_an_array_that_is_stored_at_once_is_noted() -> None:
    node = Node()
    node.metrics.fault = ZeroDivisionError("a fault of ours")
    assert node.publish_all_now("chat.a") == Receipts("e", 1, 2, 0)
    assert node.faults.counts == {"metrics": 1}
