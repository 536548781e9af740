"""A hub that keeps what logging publishes."""

import json
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from eventhub_client.errors import Problem
from eventhub_client.items import Receipt, moment
from eventhub_client.payloads import Encoded
from eventhub_client.publishing import Outcome

RECEIPT = Receipt("logs.a", "k-1", moment("2026-11-22T20:06:00.123Z"))
SECONDS = 120.0


class FakeHub:
    """Keeps what is published. While the gate is shut, publishing takes for ever."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.batches: list[list[dict[str, Any]]] = []
        self.keys: list[str] = []
        self.outcomes: Callable[[int], list[Outcome]] = lambda count: [RECEIPT] * count
        self.logs: logging.Logger | None = None
        self.trouble: Problem | None = None

    def publish_many(
        self, channel: str, events: Sequence[Encoded], *, key: str, timeout: float
    ) -> list[Outcome]:
        self.entered.set()
        assert self.gate.wait(SECONDS)
        if self.logs is not None:
            self.logs.warning("HTTP Request: POST")
        self.keys.append(key)
        self.batches.append([json.loads(each.json) for each in events])
        return self.outcomes(len(events))

    @property
    def messages(self) -> list[str]:
        return [event["message"] for batch in self.batches for event in batch]
