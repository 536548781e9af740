"""A writer in virtual time, without a thread, over a store that does what a test says."""

import queue
import sqlite3
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from eventhub.brokers.sqlite import writer as module
from eventhub.brokers.sqlite.writer import (
    StartAnnouncing,
    StopAnnouncing,
    StoreEvents,
    WriterThread,
)
from eventhub.events.event import Event, NewEvent, Position

PATIENCE = 5.0


class Queue:
    """What arrives, and when. Waiting for it lets time pass."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.items: list[tuple[float, Any]] = []

    def put(self, item: Any) -> None:
        self.items.insert(sum(moment <= self.now for moment, _ in self.items), (self.now, item))

    def at(self, seconds: float, item: Any) -> None:
        """Arrives so many seconds after the begin."""
        self.items.append((1000.0 + seconds, item))

    def get(self, timeout: float = 0.0) -> Any:
        if self.items and self.items[0][0] <= self.now + timeout:
            moment, item = self.items.pop(0)
            self.now = max(self.now, moment)
            return item
        self.now += timeout
        raise queue.Empty

    def get_nowait(self) -> Any:
        return self.get(0.0)


class Store:
    """Notes what is done, with the time."""

    def __init__(self, clock: Queue) -> None:
        self._clock = clock
        self.is_open = True
        self.subscribed: set[str] = set()
        self.steps: list[tuple[float, str]] = []
        self.appended: list[list[bytes]] = []
        self.faults: dict[str, list[Exception]] = {}
        """What these methods raise, one call after the other."""
        self.more = 0
        """How often there is more to delete."""

    def _does(self, step: str) -> None:
        self.steps.append((round(self._clock.now - 1000, 3), step))
        if faults := self.faults.get(step):
            raise faults.pop(0)

    def times(self, step: str) -> list[float]:
        return [moment for moment, each in self.steps if each == step]

    def append(self, groups: Sequence[Sequence[NewEvent]]) -> tuple[Any, list[Event], list[str]]:
        texts = [event.data for events in groups for event in events]
        if b"bad" in texts:
            raise ZeroDivisionError
        self._does("append")
        self.appended.append(texts)
        return [[text] for text in texts], [], []

    def open(self) -> None:
        self._does("open")
        self.is_open = True

    def close(self) -> None:
        self.steps.append((round(self._clock.now - 1000, 3), "close"))
        self.is_open = False

    def probe(self) -> None:
        self._does("probe")

    def expire(self) -> None:
        self._does("expire")

    def tidy(self) -> bool:
        self._does("tidy")
        self.more -= 1
        return self.more >= 0

    def position(self, channel: str) -> Position:
        return Position("e", len(self.subscribed))


class Written:
    """A writer and its answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.queue = Queue()
        self.store = Store(self.queue)
        self.told: list[tuple[Any, ...]] = []
        store: Any = self.store
        self.writer = WriterThread(store, PATIENCE)
        self.writer._requests = self.queue  # type: ignore[assignment]
        clock = SimpleNamespace(monotonic=lambda: self.queue.now)
        monkeypatch.setattr(module, "time", clock)
        monkeypatch.setattr(module, "random", SimpleNamespace(uniform=lambda low, high: high))

    def run(self, seconds: float) -> None:
        """Until so many seconds after the begin."""
        self.queue.at(seconds, None)
        output: Any = self
        self.writer.run(lambda call, *given: call(*given), output)

    # The writer's output

    def stored(
        self, publishes: Sequence[StoreEvents], results: Any, announced: Any, born: Any
    ) -> None:
        self.told.append(("stored", *(texts(each) for each in publishes)))

    def refused(self, publishes: Sequence[StoreEvents], error: Exception) -> None:
        self.told.append(("refused", *(texts(each) for each in publishes)))
        self.reason = str(error)

    def failed(self, publish: StoreEvents, error: Exception) -> None:
        self.told.append(("failed", texts(publish)))

    def subscribed(self, request: StartAnnouncing, position: Position) -> None:
        self.told.append(("subscribed", request.channel, position.offset))

    def opened(self) -> None:
        self.told.append(("opened",))

    def doubted(self, channels: Sequence[str]) -> None:
        self.told.append(("doubted", *sorted(channels)))


def texts(publish: StoreEvents) -> str:
    return b",".join(event.data for event in publish.events).decode()


def publish(*data: str, size: int = 1, done: bool = False) -> StoreEvents:
    events = [NewEvent("chat.a", text.encode(), 1) for text in data]
    return StoreEvents(events, size, lambda outcome: None, over=done)


def start(channel: str, *, done: bool = False) -> StartAnnouncing:
    answer: Any = SimpleNamespace(done=lambda: done)
    return StartAnnouncing(channel, answer)


def stop(channel: str) -> StopAnnouncing:
    return StopAnnouncing(channel)


def fault(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("as the disk says")
    error.sqlite_errorcode = code
    return error
