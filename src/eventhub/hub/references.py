"""Publishes events that refer to others, after it has looked those up."""

from collections.abc import Sequence
from typing import Protocol

from eventhub.errors import EventHubError
from eventhub.events.event import HistoryPage, NewEvent, Position, Receipt, Start
from eventhub.events.references import Reference
from eventhub.observability.tracing import PublishSpan


class Log(Protocol):
    """What is asked of the hub (`Hub`)."""

    async def publish(
        self, events: Sequence[NewEvent], traces: Sequence[PublishSpan] = ()
    ) -> Sequence[Receipt | EventHubError]:
        """Store and announce events. Returns a result for each."""
        ...

    async def history(self, channel: str, since: Start, limit: int) -> HistoryPage:
        """A page of a channel's log."""
        ...

    def rejected(self, channel: str, error: EventHubError) -> None:
        """An event was rejected."""
        ...


class ReferringPublisher:
    """`step`: that of the offsets of the broker."""

    def __init__(self, log: Log, step: int) -> None:
        self._log = log
        self._step = step

    async def publish(
        self,
        events: Sequence[NewEvent],
        references: Sequence[Reference | None],
        traces: Sequence[PublishSpan] = (),
    ) -> Sequence[Receipt | EventHubError]:
        """As `Hub.publish`. An event that may not have its reference has an error as its result."""
        faults = [
            None if reference is None else await self._fault(event.channel, reference)
            for event, reference in zip(events, references, strict=True)
        ]
        allowed = [event for event, fault in zip(events, faults, strict=True) if fault is None]
        stored = iter(await self._log.publish(allowed, traces) if allowed else ())
        return [next(stored) if fault is None else fault for fault in faults]

    async def _fault(self, channel: str, reference: Reference) -> EventHubError | None:
        """Why an event with this reference is refused, if it is."""
        epoch, offset = reference.target
        try:
            before = (offset - 1) // self._step * self._step
            page = await self._log.history(channel, Position(epoch, before), 1)
            found = (event for event in page.events if event.position == reference.target)
            reference.check(channel, next(found, None))
        except EventHubError as error:
            self._log.rejected(channel, error)
            return error.without_traceback()
        return None
