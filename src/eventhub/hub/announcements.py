"""Subscribes at the broker to the channels that have subscribers on this node.

The channel has   The broker announces it   Next
a feed            no                        subscribe, and open the feed
another feed      yes                       subscribe again, and open the new feed
no feed           yes                       unsubscribe
no feed           no                        done
"""

import asyncio
from collections.abc import Callable

import structlog

from eventhub.brokers.base import Broker
from eventhub.delivery.feed import Feed
from eventhub.errors import BrokerUnavailable
from eventhub.events.event import Earliest
from eventhub.hub.tasks import Tasks

RETRY_SECONDS = 0.5

log = structlog.get_logger("eventhub.hub")


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
        self._born: set[str] = set()  # their feeds begin before the first event

    @property
    def settled(self) -> bool:
        """Whether the broker's subscriptions are those of the feeds."""
        return not self._changing

    def update(self, channel: str, *, born: bool = False) -> None:
        """The channel's feed has changed. At most one task runs for a channel.

        `born`: the feed begins before the first event that the channel has.
        """
        if born:
            self._born.add(channel)
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
        begin = None
        if channel in self._born:
            begin = (await self._broker.history(channel, Earliest(), 1)).start
            self._born.discard(channel)
        feed.opened(position, begin)  # perhaps without subscribers by now: then it tells nobody
        return feed
