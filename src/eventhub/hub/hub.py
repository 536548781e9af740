"""The hub of one process: publish, subscribe, presence. Knows writers and brokers, not sockets."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

from eventhub.brokers.base import Broker
from eventhub.common.channel_pattern import ChannelPattern
from eventhub.common.clock import unix_milliseconds
from eventhub.common.machine import Machine
from eventhub.delivery.pattern_subscriber import PatternSubscriber
from eventhub.delivery.subscriber import Subscriber
from eventhub.errors import EventHubError, ShuttingDown
from eventhub.events.channel_types import ChannelTypes
from eventhub.events.event import (
    ChannelPage,
    EventCount,
    HistoryPage,
    NewEvent,
    NewEvents,
    Receipt,
    Receipts,
    Start,
)
from eventhub.events.signal import Signal
from eventhub.filters.registry import Filters
from eventhub.hub import subscription_log
from eventhub.hub.backpressure import Backpressure
from eventhub.hub.cluster import Cluster
from eventhub.hub.counting import count_events
from eventhub.hub.feed_registry import FeedRegistry
from eventhub.hub.patterns import Patterns
from eventhub.hub.publisher import Publisher, Told
from eventhub.hub.readings import readings
from eventhub.hub.references import ReferringPublisher
from eventhub.hub.refused_events import RefusedEvents
from eventhub.hub.schema_versions import SchemaVersions
from eventhub.hub.selection_pages import SelectionPages
from eventhub.hub.tasks import Tasks
from eventhub.observability.metrics import Metrics, Reading
from eventhub.observability.tracing import GuardedTracing, PublishSpan, Tracing


class Hub:
    """Everything that sessions and requests ask of this node. `run` must be running."""

    def __init__(
        self,
        types: ChannelTypes,
        broker: Broker,
        metrics: Metrics,
        tracing: Tracing | None = None,
        machine: Machine | None = None,
    ) -> None:
        machine = machine or Machine()
        self.types = types
        self.metrics, self.faults = metrics, metrics.faults
        self.tracing = None if tracing is None else GuardedTracing(tracing, self.faults)
        self._broker = broker
        self._publishes_now = broker.publish_now is not None
        self._publishes_later = broker.publish_later is not None
        self._tasks = Tasks(self.faults)
        self.spawn = self._tasks.spawn
        self.backpressure = Backpressure()
        self.refused_events = kept = RefusedEvents(types, broker, self.spawn, self.faults, self.now)
        self.publisher = Publisher(broker, metrics, self.faults, self.spawn, kept.add)
        self.answered, self.delayed = self.publisher.answered, self.publisher.delayed
        self.rejected, self.refused = self.publisher.rejected, self.publisher.refused
        self.signal_rejected = self.publisher.signal_rejected
        self.references = ReferringPublisher(self, broker.offset_step)
        self.feeds = FeedRegistry(broker, metrics, self.tracing, self._tasks, self.backpressure)
        self.filters = Filters()
        self.filter = self.filters.get
        self.patterns = Patterns(types, broker, self.feeds, metrics, self._tasks)
        self.pages = SelectionPages(types, broker)
        self.schemas = SchemaVersions(types, broker, self.now)
        self.nodes = Cluster(broker, self.feeds.serving_failed, self.faults, machine)
        self.started = asyncio.Event()
        self.draining = False
        """About to stop, and not ready: open connections are served, new ones are rejected."""
        self.closing = False
        """All connections are closed, and nothing is stored any more."""

    @property
    def ended(self) -> bool:
        """The hub has ended: this node can serve nobody."""
        return self._tasks.ended

    async def run(self) -> None:
        """Serve until cancelled.

        Only an error of the broker's task ends the hub, and so the node, because nothing can be
        promised without the broker. All other work goes through `spawn`.
        """
        nodes, kept, broker, feeds = self.nodes, self.faults.kept, self._broker, self.feeds
        serving = broker.run(feeds.deliver, feeds.gap, nodes.on_message, self.patterns.born)
        broker.on_signal = feeds.signal
        try:
            async with asyncio.TaskGroup() as group:
                self._tasks.group = group
                group.create_task(serving, name="broker")
                group.create_task(kept("presence", nodes.attend), name="presence")
                group.create_task(kept("watchers", nodes.notify), name="watchers")
                self.started.set()
        finally:
            self._tasks.group = None
            self._tasks.ended = True

    now = staticmethod(unix_milliseconds)

    # Publishing

    async def publish(
        self, events: Sequence[NewEvent], traces: Sequence[PublishSpan] = ()
    ) -> Sequence[Receipt | EventHubError]:
        """Store and announce validated events. Returns a result for each.

        Waits while live subscribers of this node are behind, so that a publisher is no faster than
        the fan-out. `traces` are the spans of the traced events; the caller ends them. Raises
        BrokerUnavailable or ShuttingDown when no event is stored.
        """
        if self.backpressure:
            await self.backpressure.wait(dict.fromkeys(event.channel for event in events))
        if self.closing:
            raise ShuttingDown(
                "this server is about to stop; publish again in a moment, "
                "with the same idempotency key if there is one"
            )
        return await self.publisher.publish(events, traces)

    @property
    def publishes_now(self) -> bool:
        """Whether `publish_now` may be called: the broker does not wait, nor do publishers."""
        return self._publishes_now and not self.backpressure and not self.closing

    @property
    def publishes_later(self) -> bool:
        """Whether `publish_later` may be called: the broker waits, but publishers do not."""
        return self._publishes_later and not self.backpressure and not self.closing

    def publish_now(self, event: NewEvent) -> Receipt | EventHubError:
        """Store and announce a validated event without waiting. Only while `publishes_now`."""
        return self.publisher.publish_now(event)

    def publish_all_now(self, events: NewEvents) -> Receipts | Sequence[EventHubError]:
        """As `publish_now`, for the events of an array: all are stored, or each has its error."""
        return self.publisher.publish_all_now(events)

    def publish_later(self, events: Sequence[NewEvent], done: Told) -> None:
        """Store and announce validated events, mostly without a task. Only while `publishes_later`.

        `done` is called once, in a later turn of the loop: with what `publish` returns or raises.
        """
        self.publisher.publish_later(events, done)

    def signal(self, signal: Signal) -> None:
        """Hand a validated signal to the nodes with subscribers. Waits for nothing, stores nothing.

        Raises BrokerUnavailable, ShuttingDown.
        """
        if self.closing:
            raise ShuttingDown("this server is about to stop; the signal was not sent")
        self.publisher.signal(signal)

    async def history(self, channel: str, since: Start, limit: int) -> HistoryPage:
        """A page of a channel's log. Raises InvalidChannel, UnknownChannel, BrokerUnavailable."""
        self.types.resolve(channel)
        return await self._broker.history(channel, since, limit)

    async def channels(self, pattern: ChannelPattern, after: str, limit: int) -> ChannelPage:
        """Channels of all nodes with events (`Broker.channels`). Raises BrokerUnavailable."""
        return await self._broker.channels(pattern, after, limit)

    def subscribed_channels(
        self, pattern: ChannelPattern, after: str, limit: int
    ) -> tuple[list[tuple[str, int]], str | None]:
        """Channels with subscribers on this node, each with their number; `next` of a NamePage."""
        names, following = self.feeds.names.page(pattern, after, limit)
        return [(name, len(self.feeds.get(name) or ())) for name in names], following

    async def count(self, channel: str, since: Start, most: int) -> EventCount:
        """Count the events after `since`, up to `most`. Raises as `history`."""
        return await count_events(partial(self.history, channel), since, most)

    # Subscribing

    def subscribe(self, subscriber: Subscriber, data: bytes = b"") -> None:
        """Serve a subscriber. Raises InvalidChannel, UnknownChannel, InvalidSince, ShuttingDown."""
        if self.closing:
            raise ShuttingDown("this server is about to stop; connect again in a moment")
        if isinstance(subscriber, PatternSubscriber):
            self.patterns.subscribe(subscriber)
            return
        channel_type = self.types.resolve(subscriber.channel)
        channel_type.check_since(subscriber.since)
        feed = self.feeds.open(subscriber.channel, channel_type)
        subscriber.channel = feed.channel  # all subscribers share one string
        if channel_type.presence:
            self.nodes.join(subscriber, data, self.now())
        feed.join(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Write nothing more to a subscriber. An error in one step is logged and stops no other."""
        for step in (
            subscription_log.ended,
            self._leave,
            self.nodes.unwatch,
            self.feeds.stop_eviction,
            self._leave_presence,
        ):
            try:
                step(subscriber)
            except Exception as error:
                self.faults.note(
                    "unsubscribe", error, session=subscriber.session, channel=subscriber.channel
                )

    def _leave(self, subscriber: Subscriber) -> None:
        if isinstance(subscriber, PatternSubscriber):
            self.patterns.leave(subscriber)
        else:
            self.feeds.leave(subscriber)

    def _leave_presence(self, subscriber: Subscriber) -> None:
        if subscriber.member and self.types.resolve(subscriber.channel).presence:
            self.nodes.leave(subscriber)

    def congested(self, subscriber: Subscriber) -> None:
        """A subscriber's writer is full."""
        if isinstance(subscriber, PatternSubscriber):
            self.patterns.congested(subscriber)
        elif (feed := self.feeds.get(subscriber.channel)) is not None:
            feed.congested(subscriber)

    def drained(self, subscriber: Subscriber) -> None:
        """A subscriber's writer has room again."""
        if isinstance(subscriber, PatternSubscriber):
            self.patterns.drained(subscriber)
        elif (feed := self.feeds.get(subscriber.channel)) is not None:
            feed.drained(subscriber)
        if subscriber.watching:
            self.nodes.drained(subscriber)

    def watch(self, subscriber: Subscriber) -> dict[str, Any]:
        """The members as message fields, or their number. It gets every change from now on."""
        if subscriber.watching == "count":
            return self.nodes.watch_count(subscriber)
        if self.types.resolve(subscriber.channel).presence:
            return self.nodes.watch(subscriber)
        return {"count": 0, "members": []}

    def update_member(self, subscriber: Subscriber, data: bytes, rate: float | None = None) -> None:
        """Replace a member's data (`ChannelAccess`). Raises RateLimited, NotFound."""
        kind = self.types.resolve(subscriber.channel)
        if rate is not None:
            kind.check_presence()
            self.nodes.charge_update(subscriber, rate)
        if kind.presence:
            self.nodes.update(subscriber, data, self.now())

    def members(self, channel: str) -> list[str]:
        """Member ids in order of arrival. Raises InvalidChannel, UnknownChannel."""
        self.types.resolve(channel)
        return self.nodes.members(channel)

    # Status

    def unready(self) -> dict[str, str]:
        """The parts that are not ready, each with the reason."""
        reasons = {}
        if self._tasks.group is None:
            reasons["hub"] = "ended" if self.ended else "not started"
        if self.draining:
            reasons["server"] = "about to stop"
        if reason := self._broker.unready():
            reasons["broker"] = reason
        if reason := self.schemas.unready():
            reasons["schemas"] = reason
        return reasons

    def readings(self) -> AsyncIterator[Reading]:
        """Metrics: whether the broker is up, channels and subscriptions by channel type."""
        return readings(self._broker, self.types, self.feeds, self.filters)
