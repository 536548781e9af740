"""brokers/redis/metadata.py: whose metadata are kept from expiring, and how often."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from eventhub.brokers.redis import metadata
from eventhub.brokers.redis.metadata import KEEP_SECONDS, REFRESH_SECONDS, refresh_metadata
from eventhub.brokers.redis.replies import RETRY_SECONDS
from tests.harness.virtual_time import in_virtual_time, turns

NODES = "nodes"


class Channels:
    """Subscribed channels, and which of them were refreshed."""

    def __init__(self, *channels: str) -> None:
        self.wanted: dict[str, Any] = {}
        self.refreshed: list[tuple[str, bool]] = []
        for channel in channels:
            self.add(channel)

    def add(self, channel: str) -> None:
        now = asyncio.get_running_loop().time()
        self.wanted[channel] = SimpleNamespace(channel=channel, began_at=now)

    def refresh(self, channel: str, *, keep: bool) -> None:
        self.refreshed.append((channel, keep))
        if channel == "broken":
            raise ZeroDivisionError

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(refresh_metadata(self.wanted, NODES, self.refresh))
        await turns()
        try:
            yield
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def taken(self) -> list[tuple[str, bool]]:
        found, self.refreshed = self.refreshed, []
        return found


@in_virtual_time
async def test_all_channels_but_that_of_the_nodes_are_refreshed_again_and_again() -> None:
    channels = Channels("a", NODES, "broken", "b")
    async with channels.running():
        await asyncio.sleep(REFRESH_SECONDS - 1)
        assert channels.taken() == []
        await asyncio.sleep(2)
        assert channels.taken() == [("a", False), ("broken", False), ("b", False)]
        channels.add("c")
        del channels.wanted["a"]
        await asyncio.sleep(REFRESH_SECONDS + RETRY_SECONDS)
        assert [channel for channel, _ in channels.taken()] == ["broken", "b", "c"]


@in_virtual_time
async def test_a_channel_that_was_long_subscribed_gets_metadata_if_it_has_none() -> None:
    channels = Channels("old")
    await asyncio.sleep(KEEP_SECONDS - REFRESH_SECONDS)
    channels.add("younger")
    async with channels.running():
        await asyncio.sleep(REFRESH_SECONDS + RETRY_SECONDS)
        assert channels.taken() == [("old", True), ("younger", False)]


@in_virtual_time
async def test_many_channels_are_refreshed_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "REFRESH_CHANNELS", 2)
    channels = Channels("a", "b", "c")
    async with channels.running():
        await asyncio.sleep(REFRESH_SECONDS + RETRY_SECONDS / 2)
        assert len(channels.taken()) == 2
        await asyncio.sleep(RETRY_SECONDS)
        assert len(channels.taken()) == 1
