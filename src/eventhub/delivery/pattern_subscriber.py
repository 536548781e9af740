"""A subscriber of a pattern, and its parts: its subscribers of single channels."""

from collections.abc import Callable, Mapping
from typing import Any

from eventhub.delivery.subscriber import (
    ConnectionWriter,
    Subscriber,
    SubscriberState,
    SubscriptionStart,
    Watching,
)
from eventhub.events.event import LATEST, Since
from eventhub.filters.event_filter import EventFilter

PatternSince = Since | Mapping[str, Since]
"""Where every channel of a pattern begins, or where each one does. A channel that a mapping does
not name was born later: it begins before the first event of its log.
"""


class Begins(dict[str, Since]):
    """Where the channels of a pattern begin: those that are named, and all others.

    `otherwise` is None if the others were born later.
    """

    __slots__ = ("otherwise",)

    def __init__(self, named: Mapping[str, Since], otherwise: Since | None) -> None:
        super().__init__(named)
        self.otherwise = otherwise


class PatternSubscriber(Subscriber):
    """One subscriber of all channels of a pattern. Its `channel` is the pattern.

    `begun` is called once, with the fields of `subscribed`, before anything else is written.
    """

    __slots__ = ("begins", "begun", "busy", "catching_up", "has_positions", "parts", "todo")

    def __init__(
        self,
        pattern: str,
        since: PatternSince,
        writer: ConnectionWriter,
        begun: Callable[[Subscriber, dict[str, Any]], None],
        *,
        watching: Watching = False,
        session: str = "",
        filter_: EventFilter | None = None,
    ) -> None:
        super().__init__(
            pattern, LATEST, writer, _ignore, watching=watching, session=session, filter_=filter_
        )
        self.begins = since
        self.begun: Callable[[Subscriber, dict[str, Any]], None] | None = begun
        self.parts: dict[str, ChannelPart] = {}
        """While it is apart from the audience: its own subscribers, by channel."""
        self.todo: dict[str, Since | None] = {}
        """Channels where it will begin in the past. None: before the first event of the log."""
        self.catching_up: set[str] = set()
        """Channels where it does so now."""
        self.has_positions = False
        """It has been told where it stands in each channel."""
        self.busy = False

    @property
    def has_begun(self) -> bool:
        return self.begun is None


class ChannelPart(Subscriber):
    """A pattern subscriber in one channel. It is there until it stands at the feed's `delivered`.

    `reached` is told so, unless the part stood there from the beginning.
    """

    __slots__ = ("_reached", "whole")

    def __init__(
        self,
        channel: str,
        since: Since,
        whole: PatternSubscriber,
        reached: Callable[["ChannelPart"], None],
    ) -> None:
        super().__init__(channel, since, whole.writer, _ignore, session=whole.session)
        self.filtered = whole.filtered
        self.whole = whole
        self._reached = reached

    def stays(self) -> bool:
        """It leaves the feed when it turns live: the pattern subscriber is at `delivered` again."""
        self.state = SubscriberState.GONE
        self._reached(self)
        return False


def _ignore(subscriber: Subscriber, start: SubscriptionStart) -> None:
    """A part begins: the pattern's subscription has begun before."""
