"""A reader of history with a broker whose log the test decides, for tests."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from eventhub.delivery.counters import DeliveryCounters
from eventhub.delivery.feed import Feed
from eventhub.delivery.subscriber import Subscriber
from eventhub.errors import BrokerUnavailable, EventHubError
from eventhub.events.event import Earliest, Event, HistoryPage, Position
from eventhub.hub.history import PAGE_EVENTS, Asked, HistoryReader
from tests.harness.builders import CHAT, FeedDesk, channel_type
from tests.harness.builders import Asked as Start
from tests.harness.virtual_time import run_in_virtual_time

ONE = Event("chat.a", "e", 1, 0, 0, b"1")


class Log:
    """A broker's history: how often it was read, and what it answers."""

    def __init__(self) -> None:
        self.reads = 0
        self.away = 0
        self.failure: Exception | None = None
        self.events: list[Event] = [ONE]
        self.lost: str | None = None
        self.pages: dict[Start, HistoryPage] = {}
        """The newest by start."""

    async def history(self, channel: str, since: Start, limit: int) -> HistoryPage:
        assert (channel, limit) == ("chat.a", PAGE_EVENTS)
        self.reads += 1
        await asyncio.sleep(0)
        if self.away:
            self.away -= 1
            raise BrokerUnavailable("away")
        if self.failure is not None:
            raise self.failure
        end = Position("e", len(self.events))
        self.pages[since] = HistoryPage(Position("e", 0), self.events, end, self.lost)
        return self.pages[since]


class Desk:
    """A reader of history, and what became of each question."""

    def __init__(self) -> None:
        self.log = Log()
        self.feed = Feed("chat.a", channel_type(schema=CHAT), DeliveryCounters(), FeedDesk())
        self.given: list[Subscriber | None] = []
        self.lost: list[tuple[Subscriber | None, str]] = []
        self.wanted = True
        self.tasks: list[asyncio.Task[None]] = []
        self.failed: list[Callable[[EventHubError], None]] = []
        """What is called for each read that ends with a fault."""
        self.reader = HistoryReader(
            self.log,  # type: ignore[arg-type]  # as much of a broker as is asked
            self._spawn,
            self._give,
            lambda _: self.wanted,
            self._lose,
        )

    def ask(self, subscriber: Subscriber | None, *, offset: int = 0) -> None:
        """Ask for a page."""
        self.reader.ask((self.feed, Position("e", offset), 0), subscriber)

    async def done(self) -> None:
        """Until nothing is being read."""
        await asyncio.gather(*self.tasks)
        await asyncio.sleep(0)

    def _spawn(
        self, work: Coroutine[Any, Any, None], where: str, failed: Callable[[EventHubError], None]
    ) -> None:
        assert where == "history"
        self.failed.append(failed)
        self.tasks.append(asyncio.create_task(work))

    def _give(self, asked: Asked, subscriber: Subscriber | None, page: HistoryPage) -> None:
        assert asked[0] is self.feed
        assert page is self.log.pages[asked[1]]
        self.given.append(subscriber)

    def _lose(self, asked: Asked, subscriber: Subscriber | None, error: Exception) -> None:
        assert asked[0] is self.feed
        self.lost.append((subscriber, type(error).__name__))


def reader() -> Subscriber:
    """A subscriber that is catching up."""
    return Subscriber("chat.a", Earliest(), None, lambda *_: None)  # type: ignore[arg-type]  # never written to


def run(scenario: Callable[[Desk], Awaitable[None]]) -> Desk:
    async def main() -> Desk:
        desk = Desk()
        await scenario(desk)
        return desk

    return run_in_virtual_time(main())
