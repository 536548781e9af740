"""Stores and announces events through the broker, and counts the results."""

import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from eventhub.brokers.base import Broker
from eventhub.common.faults import Faults
from eventhub.delivery.cloudevents import MEDIA_TYPE
from eventhub.errors import EventHubError, IdempotencyConflict, Internal
from eventhub.events.cloudevents import SPECVERSION, json_of
from eventhub.events.event import BY, NewEvent, NewEvents, Receipt, Receipts
from eventhub.events.refused_event import AGAIN, OPTIONS, Received, precondition
from eventhub.events.signal import Signal
from eventhub.observability.metrics import Metrics
from eventhub.observability.tracing import PublishSpan

Told = Callable[[Sequence[Receipt | EventHubError] | Exception], None]
Spawn = Callable[[Coroutine[Any, Any, None], str, Callable[[EventHubError], None]], None]
"""`Tasks.spawn`."""
Keep = Callable[[EventHubError, Received], None]
"""`RefusedEvents.add`."""


class Publisher:
    """Publishes validated events."""

    def __init__(
        self,
        broker: Broker,
        metrics: Metrics,
        faults: Faults,
        spawn: Spawn,
        keep: Keep,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._broker = broker
        self._metrics = metrics
        self._faults = faults
        self._spawn = spawn
        self._keep = keep
        self._clock = clock

    async def publish(
        self, events: Sequence[NewEvent], traces: Sequence[PublishSpan]
    ) -> Sequence[Receipt | EventHubError]:
        """Store and announce events. Returns a result for each. Raises BrokerUnavailable."""
        begin = self._clock()
        try:
            if traces:
                results = await self._store_traced(events, traces)
            else:
                results = await self._broker.publish(events)
        finally:  # a refusal of the broker is an answer, too
            self._metrics.stored(self._clock() - begin)
        try:
            self._count(events, results)
        except Exception as error:  # the events are stored even if counting them fails
            self._faults.note("metrics", error)
        return results

    def publish_now(self, event: NewEvent) -> Receipt | EventHubError:
        """Store and announce an event with a broker that does not wait."""
        assert self._broker.publish_now is not None
        begin = self._clock()
        result = self._broker.publish_now(event)
        try:
            self._metrics.stored(self._clock() - begin)
            if isinstance(result, EventHubError):
                self.rejected(event.channel, result, _received(event, result))
            elif not result.replayed:
                self._metrics.published(event.channel.partition(".")[0], 1)
        except Exception as error:  # the event is stored, whatever the counting does
            self._faults.note("metrics", error)
        return result

    def publish_all_now(self, events: NewEvents) -> Receipts | Sequence[EventHubError]:
        """As `publish_now`, for the events of an array. All are stored, or each has its error."""
        assert self._broker.publish_all_now is not None
        begin = self._clock()
        result = self._broker.publish_all_now(events)
        try:
            self._metrics.stored(self._clock() - begin)
            if isinstance(result, Receipts):
                self._metrics.published(events.channel.partition(".")[0], result.number)
            else:
                for error in result:
                    self.rejected(events.channel, error)
        except Exception as error:  # the events are stored, whatever the counting does
            self._faults.note("metrics", error)
        return result

    def publish_later(self, events: Sequence[NewEvent], done: Told) -> None:
        """As `publish`, and tell `done`. It takes a task only if the broker needs more steps."""
        assert self._broker.publish_later is not None
        begin = self._clock()

        def in_task() -> None:
            self._spawn(self._publish_and_tell(events, done), "publish", done)

        def stored(outcome: Sequence[Receipt | EventHubError] | Exception | None) -> None:
            if outcome is None:
                return in_task()
            try:
                self._metrics.stored(self._clock() - begin)
                if not isinstance(outcome, Exception):
                    self._count(events, outcome)
            except Exception as error:  # the events are stored, whatever the counting does
                self._faults.note("metrics", error)
            self._faults.contain("publish", partial(done, outcome))

        if not self._broker.publish_later(events, stored):
            in_task()

    def signal(self, signal: Signal) -> None:
        """Hand a signal to the broker. Raises BrokerUnavailable."""
        self._broker.signal(signal)
        self._metrics.signalled(signal.channel.partition(".")[0])

    def answered(self, channel: str, seconds: float) -> None:
        """A publish was answered this many seconds after its last byte had arrived."""
        self._metrics.answered(channel.partition(".")[0], seconds)

    def rejected(
        self, channel: str, error: EventHubError, received: Received | None = None
    ) -> None:
        """An event was rejected. When a deployment's own model failed, that is the cause.

        `received`: what may be kept of it, if its principal may publish to the channel.
        """
        self._note_model_fault(channel, error)
        self._metrics.rejected(channel.partition(".")[0], error.code)
        self.refused(error)
        if received is not None:
            self._keep(error, received)

    def signal_rejected(self, channel: str, error: EventHubError) -> None:
        """As `rejected`, for a signal."""
        self._note_model_fault(channel, error)
        self._metrics.signal_rejected(channel.partition(".")[0], error.code)
        self.refused(error)

    def refused(self, error: EventHubError) -> None:
        """Count an error for the limit that caused it, only the first time it is passed on."""
        if error.limit is not None and not error.counted:
            error.counted = True
            self._metrics.refused(error.limit)

    def delayed(self, limit: str) -> None:
        """A limit, one of REFUSING, delayed a client."""
        self._metrics.refused(limit)

    async def _publish_and_tell(self, events: Sequence[NewEvent], done: Told) -> None:
        outcome: Sequence[Receipt | EventHubError] | Exception
        try:
            outcome = await self.publish(events, ())
        except EventHubError as error:
            outcome = error
        done(outcome)

    async def _store_traced(
        self, events: Sequence[NewEvent], traces: Sequence[PublishSpan]
    ) -> Sequence[Receipt | EventHubError]:
        begin = time.time_ns()
        failure: EventHubError | None = None
        try:
            return await self._broker.publish(events)
        except Exception as error:
            failure = Internal("a fault of the server")
            if isinstance(error, EventHubError):
                failure = error
            raise
        finally:
            for trace in traces:
                trace.stored(begin, failure)

    def _note_model_fault(self, channel: str, error: EventHubError) -> None:
        if error.__cause__ is not None:
            self._faults.model_failed(channel, error.__cause__)

    def _count(
        self, events: Sequence[NewEvent], results: Sequence[Receipt | EventHubError]
    ) -> None:
        stored: dict[str, int] = {}
        for event, result in zip(events, results, strict=True):
            if isinstance(result, EventHubError):
                self.rejected(event.channel, result, _received(event, result))
            elif not result.replayed:
                stored[event.channel] = stored.get(event.channel, 0) + 1
        for channel, count in stored.items():
            self._metrics.published(channel.partition(".")[0], count)


def _received(event: NewEvent, error: EventHubError) -> Received | None:
    """What is kept of an event that the broker refuses for its idempotency key."""
    if not isinstance(error, IdempotencyConflict) or (event.key or "").startswith(AGAIN):
        return None
    attributes = event.attributes or {}
    options = {name: attributes[name] for name in OPTIONS if name in attributes}
    options |= precondition(event.expected)
    body, by = event.data, attributes.get(BY)
    if SPECVERSION in attributes:
        body = json_of(attributes, event.data)
        options["content_type"] = MEDIA_TYPE.decode()
    return Received(event.channel, body, by, None, event.key, attributes, options)
