"""What a hub tells metrics."""

import asyncio
from collections.abc import AsyncIterator

from eventhub.brokers.base import Broker
from eventhub.events.channel_types import ChannelTypes
from eventhub.filters.registry import Filters
from eventhub.hub.feed_registry import FeedRegistry
from eventhub.observability.metrics import Reading

READ_SLICE = 1000
"""Feeds that metrics look at in one turn of the loop."""


async def readings(
    broker: Broker, types: ChannelTypes, feeds: FeedRegistry, filters: Filters
) -> AsyncIterator[Reading]:
    """Metrics: whether the broker is up, channels and subscriptions by channel type."""
    yield (
        "eventhub_broker_up",
        "Whether the broker can be used",
        {(): broker.unready() is None},
        (),
    )
    yield "eventhub_filters", "Filters in use", {(): len(filters)}, ()
    yield "eventhub_filters_limit", "Filters that may be in use", {(): filters.most}, ()
    channels = {(channel_type.name,): 0 for channel_type in types}
    subscriptions = dict(channels)
    for number, feed in enumerate(feeds, 1):
        channels[(feed.channel_type.name,)] += 1
        subscriptions[(feed.channel_type.name,)] += len(feed)
        if number % READ_SLICE == 0:
            await asyncio.sleep(0)
    yield "eventhub_channels", "Channels with subscribers on this node", channels, ("type",)
    yield "eventhub_subscriptions", "Subscriptions on this node", subscriptions, ("type",)
