"""The bounded queue of events that one client publishes.

They are published in order. Events that arrive during a publish become the next batch.
"""

import time
from collections.abc import Callable

from eventhub.common.faults import internal
from eventhub.errors import EventHubError
from eventhub.events.event import NewEvent, Receipt
from eventhub.events.references import Reference
from eventhub.hub.hub import Hub
from eventhub.observability.tracing import PublishSpan, trace_id_of
from eventhub.session.commands import Ref

BACKLOG = 64
"""Events that may wait. Beyond that, the connection reads no more until some are answered."""

Waiting = tuple[Ref, NewEvent, float, PublishSpan | None, Reference | None]
Answer = Callable[[Ref, str, Receipt | EventHubError], None]


class PublishQueue:
    """The publishes of one connection. `fail` ends it. `session` is its id in logs."""

    __slots__ = ("_answer", "_busy", "_fail", "_hub", "_session", "_waiting")

    def __init__(
        self, hub: Hub, answer: Answer, fail: Callable[[EventHubError], None], session: str
    ) -> None:
        self._session = session
        self._fail = fail
        self._hub = hub
        self._answer = answer
        self._waiting: list[Waiting] = []
        self._busy = False

    @property
    def roomy(self) -> bool:
        """There is room for more."""
        return len(self._waiting) < BACKLOG

    def add(self, ref: Ref, event: NewEvent, reference: Reference | None = None) -> bool:
        """Publish soon. Returns False when the queue is full: add no more until `roomy`."""
        trace = None
        if (tracing := self._hub.tracing) is not None:
            trace = tracing.publish(event.channel, event.attributes, "websocket")
            event = event if trace is None else event._replace(attributes=trace.attributes)
        self._waiting.append((ref, event, time.perf_counter(), trace, reference))
        if not self._busy:
            self._busy = True
            self._hub.spawn(self._publish(), "publish", self._fail)
        return self.roomy

    async def _publish(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            traces = [trace for *_, trace, _ in batch if trace is not None]
            try:
                events = [event for _, event, *_ in batch]
                references = [reference for *_, reference in batch]
                if any(references):
                    outcomes = await self._hub.references.publish(events, references, traces)
                else:
                    outcomes = await self._hub.publish(events, traces)
            except EventHubError as error:
                outcomes = [error.without_traceback()] * len(batch)
            except Exception as error:
                ids = {found for _, event, *_ in batch if (found := trace_id_of(event.attributes))}
                self._hub.faults.note(
                    "publish", error, session=self._session, trace_ids=sorted(ids)
                )
                outcomes = [internal()] * len(batch)
            for (ref, event, begin, trace, _), outcome in zip(batch, outcomes, strict=True):
                if trace is not None:
                    trace.end((outcome,))
                self._answer(ref, event.channel, outcome)
                self._hub.answered(event.channel, time.perf_counter() - begin)
        self._busy = False
