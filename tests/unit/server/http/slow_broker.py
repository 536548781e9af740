"""A broker that waits, in the place of a node's own."""

import asyncio
from collections.abc import Sequence
from typing import Any

from eventhub.brokers.base import OnStored
from eventhub.errors import BrokerUnavailable, EventHubError
from eventhub.events.event import NewEvent, Position, Receipt
from tests.harness.virtual_time import turns
from tests.unit.server.http.lane_node import Node

Results = Sequence[Receipt | EventHubError]


class SlowBroker:
    """Answers when a test says so. Takes the place of the node's broker when it is made.

    `tasks`: every publish needs more steps, and so a task.
    """

    def __init__(self, node: Node, *, tasks: bool = False) -> None:
        self.asked: list[Sequence[NewEvent]] = []
        self._answers: list[OnStored] = []
        hub: Any = node.app.hub
        hub._publishes_now, hub._publishes_later = False, not tasks
        hub.publisher._broker = self

    async def publish(self, events: Sequence[NewEvent]) -> Results:
        answer: asyncio.Future[Results] = asyncio.get_running_loop().create_future()

        def settle(outcome: Results | Exception | None) -> None:
            assert outcome is not None
            if isinstance(outcome, Exception):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)

        self.publish_later(events, settle)
        return await answer

    def publish_later(self, events: Sequence[NewEvent], done: OnStored) -> bool:
        self.asked.append(events)
        self._answers.append(done)
        return True

    async def answer(self, outcome: Exception | None = None) -> None:
        """Answer the oldest call: with receipts, with an error for each event, or by raising."""
        events = self.asked[-len(self._answers)]
        done = self._answers.pop(0)
        if outcome is None:
            done([Receipt(Position("e", 7), 0) for _ in events])
        elif isinstance(outcome, EventHubError) and not isinstance(outcome, BrokerUnavailable):
            done([outcome] * len(events))
        else:
            done(outcome)
        await turns()
