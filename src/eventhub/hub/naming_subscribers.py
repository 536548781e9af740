"""Subscribers that name channels where a pattern has no feed: these get feeds, in turns."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from eventhub.delivery.pattern_audience import PatternAudience
from eventhub.delivery.pattern_subscriber import PatternSubscriber
from eventhub.delivery.subscriber import SubscriberState
from eventhub.errors import EventHubError
from eventhub.hub.covered_channels import CoveredChannels
from eventhub.hub.tasks import Tasks

TURN_CHANNELS = 100
"""Channels that get a feed in one turn of the loop."""


class NamingSubscribers:
    """Lets subscribers join an audience when the channels that they name have feeds.

    `cover` opens the feed of a channel, unless the channel is invalid. `fail` ends a connection.
    """

    def __init__(
        self,
        tasks: Tasks,
        cover: Callable[[str], None],
        fail: Callable[[PatternSubscriber, EventHubError], None],
    ) -> None:
        self._tasks = tasks
        self._cover = cover
        self._fail = fail

    def join(
        self, audience: PatternAudience, covered: CoveredChannels, subscriber: PatternSubscriber
    ) -> None:
        """Serve a subscriber. Raises TooManySubscriptions, TooManyChannels."""
        named = list[str]()
        if isinstance(subscriber.begins, Mapping):
            named = [channel for channel in subscriber.begins if channel not in audience.feeds]
        covered.name(named)
        if len(named) <= TURN_CHANNELS:
            self._cover_all(audience, covered, named)
            audience.join(subscriber)
            return
        audience.expect(subscriber)
        work = self._join_in_turns(audience, covered, subscriber, named)
        self._tasks.spawn(work, "patterns", partial(self._fail, subscriber))

    async def _join_in_turns(
        self,
        audience: PatternAudience,
        covered: CoveredChannels,
        subscriber: PatternSubscriber,
        named: Sequence[str],
    ) -> None:
        for first in range(0, len(named), TURN_CHANNELS):
            if subscriber.state is SubscriberState.GONE:
                covered.let_go(*(name for name in named[first:] if name not in audience.feeds))
                return
            self._cover_all(audience, covered, named[first : first + TURN_CHANNELS])
            await asyncio.sleep(0)
        if subscriber.state is not SubscriberState.GONE:
            audience.join(subscriber)

    def _cover_all(
        self, audience: PatternAudience, covered: CoveredChannels, named: Sequence[str]
    ) -> None:
        for channel in named:
            self._cover(channel)
            if channel not in audience.feeds:
                covered.let_go(channel)
