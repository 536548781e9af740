"""history.py: one read for all readers of the same page, again while the broker is away, shared for
a moment.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from eventhub.common.faults import internal
from eventhub.delivery.fanout import DeliveryCounters
from eventhub.delivery.feed import Feed
from eventhub.delivery.subscriber import Subscriber, SubscriberState
from eventhub.errors import BrokerUnavailable, EventHubError
from eventhub.events.event import Age, Earliest, Event, HistoryPage, Last, Position
from eventhub.hub import history
from eventhub.hub.history import CACHE_SECONDS, CACHED_PAGES, READERS, Asked, HistoryReader
from tests.harness.builders import CHAT, FeedDesk, channel_type
from tests.harness.eventually import in_turns, turns_until

ONE = Event("chat.a", "e", 1, 0, 0, b"1")


class Log:
    """A broker's history: how often it was read, and what it answers."""

    def __init__(self) -> None:
        self.reads = 0
        self.away = 0
        self.failure: Exception | None = None
        self.events: list[Event] = [ONE]
        self.lost: str | None = None

    async def history(
        self, channel: str, since: Position | Earliest | Last | Age, limit: int
    ) -> HistoryPage:
        self.reads += 1
        await asyncio.sleep(0)
        if self.away:
            self.away -= 1
            raise BrokerUnavailable("away")
        if self.failure is not None:
            raise self.failure
        end = Position("e", len(self.events))
        return HistoryPage(Position("e", 0), self.events, end, self.lost)


class Desk:
    """A reader of history, and what became of each question."""

    def __init__(self) -> None:
        self.log = Log()
        self.feed = Feed("chat.a", channel_type(schema=CHAT), DeliveryCounters(), FeedDesk())
        self.given: list[Subscriber | None] = []
        self.lost: list[tuple[Subscriber | None, str]] = []
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.wanted = True
        self.tasks: list[asyncio.Task[None]] = []
        self.failed: list[Callable[[EventHubError], None]] = []
        """What is called for each read that ends with a fault."""
        self.reader = HistoryReader(
            self.log,  # type: ignore[arg-type]  # as much of a broker as is asked
            self._spawn,
            lambda _, subscriber, __: self.given.append(subscriber),
            lambda _: self.wanted,
            self._lose,
            later=lambda seconds, act: self.timers.append((seconds, act)),
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

    return asyncio.run(main())


def test_readers_of_the_same_page_share_one_read() -> None:
    async def scenario(desk: Desk) -> None:
        readers = [reader(), None, reader()]
        for subscriber in readers:
            desk.ask(subscriber)
        assert desk.given == [], "never from inside the call"
        await desk.done()
        assert desk.given == readers
        assert desk.log.reads == 1

    run(scenario)


def test_another_position_is_another_read() -> None:
    async def scenario(desk: Desk) -> None:
        desk.ask(reader(), offset=0)
        desk.ask(reader(), offset=1)
        await desk.done()

    assert run(scenario).log.reads == 2


def test_a_page_is_kept_for_a_moment() -> None:
    async def scenario(desk: Desk) -> None:
        first, second, third = reader(), reader(), reader()
        desk.ask(first)
        await desk.done()
        desk.ask(second)
        assert desk.given == [first], "never from inside the call"
        await desk.done()
        assert (desk.given, desk.log.reads) == ([first, second], 1)
        ((seconds, forget),) = desk.timers
        assert seconds == CACHE_SECONDS
        forget()
        desk.ask(third)
        await desk.done()
        assert (desk.given, desk.log.reads) == ([first, second, third], 2)

    run(scenario)


def test_a_page_for_the_live_subscribers_is_always_read() -> None:
    async def scenario(desk: Desk) -> None:
        for _ in range(2):
            desk.ask(None)
            await desk.done()

    assert run(scenario).log.reads == 2


def test_an_empty_page_is_not_kept() -> None:
    async def scenario(desk: Desk) -> None:
        desk.log.events = []
        for _ in range(2):
            desk.ask(reader())
            await desk.done()

    desk = run(scenario)
    assert (desk.log.reads, desk.timers) == (2, [])


def test_a_page_that_a_position_lies_beyond_the_end_is_not_kept() -> None:
    async def scenario(desk: Desk) -> None:
        desk.log.lost = "reset"
        for _ in range(2):  # by the second time, the event at that position may have been stored
            desk.ask(reader(), offset=2)
            await desk.done()

    assert run(scenario).log.reads == 2


def test_who_asks_while_such_a_page_is_read_gets_a_newer_one() -> None:
    async def scenario(desk: Desk) -> None:
        first, *later = readers = [reader(), reader(), None]
        desk.log.lost = "reset"
        desk.ask(first, offset=2)
        await in_turns("a read", lambda: desk.log.reads)
        for subscriber in later:
            desk.ask(subscriber, offset=2)
        await in_turns("the first to get its page", lambda: first in desk.given)
        assert desk.given == [first]
        desk.log.lost = None
        await desk.done()
        assert (desk.given, desk.log.reads) == (readers, 2)

    run(scenario)


def test_a_page_of_a_new_epoch_is_kept_for_positions_of_the_old_one() -> None:
    async def scenario(desk: Desk) -> None:
        desk.log.lost = "reset"
        for _ in range(2):
            desk.reader.ask((desk.feed, Position("old", 2), 0), reader())
            await desk.done()

    assert run(scenario).log.reads == 1


def test_the_pages_that_are_kept_are_bounded() -> None:
    async def scenario(desk: Desk) -> None:
        for offset in range(CACHED_PAGES + 5):
            desk.ask(reader(), offset=offset)
        await desk.done()

    assert len(run(scenario).timers) == CACHED_PAGES


def test_a_broker_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "RETRY_SECONDS", 0)

    async def scenario(desk: Desk) -> None:
        desk.log.away = 3
        desk.ask(reader())
        await desk.done()

    desk = run(scenario)
    assert (desk.log.reads, len(desk.given), desk.lost) == (4, 1, [])


