"""Encodes events once for all patterns that cover their channel."""

from collections.abc import Callable

from eventhub.delivery.encoding import Encoding, StatefulEncoding, joined
from eventhub.events.event import Event


class SharedEncoding:
    """The last bytes of each encoding. They are those of at most QUEUED_BYTES of data."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: dict[Encoding, tuple[list[Event], bytes]] = {}

    def joined(
        self,
        encoding: Encoding,
        events: list[Event],
        replacement_for: Callable[[Encoding, Event, Exception], bytes],
    ) -> bytes:
        """As `encoding.joined`. The events are those of the call before, or others."""
        if isinstance(encoding, StatefulEncoding):
            return joined(encoding, events, replacement_for)
        last = self._last.get(encoding)
        if last is None or last[0] != events:
            last = self._last[encoding] = events, joined(encoding, events, replacement_for)
        return last[1]
