"""What the audience of a pattern asks of the hub that owns it."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from eventhub.delivery.feed import Feed
from eventhub.delivery.subscriber import Subscriber
from eventhub.errors import EventHubError

AudienceT = TypeVar("AudienceT", contravariant=True)


class AudienceOwner(Protocol[AudienceT]):
    """The hub, as an audience sees it. Every call returns at once."""

    def has_writes(self, audience: AudienceT) -> None:
        """As `FeedOwner.has_writes`."""
        ...

    def progressed(self, feed: Feed) -> None:
        """The audience has written some of its queue, and the feed may have gone on."""
        ...

    def fail(self, subscriber: Subscriber, error: EventHubError) -> None:
        """As `FeedOwner.fail`."""
        ...

    def serving_failed(self, subscriber: Subscriber, error: Exception) -> None:
        """As `FeedOwner.serving_failed`."""
        ...

    def soon(self, work: Callable[[], None]) -> None:
        """Do something in a later turn of the loop."""
        ...
