"""The patterns that have subscribers on this node, and the channels that fit them.

While a pattern has subscribers, each channel that fits it has a feed on this node:

- channels with events, as the broker lists them when the first subscriber comes
- channels that are born later, as the broker tells, or as it lists them after it may have missed a
  birth: their feeds begin before the first event
- channels that a resuming subscriber names, because their events may all have expired
- channels that have a feed for another reason

A channel without events is let go when neither the list nor an event nor a birth named it during
two readings of the list. What was delivered of it has expired by then, so nothing comes twice when
it is born again. (A birth may come before its event, which a type without history would then lose.)
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from functools import partial

import structlog

from eventhub.brokers.base import Broker
from eventhub.common.faults import internal
from eventhub.common.pattern_index import PatternIndex
from eventhub.delivery.feed import Feed
from eventhub.delivery.pattern_audience import PatternAudience
from eventhub.delivery.pattern_subscriber import PatternSubscriber
from eventhub.delivery.shared_encoding import SharedEncoding
from eventhub.errors import (
    BrokerUnavailable,
    EventHubError,
    InvalidChannel,
    TooManySubscriptions,
    UnknownChannel,
)
from eventhub.events.channel_names import parse_pattern
from eventhub.events.channel_types import ChannelTypes
from eventhub.events.event import Position
from eventhub.hub.announcements import Birth
from eventhub.hub.attaching import attach_open_feeds, detach_others, detach_some
from eventhub.hub.covered_channels import CoveredChannels
from eventhub.hub.cursor_journals import CursorJournals
from eventhub.hub.feed_registry import FeedRegistry
from eventhub.hub.naming_subscribers import TURN_CHANNELS, NamingSubscribers
from eventhub.hub.tasks import Tasks
from eventhub.hub.too_wide import TooWide
from eventhub.observability.metrics import Metrics, Reading

LIST_PAGE = 1000
"""Channels in a page of the broker's list."""
LIST_SECONDS = 60.0
"""Between two readings of the broker's list."""
RETRY_SECONDS = 0.5
LEFT = 10_000
"""Channels that were let go whose positions are remembered."""

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
        """Channels with events that one pattern may cover."""
        self.cursors = CursorJournals(broker, tasks)
        self._types = types
        self._broker = broker
        self._feeds = feeds
        self._metrics = metrics
        self._tasks = tasks
        self._audiences: dict[str, PatternAudience] = {}
        self._by_channel = PatternIndex[PatternAudience]()
        self._encoded = SharedEncoding()
        self._covered: dict[PatternAudience, CoveredChannels] = {}
        self._too_wide = TooWide(LIST_SECONDS)
        self._naming = NamingSubscribers(
            tasks, lambda channel: self._cover(channel, Birth.POSSIBLE), feeds.fail
        )
        self._relist: dict[PatternAudience, asyncio.Event] = {}
        """Set when the list must be read again, or the audience is closed."""
        self._missed_births: set[str] = set()
        """Patterns that were there when births may have been missed."""
        self._birth = Birth.POSSIBLE
        """Of the channel whose feed is being opened."""
        self._left: OrderedDict[str, Position] = OrderedDict()
        """Where the audiences stood in channels that were let go, the newest of them."""
        feeds.on_open, feeds.on_unknown_gap = self._opened, self.born
        feeds.audience_failed = self._flush_failed

    def __iter__(self) -> Iterator[PatternAudience]:
        return iter(list(self._audiences.values()))

    async def readings(self) -> AsyncIterator[Reading]:
        """Metrics: the patterns, and how much of the node they use."""
        audiences = self._audiences.values()
        yield "eventhub_patterns", "Patterns with subscribers", {(): len(audiences)}, ()
        subscribers = {(): sum(map(len, audiences))}
        yield "eventhub_pattern_subscribers", "Subscriptions to patterns", subscribers, ()
        widest = {(): max((len(audience.feeds) for audience in audiences), default=0)}
        yield "eventhub_pattern_channels", "Channels of the widest pattern", widest, ()
        limit = {(): self.most_channels}
        yield "eventhub_pattern_channels_limit", "Channels that a pattern may have", limit, ()

    # Subscribers

    def subscribe(self, subscriber: PatternSubscriber) -> None:
        """Serve a subscriber. Raises InvalidChannel, TooManySubscriptions, TooManyChannels."""
        audience = self._audiences.get(subscriber.channel) or self._open(subscriber.channel)
        subscriber.channel = audience.channel  # all subscribers share one string
        try:
            self._naming.join(audience, self._covered[audience], subscriber)
        except EventHubError:
            self._close_if_unused(audience)
            raise

    def leave(self, subscriber: PatternSubscriber) -> None:
        """Write nothing more to a subscriber. The audience goes with its last subscriber."""
        if (audience := self._audiences.get(subscriber.channel)) is not None:
            audience.leave(subscriber)
            self._close_if_unused(audience)

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
            self._missed_births |= self._audiences.keys()
            for relist in self._relist.values():
                relist.set()
            unlisted = [each for each in self._left if not self._is_listed(each)]
        else:
            unlisted = [channel]
        for each in unlisted:
            if self._by_channel.covering(each):
                self._metrics.faults.contain("birth", partial(self._cover, each, Birth.CERTAIN))

    def _is_listed(self, channel: str) -> bool:
        """Whether the list has the channel when it has had an event: its type keeps some."""
        return self._types.resolve(channel).retention.events > 0

    def _opened(self, feed: Feed) -> Position | Birth | None:
        """A feed has been made. Returns where it begins."""
        found = self._by_channel.covering(feed.channel)
        for audience in found:
            audience.attach(feed)
        left = self._left.pop(feed.channel, None)
        if not any(audience.ready for audience in found):
            return None
        missed = any(audience.channel in self._missed_births for audience in found)
        return left or (Birth.CERTAIN if missed else self._birth)

    def _cover(self, channel: str, birth: Birth) -> None:
        """Have a feed for a channel, with every audience that it fits."""
        self._birth = birth
        try:
            feed = self._feeds.open(channel, self._types.resolve(channel))
        except (InvalidChannel, UnknownChannel):  # another node declares its type, not this one
            return
        finally:
            self._birth = Birth.POSSIBLE
        for audience in self._by_channel.covering(channel):
            if channel not in audience.feeds:  # `attach_open_feeds` has not come to it
                audience.attach(feed)
            if birth is Birth.CERTAIN:
                self._count(audience, channel, self._covered[audience].born)

    def _count(self, audience: PatternAudience, channel: str, count: Callable[[str], None]) -> None:
        """A channel of an audience has an event, or had one."""
        try:
            count(channel)
        except TooManySubscriptions as error:
            self._too_wide.add(audience.channel, error)
            self._give_up(audience, error)

    # An audience

    def _open(self, pattern: str) -> PatternAudience:
        parsed = parse_pattern(pattern)
        self._too_wide.check(pattern)
        audience = PatternAudience(
            parsed, self._metrics.counters, self._feeds, self._encoded.joined
        )
        self._audiences[pattern] = audience
        self._covered[audience] = CoveredChannels(pattern, self.most_channels, 2 * LIST_SECONDS)
        self._by_channel.add(parsed, audience)
        relist = self._relist[audience] = asyncio.Event()
        self._tasks.spawn(
            self._follow(audience, relist), "patterns", lambda error: self._give_up(audience, error)
        )
        return audience

    def _close_if_unused(self, audience: PatternAudience) -> None:
        if not audience:
            self._close(audience)

    def _close(self, audience: PatternAudience) -> None:
        del self._audiences[audience.channel], self._covered[audience]
        self._by_channel.discard(audience.pattern)
        self._relist.pop(audience).set()
        self._missed_births.discard(audience.channel)
        detach_some(audience, self._feeds)
        if audience.feeds:
            self._tasks.spawn(detach_others(audience, self._feeds), "patterns", lambda _: None)

    def _flush_failed(self, pattern: str) -> None:
        if (audience := self._audiences.get(pattern)) is not None:
            self._give_up(audience, internal())

    def _give_up(self, audience: PatternAudience, error: EventHubError) -> None:
        audience.fail_all(error)
        if self._serves(audience):
            self._close(audience)

    def _serves(self, audience: PatternAudience) -> bool:
        return self._audiences.get(audience.channel) is audience

    async def _follow(self, audience: PatternAudience, relist: asyncio.Event) -> None:
        """Read the list of channels again and again until the audience is closed."""
        silent: dict[Feed, int] = {}
        await attach_open_feeds(audience, self._feeds, self._serves)
        while self._serves(audience):
            wait = LIST_SECONDS
            relist.clear()
            try:
                silent = await self._list(audience, silent)
            except BrokerUnavailable as error:
                log.warning("list_unavailable", pattern=audience.channel, reason=error.message)
                wait, silent = RETRY_SECONDS, {}
            audience.renew_cursors(asyncio.get_running_loop().time())
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await relist.wait()
                    silent = {}  # it is read at once: an announcement may be under way

    async def _list(self, audience: PatternAudience, silent: dict[Feed, int]) -> dict[Feed, int]:
        """Read the list once. Let go of feeds that are `silent`: not in the list last time, either.

        Their numbers are those of their events. Returns the feeds that are not in the list now.
        """
        absent = {feed: feed.continuity.delivered_count for feed in audience.feeds.values()}
        after: str | None = ""
        opened, covered = 0, self._covered[audience]
        while after is not None:
            page = await self._broker.channels(audience.pattern, after, LIST_PAGE)
            for summary in page.channels:
                if not self._serves(audience):
                    return {}
                if (feed := audience.feeds.get(summary.channel)) is None:
                    self._cover(summary.channel, Birth.CERTAIN)
                    if (opened := opened + 1) % TURN_CHANNELS == 0:
                        await asyncio.sleep(0)
                else:
                    absent.pop(feed, None)
                    self._count(audience, summary.channel, covered.has_event)
            await asyncio.sleep(0)
            after = page.next
        if self._serves(audience):
            for feed, count in silent.items():
                same = absent.get(feed) == count == feed.continuity.delivered_count
                if same and covered.is_silent(feed.channel):
                    self._let_go(feed)
            covered.was_read()
            audience.listed()
        return absent

    def _let_go(self, feed: Feed) -> None:
        """Detach a feed of a channel without events, unless something needs it."""
        position, audiences = feed.continuity.delivered, list(feed.audiences)
        if feed or position is None or not feed.continuity.is_settled:
            return
        if any(audience.needs(feed) for audience in audiences):
            return
        for audience in audiences:
            audience.detach(feed)
        for covered in self._covered.values():
            covered.let_go(feed.channel)
        self._left[feed.channel] = position
        if len(self._left) > LEFT:
            self._left.popitem(last=False)
        self._feeds.close_if_unused(feed)
