"""Subscribes at the broker to the channels that have subscribers on this node.

The channel has   The broker announces it   Next
a feed            no                        subscribe, and open the feed
another feed      yes                       subscribe again, and open the new feed
no feed           yes                       unsubscribe
no feed           no                        done
"""

import asyncio
from collections.abc import Callable
from enum import Enum, auto

import structlog

from eventhub.brokers.base import Broker
from eventhub.delivery.feed import Feed
from eventhub.errors import BrokerUnavailable
from eventhub.events.event import Earliest, Position
from eventhub.hub.tasks import Tasks

RETRY_SECONDS = 0.5
BEGINNING_EVENTS = 256
"""Events in which the beginning of a channel is looked for."""

log = structlog.get_logger("eventhub.hub")


class Birth(Enum):
    """Why a feed begins before the first event that its channel has."""

    CERTAIN = auto()
    """The channel has an event, or had one."""
    POSSIBLE = auto()
    """If the channel has no event, it has had none that anybody misses."""


class Announcements:
    """The channels that the broker announces to this node.

    `feed_of` is the channel's feed, None without subscribers. `failed` gets a channel for which
    subscribing failed unexpectedly.
    """

    def __init__(
        self,
        broker: Broker,
        tasks: Tasks,
        feed_of: Callable[[str], Feed | None],
        failed: Callable[[str], None],
    ) -> None:
        self._broker = broker
        self._tasks = tasks
        self._feed_of = feed_of
        self._failed = failed
        self.channels: set[str] = set()
        self._changing: set[str] = set()
        self._begins: dict[str, Position | Birth] = {}  # where new feeds do not begin with these

    @property
    def settled(self) -> bool:
        """Whether the broker's subscriptions are those of the feeds."""
        return not self._changing

    def update(self, channel: str, begin: Position | Birth | None = None) -> None:
        """The channel's feed has changed. At most one task runs for a channel.

        A new feed begins there, and otherwise with the broker's announcements.
        """
        if begin is not None:
            self._begins[channel] = begin
        if channel not in self._changing:
            self._changing.add(channel)
            self._tasks.spawn(
                self._follow(channel), "announcements", lambda _: self._failed(channel)
            )

    async def _follow(self, channel: str) -> None:
        try:
            opened: Feed | None = None
            while (feed := self._feed_of(channel)) is not opened or (
                feed is None and channel in self.channels
            ):
                try:
                    opened = await self._switch(channel, feed)
                except BrokerUnavailable as error:
                    log.warning("subscribe_unavailable", channel=channel, reason=error.message)
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            self._changing.discard(channel)

    async def _switch(self, channel: str, feed: Feed | None) -> Feed | None:
        if feed is None:
            await self._broker.unsubscribe(channel)
            self.channels.discard(channel)
            return None
        position = await self._broker.subscribe(channel)
        self.channels.add(channel)
        begin = await self._beginning(feed)
        self._begins.pop(channel, None)
        feed.opened(position, begin)  # perhaps without subscribers by now: then it tells nobody
        return feed

    async def _beginning(self, feed: Feed) -> Position | None:
        """Where a feed begins, None for the broker's announcements.

        The channel was born a moment ago. If it may have had more events since than it retains, the
        feed begins with the log: then history says whether some have expired.
        """
        begin = self._begins.get(feed.channel)
        if not isinstance(begin, Birth):
            return begin
        page = await self._broker.history(feed.channel, Earliest(), BEGINNING_EVENTS)
        found, retained = len(page.events), feed.channel_type.retention.events
        complete = found < retained or (found == 0 and begin is Birth.POSSIBLE)
        if complete and page.reached == page.end:
            return page.start
        return Position(page.end.epoch, 0)
