"""Which channels of a pattern count towards which bound.

- Channels with events: at most `most`. With more, the pattern covers too much for everybody.
- Channels that subscribers name in `since` and that are not known to have events: at most twice as
  many, and at most `most` of one subscriber. With more, the subscriber that names them is refused.
"""

from collections.abc import Collection

from eventhub.errors import TooManyChannels, TooManySubscriptions


class CoveredChannels:
    """The channels of one pattern. One without events is let go after about `seconds`."""

    __slots__ = ("_born", "_born_before", "_named", "_with_events", "most", "pattern", "seconds")

    def __init__(self, pattern: str, most: int, seconds: float) -> None:
        self.pattern = pattern
        self.most = most
        self.seconds = seconds
        self._with_events: set[str] = set()
        self._named: set[str] = set()
        self._born: set[str] = set()
        self._born_before: set[str] = set()

    def has_event(self, channel: str) -> None:
        """A channel has an event, or had one. Raises TooManySubscriptions."""
        if channel not in self._with_events:
            if len(self._with_events) >= self.most:
                raise TooManySubscriptions(
                    f"the pattern {self.pattern!r} covers more than {self.most} channels; "
                    "at most that many are allowed (limits.pattern_channels)"
                ).with_limit("pattern_channels")
            self._with_events.add(channel)
            self._named.discard(channel)

    def born(self, channel: str) -> None:
        """A birth was told: an announcement may follow it. Raises TooManySubscriptions."""
        self._born.add(channel)
        self.has_event(channel)

    def is_silent(self, channel: str) -> bool:
        """Whether no birth was told since the reading of the list before the last one ended."""
        return channel not in self._born and channel not in self._born_before

    def was_read(self) -> None:
        """A reading of the list has ended."""
        self._born_before, self._born = self._born, set()

    def name(self, channels: Collection[str]) -> None:
        """A subscriber names channels that have no feed.

        Raises TooManySubscriptions, TooManyChannels; then none is counted.
        """
        if len(channels) > self.most:
            raise TooManySubscriptions(
                f"since names {len(channels)} channels of {self.pattern!r} that are not known to "
                f"have events; at most {self.most} may be named (limits.pattern_channels)"
            ).with_limit("pattern_channels")
        others = len(self._named.difference(channels))
        if others + len(channels) > 2 * self.most:
            error = TooManyChannels(
                f"since names {len(channels)} channels of {self.pattern!r} that are not known to "
                f"have events, and {others} others are named; at most {2 * self.most} "
                "may be at a time (twice limits.pattern_channels); try again in a moment"
            ).with_limit("pattern_channels")
            error.retry_after = self.seconds
            raise error
        self._named.update(channels)

    def let_go(self, *channels: str) -> None:
        """Channels are covered no more."""
        self._with_events.difference_update(channels)
        self._named.difference_update(channels)
