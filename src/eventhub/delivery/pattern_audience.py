"""All subscribers of one pattern on this node: which of them gets which event. No I/O.

A subscriber is in one of these states:

State    It stands                                     Next
waiting  nowhere: the pattern's channels are not known  apart, when all feeds have opened
apart    where its part does, in channels with a part;  live, when it needs no part any more
         at the feed's `delivered` in all other ones    and its writer has room
live     at `delivered` of every feed                   apart, when its writer is full

1. The events of all feeds go into one fan-out for the live subscribers. So each event is encoded
   once, and the events of a tick are one write, whatever channels they are of.
2. A part (pattern_subscriber.py) is an ordinary subscriber of one feed. It catches up, lags, and is
   told of gaps, as the feed's own subscribers are.
3. A subscriber that is apart gets a part in each channel where it begins in the past (`todo`), and
   in every other channel when that channel is about to deliver something. Such a part is live at
   once, or lags if the writer is full.
4. A part that has caught up leaves: the subscriber stands at `delivered` again.
5. When all parts that are left are live, they are settled, and the subscriber turns live in the
   same step. So it gets each event once, from a part or from the audience.
"""

from collections.abc import Iterable, Iterator, Mapping

from eventhub.common.channel_pattern import ChannelPattern
from eventhub.delivery.apart import ApartSubscribers
from eventhub.delivery.audience_owner import AudienceOwner
from eventhub.delivery.counters import DeliveryCounters
from eventhub.delivery.encoding import Encoding, Joined, gap_fields, joined
from eventhub.delivery.fanout import Fanout
from eventhub.delivery.feed import Feed
from eventhub.delivery.filtering import Selected
from eventhub.delivery.pattern_subscriber import Begins, PatternSubscriber
from eventhub.delivery.shared_cursors import CursorWriter, SharedCursors, positions_fields
from eventhub.delivery.subscriber import SubscriberState
from eventhub.delivery.waiting import WaitingSubscribers
from eventhub.errors import EventHubError
from eventhub.events.event import LATEST, Event, Gap, Latest, Since
from eventhub.events.signal import Signal


