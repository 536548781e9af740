"""Subscribers of a pattern that do not stand at `delivered` of every feed.

The rules are at the top of pattern_audience.py.
"""

from collections.abc import Callable, Mapping

from eventhub.delivery.feed import Feed
from eventhub.delivery.pattern_subscriber import ChannelPart, PatternSubscriber
from eventhub.delivery.subscriber import SubscriberState
from eventhub.errors import SlowConsumer
from eventhub.events.event import LATEST, Since

CHANNELS_AT_ONCE = 16
"""Channels in which one subscriber reads history at a time."""
LAGGING_CHANNELS = 1000
"""Channels in which a subscriber may be behind because its writer is full."""


class ApartSubscribers:
    """The subscribers of one pattern that are apart, and their parts.

    `turn_live` gets each one that stands at `delivered` of every feed. `fail` gets those that are
    behind in too many channels.
    """

    __slots__ = ("_fail", "_feeds", "_turn_live", "subscribers")

    def __init__(
        self,
        feeds: Mapping[str, Feed],
        turn_live: Callable[[PatternSubscriber], None],
        fail: Callable[[PatternSubscriber, SlowConsumer], None],
    ) -> None:
        self._feeds = feeds
        self._turn_live = turn_live
        self._fail = fail
        self.subscribers: dict[PatternSubscriber, None] = {}

    def add(self, subscriber: PatternSubscriber) -> None:
        """A subscriber is apart from now on. It stands at `delivered` outside of its `todo`."""
        self.subscribers[subscriber] = None

    def discard(self, subscriber: PatternSubscriber) -> None:
        """A subscriber has left."""
        self.subscribers.pop(subscriber, None)
        for channel, part in subscriber.parts.items():
            self._feeds[channel].leave(part)
        subscriber.parts.clear()

    def needs(self, feed: Feed) -> bool:
        """Whether a subscriber has a part in a feed, or will have one."""
        return any(
            feed.channel in each.parts or feed.channel in each.todo for each in self.subscribers
        )

    def congested(self, subscriber: PatternSubscriber) -> None:
        """A subscriber's writer is full."""
        for channel, part in list(subscriber.parts.items()):
            self._feeds[channel].congested(part)

    def drained(self, subscriber: PatternSubscriber) -> None:
        """A subscriber's writer has room again."""
        if subscriber not in self.subscribers or subscriber.busy:
            return
        subscriber.busy = True
        for channel, part in list(subscriber.parts.items()):
            if subscriber.writer.full:
                break
            self._feeds[channel].drained(part)
        subscriber.busy = False
        self.advance(subscriber)

    def about_to_deliver(self, feed: Feed) -> None:
        """Whoever is at `delivered` of a feed gets a part there, before that moves."""
        channel = feed.channel
        for subscriber in list(self.subscribers):
            if channel in subscriber.parts or channel in subscriber.todo:
                continue
            if subscriber.writer.full and len(subscriber.parts) >= LAGGING_CHANNELS:
                self._end_slow(subscriber)
            else:
                feed.join_at_delivered(self._new_part(subscriber, channel, LATEST))

    def opened(self, feed: Feed) -> None:
        """A feed has a position."""
        for subscriber in list(self.subscribers):
            if feed.channel in subscriber.todo:
                self.advance(subscriber)

    def advance(self, subscriber: PatternSubscriber) -> None:
        """Begin in further channels. Turn live when nothing is left to do."""
        if subscriber.busy or subscriber.state is SubscriberState.GONE:
            return
        subscriber.busy = True
        self._begin_in_channels(subscriber)
        subscriber.busy = False
        if not (subscriber.todo or subscriber.writer.full):
            self._settle(subscriber)

    def _begin_in_channels(self, subscriber: PatternSubscriber) -> None:
        todo, writer = subscriber.todo, subscriber.writer
        unopened: dict[str, Since | None] = {}
        while todo and len(subscriber.catching_up) < CHANNELS_AT_ONCE and not writer.full:
            channel, since = todo.popitem()
            feed = self._feeds[channel]
            if since is None and (since := feed.continuity.origin) is None:
                unopened[channel] = None
            else:
                subscriber.catching_up.add(channel)
                feed.join(self._new_part(subscriber, channel, since))
        todo |= unopened

    def _new_part(self, subscriber: PatternSubscriber, channel: str, since: Since) -> ChannelPart:
        part = subscriber.parts[channel] = ChannelPart(channel, since, subscriber, self._reached)
        return part

    def _reached(self, part: ChannelPart) -> None:
        """A part has caught up."""
        subscriber = part.whole
        del subscriber.parts[part.channel]
        subscriber.catching_up.discard(part.channel)
        self.advance(subscriber)

    def _settle(self, subscriber: PatternSubscriber) -> None:
        """End the parts that are left, and let the subscriber turn live, if they are all live."""
        parts, encoding = subscriber.parts, subscriber.encoding
        if any(part.state is not SubscriberState.LIVE for part in parts.values()):
            return
        for channel, part in list(parts.items()):
            feed = self._feeds[channel]
            feed.live.settle(part, encoding)
            if part.state is SubscriberState.GONE:  # the writes of `settle` failed
                return
            del parts[channel]
            feed.leave(part)
        del self.subscribers[subscriber]
        self._turn_live(subscriber)

    def _end_slow(self, subscriber: PatternSubscriber) -> None:
        why = (
            f"the connection's outgoing buffer is full, and {LAGGING_CHANNELS} channels of "
            f"{subscriber.channel!r} have more to send; at most that many are kept for it"
        )
        self._fail(subscriber, SlowConsumer(why))
