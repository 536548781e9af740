"""The events of one channel that wait for Redis, and the publish calls that they belong to."""

from collections import deque
from collections.abc import Callable, Sequence

from eventhub.errors import EventHubError
from eventhub.events.event import NewEvent, Receipt

CALL_EVENTS = 256
CALL_BYTES = 1024 * 1024
"""Bounds of one script call: a script must not hold up the server."""


class PublishCall:
    """One call of `publish`: its results so far. `done` gets it when all are known."""

    __slots__ = ("done", "encode_error", "events", "left", "over", "results")

    def __init__(self, events: Sequence[NewEvent], done: Callable[["PublishCall"], None]) -> None:
        self.events = events
        self.results: list[Receipt | EventHubError | None] = [None] * len(events)
        self.left = len(events)
        self.done = done
        self.over = False
        """All results are known, the caller has gone, or the time limit has passed."""
        self.encode_error: Exception | None = None
        """The error of its newest event that cannot be encoded."""

    def settle(self, index: int, result: Receipt | EventHubError) -> None:
        """Take the result of one event."""
        self.results[index] = result
        self.left -= 1
        if self.left == 0 and not self.over:
            self.end()

    def end(self) -> None:
        """Tell the caller."""
        self.over = True
        self.done(self)


QueuedEvent = tuple[NewEvent, PublishCall, int]
"""An event, its call, and its index in the call."""


class ChannelQueue:
    """One channel's events: `waiting` ones, and those `sent` in the call under way.

    `on_dropped` is called with each event that is dropped because its call is over.
    """

    __slots__ = ("_on_dropped", "sent", "waiting")

    def __init__(self, on_dropped: Callable[[QueuedEvent], None]) -> None:
        self.waiting: deque[QueuedEvent] = deque()
        self.sent: list[QueuedEvent] = []
        self._on_dropped = on_dropped

    def drop_given_up(self) -> None:
        """Drop the oldest waiting events whose calls are over."""
        while self.waiting and self.waiting[0][1].over:
            self._on_dropped(self.waiting.popleft())

    def take(self) -> list[QueuedEvent]:
        """Remove and return the events of the next script call."""
        taken: list[QueuedEvent] = []
        size = 0
        while self.waiting and len(taken) < CALL_EVENTS:
            event, call, _ = self.waiting[0]
            if call.over:
                self._on_dropped(self.waiting.popleft())
                continue
            size += len(event.data)
            if taken and size > CALL_BYTES:
                break
            taken.append(self.waiting.popleft())
        return taken
