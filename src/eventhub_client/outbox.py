"""What a streaming publisher holds: events that wait, and the batch under way. No I/O."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from eventhub_client.errors import Refused, Unavailable
from eventhub_client.items import Receipt
from eventhub_client.payloads import Encoded, encode
from eventhub_client.publishing import BATCH_BYTES, BATCH_EVENTS, Outcome

OnRefused = Callable[[object, Refused], object]


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much may wait in a streaming publisher. An event that is larger fits alone."""

    events: int = 1000
    bytes: int = 1 << 20


WAITING = Waiting()


class Waiter(NamedTuple):
    """An event that waits."""

    data: object
    event: Encoded
    reference: tuple[str, str] | None
    """What it refers to and its relation. An array has none, so such an event is sent alone."""


class Outbox:
    """The queue of a streaming publisher: bounded, in order, one batch under way at a time."""

    def __init__(self, bounds: Waiting, on_refused: OnRefused | None) -> None:
        self._bounds = bounds
        self._on_refused = on_refused
        self._events: deque[Waiter] = deque()
        self._under_way: list[Waiter] = []
        self._bytes = 0
        self.stored = 0
        self.failure: BaseException | None = None
        """The first error. Nothing is sent after it: the order would be lost."""

    @property
    def has_room(self) -> bool:
        """Whether another event may be put."""
        waiting = len(self._events) + len(self._under_way)
        return waiting < self._bounds.events and self._bytes < self._bounds.bytes

    @property
    def has_work(self) -> bool:
        """Whether a batch can be sent."""
        return self.failure is None and bool(self._events)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is sent any more."""
        return not self._under_way and not self.has_work

    def put(self, data: object, reference: tuple[str, str] | None = None) -> None:
        """Raises TypeError or ValueError for what JSON lacks."""
        event = Encoded(encode(data))
        self._events.append(Waiter(data, event, reference))
        self._bytes += len(event.json)

    def batch(self) -> list[Waiter]:
        """The next events to be sent."""
        size = 0
        while self._events and len(self._under_way) < BATCH_EVENTS:
            following = self._events[0]
            size += len(following.event.json) + 1
            if self._under_way and (size > BATCH_BYTES or following.reference is not None):
                break
            self._under_way.append(self._events.popleft())
            if following.reference is not None:
                break
        return self._under_way

    def settle(self, outcomes: list[Outcome]) -> None:
        """The results of the batch."""
        batch, self._under_way = self._under_way, []
        for (data, event, _), outcome in zip(batch, outcomes, strict=True):
            self._bytes -= len(event.json)
            if isinstance(outcome, Receipt):
                self.stored += 1
            elif isinstance(outcome, Refused) and self._on_refused is not None:
                self._on_refused(data, outcome)
            elif self.failure is None or isinstance(outcome, Unavailable):
                self.failure = outcome

    def fail(self, failure: BaseException) -> None:
        """The batch cannot be sent."""
        self._under_way, self.failure = [], failure
