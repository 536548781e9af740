"""Events that clients publish over one connection: in order, grouped while a publish is under way, bounded."""

import time
from collections.abc import Callable

import structlog

from eventhub.commands import Ref
from eventhub.errors import EventHubError, Internal
from eventhub.event import NewEvent, Receipt
from eventhub.hub import Hub

log = structlog.get_logger("eventhub.submissions")

BACKLOG = 64
"""Beyond it the connection reads no more until some are answered."""

Answer = Callable[[Ref, str, Receipt | EventHubError], None]


class Submissions:
    """A connection's publishes."""

    __slots__ = ("_answer", "_busy", "_hub", "_waiting")

    def __init__(self, hub: Hub, answer: Answer) -> None:
        self._hub = hub
        self._answer = answer
        self._waiting: list[tuple[Ref, NewEvent, float]] = []
        self._busy = False

    @property
    def roomy(self) -> bool:
        """There is room for more."""
        return len(self._waiting) < BACKLOG

    def add(self, ref: Ref, event: NewEvent) -> bool:
        """Publish soon. False when the backlog is full: add no more until `roomy`."""
        self._waiting.append((ref, event, time.perf_counter()))
        if not self._busy:
            self._busy = True
            self._hub.spawn(self._publish())
        return self.roomy

    async def _publish(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                outcomes = await self._hub.publish([event for _, event, _ in batch])
            except EventHubError as error:
                outcomes = [error] * len(batch)
            except Exception:
                log.exception("publish_failed")
                outcomes = [Internal("a fault of the server; its log says more")] * len(batch)
            for (ref, event, begin), outcome in zip(batch, outcomes, strict=True):
                self._answer(ref, event.channel, outcome)
                self._hub.answered(event.channel, time.perf_counter() - begin)
        self._busy = False
