"""Keeps the metadata of subscribed channels from expiring.

Without metadata, the next event would look like the first after a loss.
"""

import asyncio
from collections.abc import Mapping
from typing import Protocol

import structlog

from eventhub.brokers.redis.replies import RETRY_SECONDS
from eventhub.brokers.redis.subscriptions import ShardSubscription

REFRESH_SECONDS = 300.0
"""Time between two refreshes."""
KEEP_SECONDS = 6 * 3600.0
"""A channel without events gets metadata after a subscription of this length. Without metadata its
position is known for a day (log.lua).
"""
REFRESH_CHANNELS = 500
"""Channels refreshed before other work gets a turn."""

log = structlog.get_logger("eventhub.brokers.redis")


class Keep(Protocol):
    """Refreshes the metadata of one channel. `keep`: stores them if there are none."""

    def __call__(self, channel: str, *, keep: bool) -> None: ...


async def refresh_metadata(
    wanted: Mapping[str, ShardSubscription], nodes: str, refresh: Keep
) -> None:
    """Refresh the metadata of all channels but `nodes`, again and again, until cancelled."""
    while True:
        await asyncio.sleep(REFRESH_SECONDS)
        oldest = asyncio.get_running_loop().time() - KEEP_SECONDS
        found = [each for channel, each in wanted.items() if channel != nodes]
        for first in range(0, len(found), REFRESH_CHANNELS):
            for subscription in found[first : first + REFRESH_CHANNELS]:
                try:
                    refresh(subscription.channel, keep=subscription.began_at <= oldest)
                except Exception:  # concerns this channel: the others are kept
                    log.exception("redis_channel_not_kept", channel=subscription.channel)
            await asyncio.sleep(RETRY_SECONDS)  # let other work have its turn
