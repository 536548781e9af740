"""Several channels and patterns that one request names."""

from collections.abc import Iterable
from itertools import combinations

from eventhub.common.channel_pattern import ChannelPattern


class ChannelSelection:
    """Patterns that have no channel in common. A channel name is the pattern of itself.

    `text` has their texts in order, joined by commas: it names the selection.
    """

    __slots__ = ("parts", "text")

    def __init__(self, patterns: Iterable[ChannelPattern]) -> None:
        self.parts = sorted(patterns, key=lambda part: part.text)
        self.text = ",".join([part.text for part in self.parts])

    @classmethod
    def of(cls, *texts: str) -> "ChannelSelection":
        """Raises ValueError for a malformed pattern."""
        return cls(map(ChannelPattern, texts))

    def covers(self, other: str) -> bool:
        """Whether a channel name, or the text of a pattern, fits one of them."""
        return any(part.covers(other) for part in self.parts)

    def overlap(self) -> tuple[str, str] | None:
        """Two of them that have channels in common, if there are any."""
        for one, other in combinations(self.parts, 2):
            if one.overlaps(other):
                return one.text, other.text
        return None
