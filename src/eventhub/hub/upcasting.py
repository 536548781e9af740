"""A broker whose events have the version of this node's schemas, however they were stored.

Feeds, pages, filters and states read through it, so all of them see one version.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import structlog

from eventhub.brokers.base import Broker, Deliver, OnBirth, OnGap, OnMessage, OnSignal, OnStored
from eventhub.common.channel_pattern import ChannelPattern
from eventhub.errors import EventHubError
from eventhub.events.channel_types import ChannelType
from eventhub.events.event import (
    ChannelPage,
    Event,
    HistoryPage,
    NewEvent,
    NewEvents,
    Position,
    Receipt,
    Receipts,
    Start,
)
from eventhub.events.signal import Signal
from eventhub.events.upcasting import Upcaster
from eventhub.observability.metrics import Reading

log = structlog.get_logger("eventhub.schemas")


class UpcastingBroker:
    """Passes everything on to a broker, and reads events in the version of this node."""

    def __init__(self, broker: Broker, types: Iterable[ChannelType]) -> None:
        self._broker = broker
        self._not_upcast: Counter[tuple[str, str]] = Counter()
        self._upcasters: Mapping[str, Upcaster] = {
            each.name: Upcaster(each, each.version.upcasts, self._failed)
            for each in types
            if each.version is not None
        }

    async def history(self, channel: str, since: Start, limit: int) -> HistoryPage:
        page = await self._broker.history(channel, since, limit)
        upcaster = self._upcasters.get(channel.partition(".")[0])
        if upcaster is None or not page.events:
            return page
        read = [upcaster.read(event) for event in page.events]
        if all(new is old for new, old in zip(read, page.events, strict=True)):
            return page  # it may be shared, with what was joined of it
        return replace(page, events=read, _joined={})

    async def run(self, deliver: Deliver, gap: OnGap, on_message: OnMessage, born: OnBirth) -> None:
        upcasters = self._upcasters

        def read(event: Event) -> None:
            if (upcaster := upcasters.get(event.channel.partition(".")[0])) is not None:
                event = upcaster.read(event)
            deliver(event)

        await self._broker.run(read, gap, on_message, born)

    async def readings(self) -> AsyncIterator[Reading]:
        """Metrics: events that are shown as they were stored."""
        yield (
            "eventhub_events_not_upcast_total",
            "Events of an older schema that were read as they are stored",
            dict(self._not_upcast),
            ("type", "version"),
        )

    # Passed on

    @property
    def offset_step(self) -> int:
        return self._broker.offset_step

    @property
    def on_signal(self) -> OnSignal:
        """Gets the signals."""
        return self._broker.on_signal

    @on_signal.setter
    def on_signal(self, on_signal: OnSignal) -> None:
        self._broker.on_signal = on_signal

    async def publish(self, events: Sequence[NewEvent]) -> Sequence[Receipt | EventHubError]:
        return await self._broker.publish(events)

    @property
    def publish_now(self) -> Callable[[NewEvent], Receipt | EventHubError] | None:
        return self._broker.publish_now

    @property
    def publish_all_now(
        self,
    ) -> Callable[[NewEvents], Receipts | Sequence[EventHubError]] | None:
        return self._broker.publish_all_now

    @property
    def publish_later(self) -> Callable[[Sequence[NewEvent], OnStored], bool] | None:
        return self._broker.publish_later

    async def channels(self, pattern: ChannelPattern, after: str, limit: int) -> ChannelPage:
        return await self._broker.channels(pattern, after, limit)

    async def subscribe(self, channel: str) -> Position:
        return await self._broker.subscribe(channel)

    async def unsubscribe(self, channel: str) -> None:
        await self._broker.unsubscribe(channel)

    async def broadcast(self, message: bytes) -> None:
        await self._broker.broadcast(message)

    def signal(self, signal: Signal) -> None:
        self._broker.signal(signal)

    def unready(self) -> str | None:
        return self._broker.unready()

    def _failed(self, name: str, version: int, error: BaseException) -> None:
        """Count it, and log the first one of each version: the others have the same reason."""
        self._not_upcast[name, str(version)] += 1
        if self._not_upcast[name, str(version)] == 1:
            log.warning("event_not_upcast", type=name, version=version, reason=type(error).__name__)
