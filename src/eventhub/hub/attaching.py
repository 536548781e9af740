"""Attaches the audience of a pattern to feeds, and detaches it, in turns of the event loop."""

import asyncio
from collections.abc import Callable
from itertools import islice

from eventhub.delivery.pattern_audience import PatternAudience
from eventhub.hub.feed_registry import FeedRegistry

TURN_FEEDS = 1000
"""Feeds that are looked at in one turn, to attach those that fit."""
TURN_DETACHED = 100
"""Feeds that are detached in one turn. Most of them close, which takes longer."""


async def attach_open_feeds(
    audience: PatternAudience, feeds: FeedRegistry, serves: Callable[[PatternAudience], bool]
) -> None:
    """Attach an audience to the feeds that exist. One that opens meanwhile attaches itself."""
    if not serves(audience):  # its readers left before this task began
        return
    for number, feed in enumerate(feeds, 1):
        channel = feed.channel
        fits = channel not in audience.feeds and audience.pattern.covers(channel)
        if fits and feeds.get(channel) is feed:  # it may have closed in an earlier turn
            audience.attach(feed)
        if number % TURN_FEEDS == 0:
            await asyncio.sleep(0)
            if not serves(audience):
                return


def detach_some(audience: PatternAudience, feeds: FeedRegistry) -> None:
    """Detach an audience that is closed from some of its feeds, and close those without others."""
    for feed in list(islice(audience.feeds.values(), TURN_DETACHED)):
        audience.detach(feed)
        feeds.close_if_unused(feed)


async def detach_others(audience: PatternAudience, feeds: FeedRegistry) -> None:
    """Detach the feeds that `detach_some` has left."""
    while audience.feeds:
        await asyncio.sleep(0)
        detach_some(audience, feeds)
