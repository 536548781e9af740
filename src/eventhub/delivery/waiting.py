"""Subscribers of a pattern whose channels are not all known. They begin in turns of the loop."""

from collections.abc import Callable

from eventhub.delivery.feed import Feed
from eventhub.delivery.pattern_subscriber import PatternSubscriber

TURN_CHANNELS = 2000
"""Channels in which subscribers begin in one turn of the loop; one subscriber begins in all."""


class WaitingSubscribers:
    """The subscribers of one pattern that have not begun.

    `begin` serves one of them, and returns in how many channels. `soon` calls back from the loop.
    """

    __slots__ = (
        "_awake",
        "_begin",
        "_naming",
        "_soon",
        "listed",
        "opening",
        "ready",
        "subscribers",
    )

    def __init__(
        self,
        begin: Callable[[PatternSubscriber], int],
        soon: Callable[[Callable[[], None]], None],
    ) -> None:
        self._begin = begin
        self._soon = soon
        self._awake = False
        self._naming: set[PatternSubscriber] = set()
        self.subscribers: dict[PatternSubscriber, None] = {}
        self.opening: set[Feed] = set()
        self.listed = False
        self.ready = False
        """Every channel that had events when the audience was made has an open feed."""

    def expect(self, subscriber: PatternSubscriber) -> None:
        """A subscriber may not begin before it is added: the channels that it names get feeds."""
        self.subscribers[subscriber] = None
        self._naming.add(subscriber)

    def add(self, subscriber: PatternSubscriber) -> None:
        """A subscriber begins as soon as the channels are known."""
        self.discard(subscriber)
        if self.ready:
            self._begin(subscriber)
        else:
            self.subscribers[subscriber] = None

    def discard(self, subscriber: PatternSubscriber) -> None:
        """A subscriber has left. It may not be here."""
        self.subscribers.pop(subscriber, None)
        self._naming.discard(subscriber)

    def advance(self) -> None:
        """The channels may be known now."""
        if self.listed and not self.opening:
            self.ready = True
        if self.ready and not self._awake:
            self._turn()

    def _turn(self) -> None:
        self._awake = False
        left = TURN_CHANNELS
        for subscriber in list(self.subscribers):
            if subscriber in self._naming or subscriber not in self.subscribers:
                continue
            if left <= 0:
                self._awake = True
                self._soon(self._turn)
                return
            del self.subscribers[subscriber]
            left -= 1 + self._begin(subscriber)
