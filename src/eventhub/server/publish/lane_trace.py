"""The span of one publish that is answered at once, if it is sampled."""

import time
from collections.abc import Sequence

from eventhub.errors import EventHubError
from eventhub.events.event import Position, Receipt, Receipts
from eventhub.observability.tracing import Attributes, GuardedTracing, PublishSpan, trace_id_of
from eventhub.server.publish.request import PublishRequest

Outcomes = Sequence[Receipt | EventHubError]


class LaneTrace:
    """Asks once whether the publish is sampled, when it is sure that it does not go another way.

    The request may be shared, so nothing is kept in it.
    """

    __slots__ = ("_asked", "_begun", "_request", "_span", "_tracing")

    def __init__(self, tracing: GuardedTracing, request: PublishRequest) -> None:
        self._tracing = tracing
        self._request = request
        self._begun = False
        self._span: PublishSpan | None = None
        self._asked = 0  # when the broker was asked, in nanoseconds since the Unix epoch

    def begin(self) -> Attributes:
        """The publish goes this way. Returns the attributes of its events."""
        if not self._begun:
            self._begun = True
            request = self._request
            self._span = self._tracing.publish(request.channel, request.sent_attributes, "http")
        return self._request.sent_attributes if self._span is None else self._span.attributes

    def store(self) -> None:
        """The broker is asked next."""
        if self._span is not None:
            self._asked = time.time_ns()

    def end(self, outcomes: Outcomes | Receipts, error: EventHubError | None = None) -> None:
        """The publish has these outcomes. `error`: nothing of it was stored."""
        self.begin()
        if self._span is None:
            return
        if self._asked:
            self._span.stored(self._asked, error)
        self._span.end(_each(outcomes) if isinstance(outcomes, Receipts) else outcomes)

    @property
    def id(self) -> str | None:
        """The trace's id, for the access log."""
        return None if self._span is None else trace_id_of(self._span.attributes)


def _each(receipts: Receipts) -> list[Receipt]:
    offsets = range(receipts.first, receipts.first + receipts.number)
    return [Receipt(Position(receipts.epoch, offset), receipts.time) for offset in offsets]
