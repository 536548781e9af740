"""What a streaming publisher holds: events that wait, and the batch under way. No I/O."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

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


class Outbox:
    """The queue of a streaming publisher: bounded, in order, one batch under way at a time."""

    def __init__(self, bounds: Waiting, on_refused: OnRefused | None) -> None:
        self._bounds = bounds
        self._on_refused = on_refused
        self._events: deque[tuple[object, Encoded]] = deque()
        self._under_way: list[tuple[object, Encoded]] = []
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

    def put(self, data: object) -> None:
        """Raises TypeError or ValueError for what JSON lacks."""
        event = Encoded(encode(data))
        self._events.append((data, event))
        self._bytes += len(event.json)

    def batch(self) -> list[Encoded]:
        """The next events to be sent."""
        size = 0
        while self._events and len(self._under_way) < BATCH_EVENTS:
            size += len(self._events[0][1].json) + 1
            if self._under_way and size > BATCH_BYTES:
                break
            self._under_way.append(self._events.popleft())
        return [event for _, event in self._under_way]

    def settle(self, outcomes: list[Outcome]) -> None:
        """The results of the batch."""
        batch, self._under_way = self._under_way, []
        for (data, event), outcome in zip(batch, outcomes, strict=True):
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
