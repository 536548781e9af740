"""What a fan-out asks of the feed or the audience that owns it."""

from typing import Any, Protocol

from eventhub.delivery.encoding import Encoding
from eventhub.delivery.filtering import Selected
from eventhub.events.event import Event


class FanoutOwner(Protocol):
    """The feed, which decides what to do about errors. Neither call raises."""

    def serving_failed(self, key: Any, error: Exception) -> None:
        """Its filter takes too long, or a write failed: its connection must close."""
        ...

    def replacement_for(self, encoding: Encoding, event: Event, error: Exception) -> bytes:
        """The bytes that replace an event which cannot be encoded."""
        ...

    def filtered(self, found: Selected, readers: int) -> None:
        """A filter of this many subscribers has selected from events."""
        ...
