"""Patterns that covered too many channels a moment ago.

A client that comes back at once, as an EventSource does, is refused. Otherwise the node would open
the feeds of all channels again, only to end the client again.
"""

import asyncio
from collections import OrderedDict

from eventhub.errors import TooManySubscriptions

MOST = 1000
"""Patterns that are remembered. When there are more, the oldest is forgotten."""


class TooWide:
    """The patterns, each for `seconds` with its error."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._found: OrderedDict[str, tuple[float, TooManySubscriptions]] = OrderedDict()

    def add(self, pattern: str, error: TooManySubscriptions) -> None:
        """A pattern covers too many channels."""
        self._found[pattern] = _now() + self._seconds, error
        if len(self._found) > MOST:
            self._found.popitem(last=False)

    def check(self, pattern: str) -> None:
        """Raises TooManySubscriptions."""
        if (found := self._found.get(pattern)) is None:
            return
        until, error = found
        if _now() < until:
            raise TooManySubscriptions(error.message).with_limit("pattern_channels")
        del self._found[pattern]


def _now() -> float:
    return asyncio.get_running_loop().time()