@pytest.mark.parametrize("gone", ["the readers", "the feed"])
def test_a_broker_that_is_away_is_not_asked_for_what_nobody_wants(
    monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    monkeypatch.setattr(history, "RETRY_SECONDS", 0)

    async def scenario(desk: Desk) -> None:
        desk.log.away = 1_000_000
        subscriber = reader()
        desk.ask(subscriber)
        await asyncio.sleep(0)
        if gone == "the feed":
            desk.wanted = False
        else:
            subscriber.state = SubscriberState.GONE
        await desk.done()

    desk = run(scenario)
    assert (desk.given, desk.lost) == ([], [])


def test_every_reader_is_told_of_a_page_that_cannot_be_read() -> None:
    async def scenario(desk: Desk) -> None:
        desk.log.failure = ZeroDivisionError()
        readers = [reader(), None]
        for subscriber in readers:
            desk.ask(subscriber)
        await desk.done()
        assert desk.lost == [(subscriber, "ZeroDivisionError") for subscriber in readers]
        desk.log.failure = None
        desk.ask(readers[0])
        await desk.done()
        assert desk.given == [readers[0]], "the next question is a new read"

    run(scenario)


def test_whoever_asked_is_told_of_a_read_that_ended_with_a_fault() -> None:
    async def scenario(desk: Desk) -> None:
        readers = [reader(), None]
        for offset, subscriber in enumerate(readers):
            desk.ask(subscriber, offset=offset)
        await desk.done()
        for failed in desk.failed:
            failed(internal())
        assert desk.lost == [(subscriber, "Internal") for subscriber in readers]

    run(scenario)


def test_many_readers_get_their_page_in_several_turns_of_the_loop() -> None:
    async def scenario(desk: Desk) -> None:
        for _ in range(2 * READERS + 1):
            desk.ask(reader())
        seen: set[int] = set()
        async for _ in turns_until(desk.tasks[0].done):
            seen.add(len(desk.given))
        assert {READERS, 2 * READERS} <= seen
        assert len(desk.given) == 2 * READERS + 1

    run(scenario)
