"""What a feed asks of the hub that owns it."""

from typing import Protocol, TypeVar

from eventhub.delivery.subscriber import Subscriber, SubscriptionStart
from eventhub.errors import EventHubError
from eventhub.events.event import Event, Gap, Start

FeedT = TypeVar("FeedT", contravariant=True)


class FeedOwner(Protocol[FeedT]):
    """The hub, as a feed sees it. Every call returns at once."""

    def read(
        self,
        feed: FeedT,
        subscriber: Subscriber | None,
        since: Start,
        generation: int,
    ) -> None:
        """Read a page of history and pass it to `feed.page` with the same arguments.

        Never from inside this call. `subscriber` is None when the page is for the live subscribers.
        """
        ...

    def has_writes(self, feed: FeedT) -> None:
        """Events are queued for the live subscribers.

        From the end of this tick on, call `feed.live.advance` until it returns 0, and
        `feed.flushed` after each call.
        """
        ...

    def fell_behind(self, feed: FeedT) -> None:
        """The queue of the live subscribers is full. It has room again when `behind` is false."""
        ...

    def began(self, subscriber: Subscriber, start: SubscriptionStart) -> None:
        """A subscription begins. The subscriber is told next."""
        ...

    def missed(self, channel: str, gap: Gap, subscriber: Subscriber | None, readers: int) -> None:
        """A gap was sent to one subscriber, or to all live ones when `subscriber` is None."""
        ...

    def fail(self, subscriber: Subscriber, error: EventHubError) -> None:
        """Close the connection of a subscriber that has left the feed, unless it closes first.

        Never from inside this call.
        """
        ...

    def serving_failed(self, subscriber: Subscriber, error: Exception) -> None:
        """Close the connection because of an unexpected error, or of its filter. Does not raise."""
        ...

    def unwritable(self, event: Event, error: Exception) -> None:
        """An event could not be encoded. Does not raise."""
        ...
