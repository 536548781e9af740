"""Connections that are to be ended, because their readers are too slow: from a turn of the loop of their own, one after another.

A feed finds them while it passes an event on. To end a connection takes it out of that feed, and of
others, so whoever is found waits here until the feed has done. Many may be found at once.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from eventhub.delivery.subscriber import Subscriber
from eventhub.errors import EventHubError

SLICE = 50
"""Connections ended in one turn of the loop: each may have many subscriptions."""


class EvictionQueue:
    """Subscribers whose connections are to be ended, each once. `soon` calls back from the loop, never from inside the call.

    `note` is told of a connection that could not be ended for its error: it is cut off instead.
    """

    def __init__(
        self, soon: Callable[[Callable[[], None]], None], note: Callable[..., None]
    ) -> None:
        self._soon = soon
        self._note = note
        self._due: OrderedDict[Subscriber, EventHubError] = (
            OrderedDict()
        )  # bounded: subscriptions of this node
        self._awake = False

    def __len__(self) -> int:
        return len(self._due)

    def add(self, subscriber: Subscriber, error: EventHubError) -> None:
        """End its connection for this error."""
        self._due.setdefault(subscriber, error)
        if not self._awake:
            self._awake = True
            self._soon(self._go_on)

    def discard(self, subscriber: Subscriber) -> None:
        """It has left: its connection is gone, or needs no ending any more."""
        self._due.pop(subscriber, None)

    def _go_on(self) -> None:
        for _ in range(min(SLICE, len(self._due))):
            if self._due:  # others may leave while one is ended
                self._end(*self._due.popitem(last=False))
        self._awake = bool(self._due)
        if self._awake:
            self._soon(self._go_on)

    def _end(self, subscriber: Subscriber, error: EventHubError) -> None:
        for end in (partial(subscriber.writer.fail, error), subscriber.writer.abort):
            try:
                return end()
            except Exception as fault:  # the others shall have theirs
                self._note("ending", fault, session=subscriber.session, channel=subscriber.channel)
