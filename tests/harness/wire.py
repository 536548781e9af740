"""A subscriber's connection as a feed sees it: a writer that keeps what it is given."""

import json
from collections.abc import Callable
from typing import Any

from eventhub.delivery.encoding import LINES, Encoding
from eventhub.errors import EventHubError


class Wire:
    """It is full when a test says so, or from its `room`th write on. `on_fail` is what its owner
    does when it is to end.
    """

    def __init__(self, encoding: Encoding = LINES, room: int = 1_000_000) -> None:
        self.encoding = encoding
        self.full = False
        self.room = room
        self.data: list[bytes] = []
        self.errors: list[EventHubError] = []
        self.aborted = False
        self.on_fail: Callable[[], None] = lambda: None

    @property
    def lines(self) -> list[str]:
        return b"".join(self.data).decode().splitlines()

    @property
    def failed(self) -> list[str]:
        """The codes of its errors."""
        return [error.code for error in self.errors]

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Of the encoding LINES."""
        return [json.loads(line) for line in self.lines]

    def write(self, data: bytes) -> None:
        self.data.append(data)
        self.full = self.full or len(self.data) >= self.room

    def takes_signal(self, size: int) -> bool:
        return not self.full

    def fail(self, error: EventHubError) -> None:
        self.errors.append(error)
        self.on_fail()

    def abort(self) -> None:
        self.aborted = True

    def told(self, kind: str) -> int:
        """How many messages of this type it was given."""
        return sum(data.count(f'"type":"{kind}"'.encode()) for data in self.data)
