"""The filters of a node by text, so that all readers with the same filter share it."""

from weakref import WeakValueDictionary

from eventhub.errors import InvalidFilter
from eventhub.filters.event_filter import EventFilter
from eventhub.filters.fields import RecentFields


class Filters:
    """The filters that are in use. A filter goes with its last reader."""

    def __init__(self, *, most: int = 1000, size: int = 1024) -> None:
        self.most = most
        """Different filters at a time (`limits.filters`)."""
        self.size = size
        """Bytes of one filter (`limits.filter_bytes`)."""
        self._known: WeakValueDictionary[str, EventFilter] = WeakValueDictionary()
        self._fields = RecentFields()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, text: str) -> EventFilter:
        """The filter with this text. Raises InvalidFilter."""
        if (found := self._known.get(text)) is None:
            self._check(text)
            found = self._known[text] = EventFilter(text, self._fields)
        return found

    def _check(self, text: str) -> None:
        if (size := len(text.encode(errors="replace"))) > self.size:
            raise InvalidFilter(
                f"where has {size} bytes; at most {self.size} are allowed (limits.filter_bytes)"
            ).with_limit("filter_bytes")
        if len(self._known) >= self.most:
            raise InvalidFilter(
                f"{self.most} different filters are in use on this node; at most that many are "
                "allowed (limits.filters)"
            ).with_limit("filters")
