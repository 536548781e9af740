"""What a feed knows of its audiences: they get its events besides the feed's own subscribers."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

from eventhub.delivery.counters import DeliveryCounters
from eventhub.delivery.fanout import Fanout
from eventhub.errors import EventHubError
from eventhub.events.event import Event, Gap
from eventhub.events.signal import Signal

FeedT = TypeVar("FeedT")
FeedIn = TypeVar("FeedIn", contravariant=True)


class Audience(Protocol[FeedIn]):
    """The live subscribers of a pattern, which stand at `delivered` of each of its feeds."""

    @property
    def has_room(self) -> bool:
        """Whether another event may be delivered."""
        ...

    def opened(self, feed: FeedIn) -> None:
        """The feed has a position."""
        ...

    def deliver(self, feed: FeedIn, event: Event) -> None:
        """The feed is about to deliver this event: `delivered` is still the position before it."""
        ...

    def signal(self, signal: Signal, counters: DeliveryCounters) -> None:
        """Give a signal of one of the channels to the live subscribers."""
        ...

    def deliver_gap(self, feed: FeedIn, gap: Gap) -> int:
        """The feed is about to deliver this gap. Returns how many live subscribers get it."""
        ...

    def fell_behind(self, feed: FeedIn) -> None:
        """The feed waits for room. Call its `flushed` when there is some."""
        ...

    def needs(self, feed: FeedIn) -> bool:
        """Whether the feed may not be detached now."""
        ...

    def detach(self, feed: FeedIn) -> None:
        """Take no more events of the feed."""
        ...

    def give_up(self, feed: FeedIn, error: EventHubError) -> None:
        """The feed ends, and its channel cannot be served: close every subscriber's connection."""
        ...


class Audiences(tuple[Audience[FeedT], ...]):
    """The audiences of one feed."""

    __slots__ = ()

    def opened(self, feed: FeedT) -> None:
        """The feed has a position."""
        for audience in self:
            audience.opened(feed)

    def deliver(self, feed: FeedT, event: Event) -> None:
        """The feed is about to deliver an event."""
        for audience in self:
            audience.deliver(feed, event)

    def deliver_gap(self, feed: FeedT, gap: Gap) -> int:
        """The feed is about to deliver a gap. Returns how many live subscribers get it."""
        return sum([audience.deliver_gap(feed, gap) for audience in self])

    def fell_behind(self, feed: FeedT) -> None:
        """The feed waits for room in all of them."""
        for audience in self:
            if not audience.has_room:
                audience.fell_behind(feed)


class JointRoom:
    """The room of a feed's own subscribers and of its audiences: that of the fullest."""

    __slots__ = ("_audiences", "_live")

    def __init__(self, live: Fanout, audiences: Iterable[Audience[FeedT]]) -> None:
        self._live = live
        self._audiences = audiences

    @property
    def has_room(self) -> bool:
        """Whether another event may be delivered to all."""
        return self._live.has_room and all(audience.has_room for audience in self._audiences)
