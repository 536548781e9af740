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
    """The channels that failed.

    `serves`: the channel has subscribers. `monotonic` gives seconds.
    """

    def __init__(
        self,
        serves: Callable[[str], bool],
        repair: Callable[[str], None],
        give_up: Callable[[str], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._serves = serves
        self._repair = repair
        self._give_up = give_up
        self._monotonic = monotonic
        self._broken: set[str] = set()
        self._tried: dict[str, tuple[float, int]] = {}  # when the first time was, and how often

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
        now = self._monotonic()
        first, tries = self._tried.pop(channel, (now, 0))
        if now - first > REPAIRS_SECONDS:
            first, tries = now, 0
        if tries >= REPAIRS:
            self._give_up(channel)
            return
        if self._serves(channel):
            self._tried[channel] = first, tries + 1
            asyncio.get_running_loop().call_later(REPAIRS_SECONDS, self._forget, channel, first)
        self._repair(channel)

    def _forget(self, channel: str, first: float) -> None:
        if self._tried.get(channel, (None, 0))[0] == first:
            del self._tried[channel]
