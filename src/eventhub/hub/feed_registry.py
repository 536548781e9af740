"""The feeds of this node by channel, and everything that they ask for (`FeedOwner`)."""

import asyncio
from collections.abc import Callable, Iterator
from operator import itemgetter

from eventhub.brokers.base import Broker
from eventhub.common.clock import unix_milliseconds
from eventhub.common.faults import internal
from eventhub.common.sorted_names import SortedNames
from eventhub.delivery.feed import Feed
from eventhub.delivery.pattern_audience import PatternAudience
from eventhub.delivery.subscriber import Subscriber, SubscriptionStart
from eventhub.errors import EventHubError, InvalidFilter
from eventhub.events.channel_types import ChannelType
from eventhub.events.event import Event, Gap, HistoryPage, Position, Start
from eventhub.events.signal import Signal
from eventhub.hub import subscription_log
from eventhub.hub.announcements import Announcements, Birth
from eventhub.hub.backpressure import Backpressure
from eventhub.hub.eviction import EvictionQueue
from eventhub.hub.fanout_schedule import FanoutSchedule
from eventhub.hub.history import Asked, HistoryReader
from eventhub.hub.repairs import Repairs
from eventhub.hub.tasks import Tasks
from eventhub.observability.metrics import Metrics
from eventhub.observability.tracing import GuardedTracing

_TIME = itemgetter(Event._fields.index("time"))  # twice as fast as the name


