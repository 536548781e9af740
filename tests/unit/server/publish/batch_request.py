"""A publish request with an array, for tests."""

import asyncio
from typing import Any

from eventhub.auth.principal import ANYONE
from eventhub.config.limit_settings import LimitSettings
from eventhub.errors import EventHubError
from eventhub.events.event import NewEvent
from eventhub.events.refused_event import Received
from eventhub.server.connections.fair_queue import BURST, FairQueue
from eventhub.server.publish.batch import BatchDecoder
from eventhub.server.publish.request import PublishRequest
from tests.unit.server.connections.manager_builder import build

CHAT = {"sender": "ana", "text": "oi"}


class CountingQueue(FairQueue):
    """Counts the turns that were asked for."""

    asked = 0

    async def next_turn(self, since: float = 0.0, size: int = BURST) -> None:
        self.asked += 1
        await super().next_turn(since, size)


class Batch:
    """A publish request with an array."""

    def __init__(self, payload: str = "chat", key: str = "", **limits: Any) -> None:
        manager = build(channels={"a": {"payload": payload}}, limits=LimitSettings(**limits))
        headers = {b"idempotency-key": key.encode()} if key else {}
        scope: dict[str, Any] = {
            "path": "/v1/channels/a",
            "query_string": b"",
            "headers": [],
            "client": None,
        }
        self.request = PublishRequest(manager, scope, headers, ANYONE)
        self.refused: list[EventHubError] = []
        self.kept: list[Received | None] = []
        self.pauses = 0

    def rejected(self, error: EventHubError, received: Received | None) -> None:
        self.refused.append(error)
        self.kept.append(received)

    async def take(self, body: bytes) -> list[NewEvent | EventHubError]:
        fair_queue = CountingQueue(asyncio.get_running_loop())
        found = await BatchDecoder(self.request, fair_queue, self.rejected).decode(body)
        self.pauses = fair_queue.asked
        return found


def codes(found: list[NewEvent | EventHubError]) -> list[str]:
    return [each.code if isinstance(each, EventHubError) else "" for each in found]
