"""The patterns that have subscribers on this node, and the channels that fit them.

While a pattern has subscribers, each channel that fits it has a feed on this node. Channels are
found in the broker's list, when the first subscriber comes and then again and again, and as soon
as a feed opens for another reason. A channel that is found later was born later: its feed begins
before its first event.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress

import structlog

from eventhub.brokers.base import Broker
from eventhub.common.faults import internal
from eventhub.delivery.feed import Feed
from eventhub.delivery.pattern_audience import PatternAudience
from eventhub.delivery.pattern_subscriber import PatternSubscriber
from eventhub.errors import (
    BrokerUnavailable,
    EventHubError,
    InvalidChannel,
    TooManySubscriptions,
    UnknownChannel,
)
from eventhub.events.channel_types import ChannelTypes, parse_pattern
from eventhub.hub.cursor_journals import CursorJournals
from eventhub.hub.feed_registry import FeedRegistry
from eventhub.hub.tasks import Tasks
from eventhub.observability.metrics import Metrics

LIST_PAGE = 1000
"""Channels in a page of the broker's list."""
LIST_SECONDS = 5.0
"""Between two readings of the broker's list, for channels whose birth was missed."""
RETRY_SECONDS = 0.5

log = structlog.get_logger("eventhub.patterns")


class Patterns:
    """An audience for each pattern with subscribers on this node."""

    def __init__(
        self,
        types: ChannelTypes,
        broker: Broker,
        feeds: FeedRegistry,
        metrics: Metrics,
        tasks: Tasks,
    ) -> None:
        self.most_channels = 10_000
        """Channels that one pattern may cover."""
        self.cursors = CursorJournals(broker, tasks)
        self._types = types
        self._broker = broker
        self._feeds = feeds
        self._metrics = metrics
        self._tasks = tasks
        self._audiences: dict[str, PatternAudience] = {}
        self._relist: dict[PatternAudience, asyncio.Event] = {}
        feeds.on_open, feeds.audience_failed = self._opened, self._flush_failed

    def __iter__(self) -> Iterator[PatternAudience]:
        return iter(list(self._audiences.values()))

    # Subscribers

    def subscribe(self, subscriber: PatternSubscriber) -> None:
        """Serve a subscriber. Raises InvalidChannel."""
        audience = self._audiences.get(subscriber.channel) or self._open(subscriber.channel)
        subscriber.channel = audience.channel  # all subscribers share one string
        audience.join(subscriber)

    def leave(self, subscriber: PatternSubscriber) -> None:
        """Write nothing more to a subscriber. The audience goes with its last subscriber."""
        if (audience := self._audiences.get(subscriber.channel)) is not None:
            audience.leave(subscriber)
            if not audience:
                self._close(audience)

    def congested(self, subscriber: PatternSubscriber) -> None:
        """A subscriber's writer is full."""
        if (audience := self._audiences.get(subscriber.channel)) is not None:
            audience.congested(subscriber)

    def drained(self, subscriber: PatternSubscriber) -> None:
        """A subscriber's writer has room again."""
        if (audience := self._audiences.get(subscriber.channel)) is not None:
            audience.drained(subscriber)

    # Channels

    def born(self, channel: str | None) -> None:
        """A channel may have its first event. None: births may have been missed. Does not raise."""
        if channel is None:
            for relist in self._relist.values():
                relist.set()
        elif any(audience.pattern.covers(channel) for audience in self._audiences.values()):
            self._metrics.faults.contain("birth", lambda: self._cover(channel))

    def _opened(self, feed: Feed) -> bool:
        """A feed has been made. Returns whether it begins before its channel's first event."""
        born = False
        for audience in list(self._audiences.values()):
            if audience.pattern.covers(feed.channel):
                born = born or audience.ready
                self._attach(audience, feed)
        return born

    def _attach(self, audience: PatternAudience, feed: Feed) -> None:
        if len(audience.feeds) < self.most_channels:
            audience.attach(feed)
            return
        error = TooManySubscriptions(
            f"the pattern {audience.channel!r} covers more than {self.most_channels} channels; "
            "at most that many are allowed (limits.pattern_channels)"
        ).with_limit("pattern_channels")
        self._give_up(audience, error)

    def _cover(self, channel: str) -> None:
        """Have a feed for a channel. It attaches itself to every audience that it fits."""
        try:
            self._feeds.open(channel, self._types.resolve(channel))
        except (InvalidChannel, UnknownChannel):  # another node declares its type, not this one
            return

    # An audience

    def _open(self, pattern: str) -> PatternAudience:
        parsed = parse_pattern(pattern)
        audience = PatternAudience(parsed, self._metrics.counters, self._feeds)
        self._audiences[pattern] = audience
        self._relist[audience] = asyncio.Event()
        for feed in self._feeds:
            if parsed.covers(feed.channel) and self._serves(audience):
                self._attach(audience, feed)
        self._tasks.spawn(
            self._follow(audience), "patterns", lambda error: self._give_up(audience, error)
        )
        return audience

    def _close(self, audience: PatternAudience) -> None:
        del self._audiences[audience.channel]
        self._relist.pop(audience).set()
        for feed in list(audience.feeds.values()):
            audience.detach(feed)
            self._feeds.close_if_unused(feed)

    def _flush_failed(self, pattern: str) -> None:
        if (audience := self._audiences.get(pattern)) is not None:
            self._give_up(audience, internal())

    def _give_up(self, audience: PatternAudience, error: EventHubError) -> None:
        audience.fail_all(error)
        if self._serves(audience):
            self._close(audience)

    def _serves(self, audience: PatternAudience) -> bool:
        return self._audiences.get(audience.channel) is audience

    async def _follow(self, audience: PatternAudience) -> None:
        """Look for channels until the audience is closed."""
        relist = self._relist[audience]
        while self._serves(audience):
            wait = LIST_SECONDS
            try:
                await self._list(audience)
            except BrokerUnavailable as error:
                log.warning("list_unavailable", pattern=audience.channel, reason=error.message)
                wait = RETRY_SECONDS
            audience.renew_cursors(asyncio.get_running_loop().time())
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await relist.wait()
            relist.clear()

    async def _list(self, audience: PatternAudience) -> None:
        after: str | None = ""
        while after is not None:
            page = await self._broker.channels(audience.pattern, after, LIST_PAGE)
            for summary in page.channels:
                if not self._serves(audience):
                    return
                if summary.channel not in audience.feeds:
                    self._cover(summary.channel)
            after = page.next
        if self._serves(audience):
            audience.listed()
