"""Delivers a channel's events and gaps to one subscriber. `fanout.py` delivers to all live ones."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from eventhub.delivery.counters import DeliveryCounters
from eventhub.delivery.encoding import Encoding, gap_fields, joined
from eventhub.delivery.feed_owner import FeedOwner
from eventhub.delivery.filtering import FilteredEncoding, Selected, select_past
from eventhub.delivery.subscriber import Subscriber
from eventhub.errors import InvalidFilter
from eventhub.events.channel_types import ChannelType
from eventhub.events.event import Event, Gap, HistoryPage, Position
from eventhub.filters.event_filter import FilterFailed


class Unicast:
    """Encodes the messages of one channel for one subscriber at a time, and counts them."""

    __slots__ = ("channel", "channel_type", "counters", "owner")

    def __init__(
        self,
        channel: str,
        channel_type: ChannelType,
        counters: DeliveryCounters,
        owner: FeedOwner[Any],
    ) -> None:
        self.channel = channel
        self.channel_type = channel_type
        self.counters = counters
        self.owner = owner

    def write_events(self, subscriber: Subscriber, events: Sequence[Event]) -> None:
        """Write events in one piece."""
        if events and subscriber.filtered is not None:
            self._write_selected(subscriber, self._selected(subscriber.filtered, events))
        elif events:
            subscriber.writer.write(self._joined(subscriber.writer.encoding, events))
            self.counters.delivered += len(events)

    def write_page(self, subscriber: Subscriber, page: HistoryPage) -> None:
        """Write a page's events. Subscribers that read the same page share its bytes."""
        if page.events and (filtered := subscriber.filtered) is not None:
            found = page.joined(filtered, partial(self._selected, filtered))
            self._write_selected(subscriber, found)
        elif page.events:
            encoding = subscriber.writer.encoding
            subscriber.writer.write(page.joined(encoding, partial(self._joined, encoding)))
            self.counters.delivered += len(page.events)

    def write_passed(self, subscriber: Subscriber, position: Position) -> None:
        """Tell a subscriber with a filter that it stands here."""
        fields = {"channel": self.channel, "position": str(position)}
        encoding = subscriber.writer.encoding
        subscriber.writer.write(encoding.message("position", fields, position))

    def wants(self, encoding: FilteredEncoding, event: Event) -> bool:
        """Whether the filter of a subscriber that lags matches. Also if it takes too long."""
        try:
            return encoding.filter.matches(event)
        except FilterFailed as error:
            self.counters.filter_failures += 1
            if not encoding.notice.told:
                encoding.notice.told = True
                encoding.notice.waiting = encoding.failed(event, error)
            return False
        except InvalidFilter:
            return True  # the connection ends when the event is selected

    def write_notice(self, subscriber: Subscriber) -> None:
        """Tell a subscriber that its filter failed while it lagged."""
        if subscriber.filtered is not None and (data := subscriber.filtered.notice.waiting):
            subscriber.filtered.notice.waiting = b""
            subscriber.writer.write(data)

    def write_gap(self, subscriber: Subscriber, gap: Gap) -> None:
        """Tell one subscriber which events it will not get."""
        subscriber.writer.write(self.gap_message(subscriber.writer.encoding, gap))
        self.counters.gaps[gap.reason] += 1
        self.counters.skipped[self.channel_type.slow] += gap.skipped or 0
        self.owner.missed(self.channel, gap, subscriber, 1)

    def gap_message(self, encoding: Encoding, gap: Gap) -> bytes:
        """The bytes of a `gap` message."""
        return encoding.message("gap", {"channel": self.channel, **gap_fields(gap)}, gap.position)

    def replacement_for(self, encoding: Encoding, event: Event, error: Exception) -> bytes:
        """The gap message that replaces an event which cannot be encoded."""
        self.owner.unwritable(event, error)
        self.counters.gaps["unreadable"] += 1
        after = Position(event.epoch, event.previous)
        before = Position(event.epoch, event.offset + 1)
        return self.gap_message(encoding, Gap(after, before, event.position, "unreadable"))

    def _write_selected(self, subscriber: Subscriber, found: Selected) -> None:
        assert subscriber.filtered is not None
        if found.notice and not subscriber.filtered.notice.told:
            subscriber.filtered.notice.told = True
            subscriber.writer.write(found.notice)
        if found.data:
            subscriber.writer.write(found.data)
        self.counters.delivered += len(found.matched)

    def _selected(self, encoding: FilteredEncoding, events: Sequence[Event]) -> Selected:
        found = select_past(encoding, events, self.replacement_for)
        self.counters.filter_failures += len(found.failed)
        return found

    def _joined(self, encoding: Encoding, events: Iterable[Event]) -> bytes:
        return joined(encoding, events, self.replacement_for)
