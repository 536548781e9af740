"""Makes publishers of this node wait while its live subscribers are behind."""

import asyncio
from collections.abc import Iterable


class Backpressure:
    """Channels whose live subscribers have a full queue."""

    def __init__(self) -> None:
        self._behind: dict[str, asyncio.Event] = {}  # set once the channel has caught up

    def __bool__(self) -> bool:
        return bool(self._behind)

    @property
    def channels(self) -> list[str]:
        """The channels that are behind."""
        return list(self._behind)

    def fell_behind(self, channel: str) -> None:
        """From now on publishers to this channel wait."""
        self._behind.setdefault(channel, asyncio.Event())

    def caught_up(self, channel: str) -> None:
        """Let the publishers go on."""
        if (behind := self._behind.pop(channel, None)) is not None:
            behind.set()

    async def wait(self, channels: Iterable[str]) -> None:
        """Return once none of the channels is behind."""
        for channel in channels:
            while (behind := self._behind.get(channel)) is not None:
                await behind.wait()
