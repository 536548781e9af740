"""A publish that is answered when its broker has stored the events, without a task."""

from collections.abc import Callable, Sequence

from eventhub.common.faults import internal
from eventhub.errors import EventHubError, ShuttingDown
from eventhub.events.event import Receipt
from eventhub.server.publish.response import PublishResponse, problem_response

Outcome = Sequence[Receipt | EventHubError] | Exception
"""What `Hub.publish` returns or raises."""


class WaitingPublish:
    """A publish under way. `respond`, which the owner sets, gets the response, once."""

    __slots__ = ("_finish", "respond")

    def __init__(self, finish: Callable[[Outcome], PublishResponse]) -> None:
        self._finish: Callable[[Outcome], PublishResponse] | None = finish
        self.respond: Callable[[PublishResponse], None]

    def stored(self, outcome: Outcome) -> None:
        """The broker has answered."""
        finish, self._finish = self._finish, None
        if finish is None:
            return
        try:
            response = finish(outcome)
        except Exception:
            self.respond(problem_response(internal()))
            raise
        self.respond(response)

    def stop(self) -> None:
        """The drain is over, and the broker has not answered."""
        self.stored(stopped_meanwhile())


def stopped_meanwhile() -> ShuttingDown:
    """The error of a publish that the end of the server cuts off."""
    return ShuttingDown(
        "the server stopped before it knew whether the event is stored; publish it again,"
        " with the same Idempotency-Key"
    )