class FeedRegistry:
    """A feed for each channel with subscribers on this node."""

    def __init__(
        self,
        broker: Broker,
        metrics: Metrics,
        tracing: GuardedTracing | None,
        tasks: Tasks,
        backpressure: Backpressure,
    ) -> None:
        self._metrics = metrics
        self._faults = metrics.faults
        self._tracing = tracing
        self._backpressure = backpressure
        self._feeds: dict[str, Feed] = {}
        self.names = SortedNames(self._feeds)
        self._history = HistoryReader(broker, tasks.spawn, self._give, self._serves, self._lose)
        self._schedule = FanoutSchedule[Feed | PatternAudience](
            self._wrote, self._progressed, self._flush_failed
        )
        self._evictions = EvictionQueue(_soon, self._faults.note)
        self.repairs = Repairs(self._feeds.__contains__, self._resume, self.give_up)
        self.announcements = Announcements(broker, tasks, self._feeds.get, self.give_up)

        self.on_open: Callable[[Feed], Position | Birth | None] = lambda _: None
        """Called with each new feed. Returns where it begins, if earlier than announcements do."""
        self.on_unknown_gap: Callable[[str], None] = lambda _: None
        """Called with a channel that has no feed any more, of which events may be missing."""
        self.audience_failed: Callable[[str], None] = lambda _: None
        """Called with a pattern whose audience cannot be written to."""

    def __iter__(self) -> Iterator[Feed]:
        return iter(list(self._feeds.values()))

    def get(self, channel: str) -> Feed | None:
        """The feed of a channel, None without subscribers."""
        return self._feeds.get(channel)

    # Subscribers

    def open(self, channel: str, channel_type: ChannelType) -> Feed:
        """The feed of a channel. Made, and announced by the broker, when there is none."""
        if (feed := self._feeds.get(channel)) is None:
            feed = Feed(channel, channel_type, self._metrics.counters[channel_type.name], self)
            self._feeds[channel] = feed
            self.names.add(channel)
            self.announcements.update(channel, self.on_open(feed))
        return feed

    def leave(self, subscriber: Subscriber) -> None:
        """Take a subscriber from its feed. The feed goes with its last subscriber."""
        channel = subscriber.channel
        if (feed := self._feeds.get(channel)) is not None:  # None when the feed was given up
            feed.leave(subscriber)
            self.close_if_unused(feed)

    def close_if_unused(self, feed: Feed) -> None:
        """Close a feed that has neither subscribers nor audiences."""
        if not feed and not feed.audiences and self._serves(feed):
            del self._feeds[feed.channel]
            self._closed(feed.channel)

    def stop_eviction(self, subscriber: Subscriber) -> None:
        """The subscriber has left: its connection need not be closed any more."""
        self._evictions.discard(subscriber)

    def give_up(self, channel: str) -> None:
        """Close every connection of a channel that cannot be served.

        Their clients reconnect, and resume at a new feed.
        """
        if (feed := self._feeds.pop(channel, None)) is not None:
            self._closed(channel)
            for audience in feed.audiences:
                audience.give_up(feed, internal())
            for subscriber in feed.subscribers:
                feed.leave(subscriber)
                self._evictions.add(subscriber, internal())

    def _closed(self, channel: str) -> None:
        self._backpressure.caught_up(channel)
        self.announcements.update(channel)

    # Input: the broker and history

    def deliver(self, event: Event) -> None:
        """An announcement. Does not raise."""
        if (feed := self._feeds.get(event.channel)) is not None:
            try:
                feed.deliver(event)
            except Exception as error:
                self._repair(event.channel, error)

    def gap(self, channel: str) -> None:
        """Announcements of a channel may be missing. Does not raise."""
        if (feed := self._feeds.get(channel)) is None:
            self.on_unknown_gap(channel)
            return
        try:
            feed.gap()
        except Exception as error:
            self._repair(channel, error)

    def signal(self, signal: Signal) -> None:
        """A signal, for the live subscribers of its channel and its patterns. Does not raise."""
        if (feed := self._feeds.get(signal.channel)) is not None:
            counters = self._metrics.counters[feed.channel_type.name]
            try:
                for audience in feed.audiences:
                    audience.signal(signal, counters)
                if feed.live.signal(signal, counters):
                    self.has_writes(feed)
            except Exception as error:  # costs nobody more than this signal
                self._faults.note("signal", error, channel=signal.channel)

    def _give(self, asked: Asked, subscriber: Subscriber | None, page: HistoryPage) -> None:
        feed, since, generation = asked
        if self._serves(feed):
            try:
                feed.page(subscriber, since, page, generation)
            except Exception as error:
                self._repair(feed.channel, error)

    def _lose(self, asked: Asked, subscriber: Subscriber | None, error: Exception) -> None:
        """A page cannot be read, and another try would not help: close its readers."""
        feed, since, _ = asked
        self._faults.note("history", error, channel=feed.channel, since=str(since))
        if not self._serves(feed):
            return
        if subscriber is None:
            self.give_up(feed.channel)
        else:
            feed.leave(subscriber)
            self._evictions.add(subscriber, internal())

    def _repair(self, channel: str, error: Exception) -> None:
        """An error costs neither the broker's task nor another channel anything."""
        self._faults.note("channel", error, channel=channel)
        self.repairs.add(channel)

    def _resume(self, channel: str) -> None:
        self.gap(channel)
        feed = self._feeds.get(channel)
        if feed is not None and (feed.live.due or feed.behind):
            self.has_writes(feed)  # the flush that failed had already removed it from the queue

    def _flush_failed(self, channel: str, error: Exception) -> None:
        if channel in self._feeds:
            self._repair(channel, error)
        else:
            self._faults.note("pattern", error, pattern=channel)
            self.audience_failed(channel)

    def _serves(self, feed: Feed) -> bool:
        return self._feeds.get(feed.channel) is feed

    # What feeds ask for (`FeedOwner`)

    def read(
        self,
        feed: Feed,
        subscriber: Subscriber | None,
        since: Start,
        generation: int,
    ) -> None:
        """FeedOwner: read a page of history."""
        self._history.ask((feed, since, generation), subscriber)

    def has_writes(self, feed: Feed | PatternAudience) -> None:
        """FeedOwner, AudienceOwner: write soon."""
        self._schedule.add(feed)

    def fell_behind(self, feed: Feed) -> None:
        """FeedOwner: publishers of this node wait."""
        if self._serves(feed):
            self._backpressure.fell_behind(feed.channel)

    def began(self, subscriber: Subscriber, start: SubscriptionStart) -> None:
        """FeedOwner: log a subscription."""
        subscription_log.began(subscriber, start)

    def missed(self, channel: str, gap: Gap, subscriber: Subscriber | None, readers: int) -> None:
        """FeedOwner: log a gap."""
        subscription_log.missed(channel, gap, subscriber, readers)

    def fail(self, subscriber: Subscriber, error: EventHubError) -> None:
        """FeedOwner: close a connection soon."""
        self._evictions.add(subscriber, error)

    def serving_failed(self, subscriber: Subscriber, error: Exception) -> None:
        """FeedOwner: close a connection soon because of an unexpected error, or of its filter."""
        if isinstance(error, InvalidFilter):
            self.fail(subscriber, error)
            return
        self._faults.note(
            "subscriber", error, session=subscriber.session, channel=subscriber.channel
        )
        self._evictions.add(subscriber, internal())

    def soon(self, work: Callable[[], None]) -> None:
        """AudienceOwner: do something in a later turn of the loop."""
        _soon(work)

    def unwritable(self, event: Event, error: Exception) -> None:
        """FeedOwner: log an event that cannot be encoded."""
        self._faults.note("encoding", error, channel=event.channel, position=str(event.position))

    # Output: what has been written

    def _wrote(self, source: Feed | PatternAudience, events: list[Event], seconds: float) -> None:
        if isinstance(source, PatternAudience):
            for feed, own in source.by_feed(events):
                self._observe(feed, own, seconds, len(source.live))
        else:
            self._observe(source, events, seconds, len(source.live))

    def _observe(self, feed: Feed, events: list[Event], seconds: float, readers: int) -> None:
        now, counts = unix_milliseconds(), dict[int, int]()
        for time in map(_TIME, events):  # those of an array have the same
            counts[time] = counts.get(time, 0) + 1
        latencies = [(max(0, now - time) / 1000, count) for time, count in counts.items()]
        try:
            self._metrics.flushed(feed.channel_type.name, latencies, seconds)
        except Exception as error:
            self._faults.note("metrics", error)
        if self._tracing is not None:
            self._tracing.fanned_out(feed.channel, events, seconds, readers)

    def _progressed(self, source: Feed | PatternAudience) -> None:
        if isinstance(source, Feed):
            self.progressed(source)

    def progressed(self, feed: Feed) -> None:
        """AudienceOwner: publishers go on unless the feed is behind."""
        if self._backpressure and not feed.behind and self._serves(feed):
            self._backpressure.caught_up(feed.channel)


def _soon(work: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(work)
