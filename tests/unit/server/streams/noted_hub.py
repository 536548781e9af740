"""The hub as sessions see it, for tests of query strings."""

from pathlib import Path
from typing import Any

from eventhub.config.loader import channel_types
from eventhub.config.settings import Settings
from eventhub.delivery.subscriber import Subscriber, SubscriptionStart
from eventhub.errors import EventHubError
from eventhub.events.channel_types import ChannelTypes
from eventhub.events.event import Position, Since
from eventhub.events.refused_event import Received
from eventhub.events.signal import Signal
from eventhub.filters.event_filter import EventFilter
from eventhub.filters.registry import Filters


class Noted:
    """The hub as sessions see it, noting what each subscription asks for."""

    def __init__(self) -> None:
        self.types: ChannelTypes = channel_types(Settings(), Path())
        self.subscriptions: list[tuple[str, Since, str]] = []
        self.data: list[bytes] = []
        self.filters = Filters()

    def filter(self, text: str) -> EventFilter:
        return self.filters.get(text)

    def subscribe(self, subscriber: Subscriber, data: bytes = b"") -> None:
        self.types.resolve(subscriber.channel)
        self.subscriptions.append((subscriber.channel, subscriber.since, subscriber.member))
        self.data.append(data)
        assert subscriber.started is not None
        subscriber.started(
            subscriber, SubscriptionStart(Position("a", 0), Position("a", 0), recovered=True)
        )

    def update_member(
        self, subscriber: Subscriber, data: bytes, rate: float | None = None
    ) -> None: ...

    def unsubscribe(self, subscriber: Subscriber) -> None: ...

    def watch(self, subscriber: Subscriber) -> dict[str, Any]:
        return {}

    def congested(self, subscriber: Subscriber) -> None: ...

    def drained(self, subscriber: Subscriber) -> None: ...

    def signal(self, signal: Signal) -> None: ...

    def signal_rejected(self, channel: str, error: EventHubError) -> None: ...

    def refused(self, error: EventHubError) -> None: ...

    def rejected(
        self, channel: str, error: EventHubError, received: Received | None = None
    ) -> None: ...

    def now(self) -> int:
        return 0
