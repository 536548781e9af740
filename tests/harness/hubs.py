"""A hub that runs while a test needs it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from eventhub.hub.hub import Hub


@asynccontextmanager
async def running(hub: Hub) -> AsyncIterator[None]:
    """It must not end of itself. Subscriptions and publishes need it."""
    task = asyncio.create_task(hub.run())
    await hub.started.wait()
    try:
        yield
        assert not task.done(), "the hub has ended"
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
