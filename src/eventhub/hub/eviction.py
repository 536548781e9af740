"""Closes connections that must end, one after another, in a separate turn of the loop.

A feed decides this while it delivers an event. Closing the connection at once would remove
subscribers from the feed in the middle of its work, so the subscriber waits here.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from eventhub.delivery.subscriber import Subscriber
from eventhub.errors import EventHubError

SLICE = 50
"""Connections closed in one turn of the loop: each may have many subscriptions."""


class EvictionQueue:
    """Subscribers whose connections are to be closed, each once.

    `soon` calls back from the loop, never from inside the call. `note` logs a connection that
    could not be closed with its error: it is aborted instead.
    """

    def __init__(
        self, soon: Callable[[Callable[[], None]], None], note: Callable[..., None]
    ) -> None:
        self._soon = soon
        self._note = note
        self._due: OrderedDict[Subscriber, EventHubError] = OrderedDict()
        self._awake = False

    def __len__(self) -> int:
        return len(self._due)

    def add(self, subscriber: Subscriber, error: EventHubError) -> None:
        """Close a subscriber's connection because of this error."""
        self._due.setdefault(subscriber, error)
        if not self._awake:
            self._awake = True
            self._soon(self._go_on)

    def discard(self, subscriber: Subscriber) -> None:
        """A subscriber has left: its connection need not be closed any more."""
        self._due.pop(subscriber, None)

    def _go_on(self) -> None:
        for _ in range(min(SLICE, len(self._due))):
            if self._due:  # others may leave while one is closed
                self._end(*self._due.popitem(last=False))
        self._awake = bool(self._due)
        if self._awake:
            self._soon(self._go_on)

    def _end(self, subscriber: Subscriber, error: EventHubError) -> None:
        for end in (partial(subscriber.writer.fail, error), subscriber.writer.abort):
            try:
                return end()
            except Exception as fault:  # the others are closed as well
                self._note("ending", fault, session=subscriber.session, channel=subscriber.channel)