class PatternAudience:
    """The subscribers of a pattern, and the feeds of the channels that fit it."""

    def __init__(
        self,
        pattern: ChannelPattern,
        counters: Mapping[str, DeliveryCounters],
        owner: AudienceOwner["PatternAudience"],
        encode: Joined = joined,
    ) -> None:
        self.pattern = pattern
        self.channel = pattern.text
        """Names the audience where feeds are named by their channels."""
        self.live = Fanout(DeliveryCounters(), self, encode)
        self.feeds: dict[str, Feed] = {}
        self._counters = counters
        self._owner = owner
        self._behind: dict[Feed, None] = {}
        self._waiting = WaitingSubscribers(self._begin, owner.soon)
        self._apart = ApartSubscribers(self.feeds, self._turn_live, self._fail)
        self._cursors = SharedCursors(self.live, self.positions)

    def __len__(self) -> int:
        not_live = len(self._waiting.subscribers) + len(self._apart.subscribers)
        return not_live + len(self.live)

    @property
    def subscribers(self) -> list[PatternSubscriber]:
        """All subscribers, in any state."""
        return [*self._waiting.subscribers, *self._apart.subscribers, *self.live.keys()]

    @property
    def ready(self) -> bool:
        """Every channel that had events when the audience was made has an open feed."""
        return self._waiting.ready

    # Input: the channels

    def attach(self, feed: Feed) -> None:
        """Take the events of a channel that fits."""
        self.feeds[feed.channel] = feed
        feed.attach((*feed.audiences, self))
        if feed.continuity.delivered is None:
            self._waiting.opening.add(feed)

    def detach(self, feed: Feed) -> None:
        """Take no more events of a channel."""
        del self.feeds[feed.channel]
        feed.attach(audience for audience in feed.audiences if audience is not self)
        self._behind.pop(feed, None)
        self._waiting.opening.discard(feed)
        self._go_on(feed)

    def needs(self, feed: Feed) -> bool:
        """Whether the feed may not be detached: a subscriber is about to begin there."""
        return self._apart.needs(feed) or bool(self._waiting.subscribers) or self.live.due

    def listed(self) -> None:
        """Every channel that had events has been attached."""
        self._waiting.listed = True
        self._waiting.advance()

    def opened(self, feed: Feed) -> None:
        self._waiting.opening.discard(feed)
        self._apart.opened(feed)
        self._waiting.advance()

    def give_up(self, feed: Feed, error: EventHubError) -> None:
        self.fail_all(error)
        self.detach(feed)

    # Input: what the feeds deliver

    @property
    def has_room(self) -> bool:
        return self.live.has_room

    def deliver(self, feed: Feed, event: Event) -> None:
        """Audience: a feed is about to deliver an event."""
        if self._apart.subscribers:
            self._apart.about_to_deliver(feed)
        if self.live:
            idle = not self.live.due
            self.live.push(event)
            self._counters[feed.channel_type.name].delivered += self.live.unfiltered
            if idle:
                self._owner.has_writes(self)

    def signal(self, signal: Signal, counters: DeliveryCounters) -> None:
        """Audience: give a signal to the live subscribers."""
        if self.live.signal(signal, counters):
            self._owner.has_writes(self)

    def deliver_gap(self, feed: Feed, gap: Gap) -> int:
        """Audience: a feed is about to deliver a gap."""
        self._apart.about_to_deliver(feed)
        idle = not self.live.due
        fields = {"channel": feed.channel, **gap_fields(gap)}
        readers = self.live.broadcast(lambda each: each.message("gap", fields, gap.position))
        if readers and idle:
            self._owner.has_writes(self)
        return readers

    def fell_behind(self, feed: Feed) -> None:
        self._behind[feed] = None

    def flushed(self) -> None:
        """Some of the queue of the live subscribers has been written."""
        while self._behind and self.live.has_room:
            feed = next(iter(self._behind))
            del self._behind[feed]
            self._go_on(feed)

    # Input: subscribers

    def join(self, subscriber: PatternSubscriber) -> None:
        """Serve a new subscriber."""
        self._waiting.add(subscriber)

    def expect(self, subscriber: PatternSubscriber) -> None:
        """A subscriber will join when the channels that it names have feeds, unless it leaves."""
        self._waiting.expect(subscriber)

    def leave(self, subscriber: PatternSubscriber) -> None:
        """Write nothing more to a subscriber. It may have left already."""
        subscriber.state = SubscriberState.GONE
        self._waiting.discard(subscriber)
        self._apart.discard(subscriber)
        self.live.remove(subscriber, self._encoding(subscriber))

    def congested(self, subscriber: PatternSubscriber) -> None:
        """A subscriber's writer is full."""
        if subscriber.state is SubscriberState.LIVE:
            self.live.settle(subscriber, self._encoding(subscriber))
        if subscriber.state is SubscriberState.LIVE:  # the writes of `settle` did not fail
            self._cursors.place(subscriber.writer, subscriber.filtered)
            self.live.remove(subscriber, self._encoding(subscriber))
            subscriber.state = SubscriberState.LAGGING
            self._apart.add(subscriber)
        else:
            self._apart.congested(subscriber)

    def drained(self, subscriber: PatternSubscriber) -> None:
        """A subscriber's writer has room again."""
        self._apart.drained(subscriber)

    def renew_cursors(self, now: float) -> None:
        """Give new cursors to streams whose present ones would expire. `now` is in seconds."""
        idle = not self.live.due
        if self._cursors.renew(now) and idle:
            self._owner.has_writes(self)

    def fail_all(self, error: EventHubError) -> None:
        """Close the connections of all subscribers."""
        for subscriber in self.subscribers:
            self._fail(subscriber, error)

    # Errors of `live`

    def serving_failed(self, subscriber: PatternSubscriber, error: Exception) -> None:
        if subscriber.state is not SubscriberState.GONE:
            self.leave(subscriber)
            self._owner.serving_failed(subscriber, error)

    def replacement_for(self, encoding: Encoding, event: Event, error: Exception) -> bytes:
        return self.feeds[event.channel].replacement_for(encoding, event, error)

    def filtered(self, found: Selected, readers: int) -> None:
        found.add_to(lambda event: self._counters[event.channel.partition(".")[0]], readers)

    # A subscriber's state

    def _begin(self, subscriber: PatternSubscriber) -> int:
        try:
            subscriber.todo = self._starts(subscriber)
            if isinstance(subscriber.begins, Latest):
                self._cursors.place(subscriber.writer, subscriber.filtered)
            self._apart.add(subscriber)
            begun, subscriber.begun = subscriber.begun, None
            assert begun is not None  # a subscription begins once
            begun(subscriber, {"channels": len(self.feeds)})
            if not subscriber.todo:
                self._tell_positions(subscriber)
            self._apart.advance(subscriber)
        except Exception as error:
            self.serving_failed(subscriber, error)
        return len(self.feeds)

    def _starts(self, subscriber: PatternSubscriber) -> dict[str, Since | None]:
        """The channels where a subscriber does not begin at `delivered`. None: with the log."""
        begins = subscriber.begins
        if not isinstance(begins, Mapping):
            return {} if isinstance(begins, Latest) else dict.fromkeys(self.feeds, begins)
        otherwise = begins.otherwise if isinstance(begins, Begins) else None
        found = {channel: begins.get(channel, otherwise) for channel in self.feeds}
        return {
            channel: since
            for channel, since in found.items()
            if since is None or since not in (LATEST, self.feeds[channel].continuity.delivered)
        }

    def _go_on(self, feed: Feed) -> None:
        feed.flushed()
        self._owner.progressed(feed)

    def _turn_live(self, subscriber: PatternSubscriber) -> None:
        try:
            self._go_live(subscriber)
        except Exception as error:
            self.serving_failed(subscriber, error)

    def _go_live(self, subscriber: PatternSubscriber) -> None:
        writer = subscriber.writer
        if self._cursors.place(subscriber.writer, subscriber.filtered):
            writer.write(writer.encoding.message("position", {"channel": self.channel}))
        else:
            self._tell_positions(subscriber)
        subscriber.state = SubscriberState.LIVE
        self.live.add(subscriber, *self._cursors.outlet(writer, subscriber.filtered))
        if subscriber.writer.full:
            self.congested(subscriber)

    def _encoding(self, subscriber: PatternSubscriber) -> Encoding:
        return self._cursors.encoding(subscriber.writer, subscriber.filtered)

    def _fail(self, subscriber: PatternSubscriber, error: EventHubError) -> None:
        self.leave(subscriber)
        self._owner.fail(subscriber, error)

    def _tell_positions(self, subscriber: PatternSubscriber) -> None:
        """Tell a subscriber at `delivered` of every feed where that is, unless it knows."""
        writer, begins = subscriber.writer, subscriber.begins
        if subscriber.has_positions or isinstance(writer, CursorWriter):
            return
        subscriber.has_positions = True
        named = begins if isinstance(begins, Mapping) else {}
        found = [(channel, text) for channel, text in self.positions() if channel not in named]
        for fields in positions_fields(self.channel, found):
            writer.write(writer.encoding.message("positions", fields))

    def by_feed(self, events: Iterable[Event]) -> Iterator[tuple[Feed, list[Event]]]:
        """Events that were delivered, by feed."""
        found: dict[str, list[Event]] = {}
        for event in events:
            found.setdefault(event.channel, []).append(event)
        for channel, own in found.items():
            if (feed := self.feeds.get(channel)) is not None:
                yield feed, own

    def positions(self) -> list[tuple[str, str]]:
        """Where the live subscribers stand: each channel and a position."""
        return [
            (channel, f"{at.epoch}-{at.offset}")  # faster than str, which counts with many channels
            for channel, feed in self.feeds.items()
            if (at := feed.continuity.delivered) is not None
        ]
