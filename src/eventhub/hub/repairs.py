"""Repairs channels after an unexpected error: their feeds read what is missing from history.

State     Next
whole     an error: broken
broken    after RETRY_SECONDS, the first REPAIRS times in REPAIRS_SECONDS: repaired
after RETRY_SECONDS, later: given up, its connections close and come back
"""

import asyncio
from collections.abc import Callable

RETRY_SECONDS = 0.5
REPAIRS, REPAIRS_SECONDS = 3, 10.0


class Repairs:
    """The channels that failed. `serves`: the channel has subscribers."""

    def __init__(
        self,
        serves: Callable[[str], bool],
        repair: Callable[[str], None],
        give_up: Callable[[str], None],
    ) -> None:
        self._serves = serves
        self._repair = repair
        self._give_up = give_up
        self._broken: set[str] = set()
        self._tried: dict[str, tuple[float, int]] = {}
        """When the first time was, and how often. Forgotten REPAIRS_SECONDS after that time."""

    @property
    def pending(self) -> bool:
        """Whether a channel is about to be repaired."""
        return bool(self._broken)

    def add(self, channel: str) -> None:
        """Repair a channel soon. Not at once: it may fail again."""
        if channel not in self._broken:
            self._broken.add(channel)
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._try, channel)

    def _try(self, channel: str) -> None:
        self._broken.discard(channel)
        loop = asyncio.get_running_loop()
        first, tries = self._tried.pop(channel, (loop.time(), 0))
        if tries >= REPAIRS:
            self._give_up(channel)
            return
        if self._serves(channel):
            self._tried[channel] = first, tries + 1
            if not tries:
                loop.call_later(REPAIRS_SECONDS, self._forget, channel, first)
        self._repair(channel)

    def _forget(self, channel: str, first: float) -> None:
        tried = self._tried.get(channel)
        if tried is not None and tried[0] == first:
            del self._tried[channel]
