"""history.py: one read for all readers of the same page, again while the broker is away, shared for
a moment. Time is virtual (tests/harness/virtual_time.py).
"""

import asyncio

import pytest

from eventhub.common.faults import internal
from eventhub.delivery.subscriber import SubscriberState
from eventhub.events.event import Position
from eventhub.hub.history import (
    CACHE_SECONDS,
    CACHED_PAGES,
    READERS,
    RETRY_SECONDS,
)
from tests.harness.eventually import in_turns, turns_until
from tests.unit.hub.history_desk import Desk, reader, run


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
        await asyncio.sleep(CACHE_SECONDS - 0.1)
        desk.ask(second)
        await desk.done()
        assert (desk.given, desk.log.reads) == ([first, second, second], 1)
        await asyncio.sleep(0.1)
        desk.ask(third)
        await desk.done()
        assert (desk.given, desk.log.reads) == ([first, second, second, third], 2)

    run(scenario)


def test_a_page_for_the_live_subscribers_is_always_read() -> None:
    async def scenario(desk: Desk) -> None:
        for _ in range(2):
            desk.ask(None)
            await desk.done()

    assert run(scenario).log.reads == 2


def test_a_page_that_was_read_twice_is_kept_until_the_first_time_is_over() -> None:
    async def scenario(desk: Desk) -> None:
        desk.ask(None)
        await desk.done()
        desk.ask(None)
        await desk.done()
        desk.ask(reader())
        await asyncio.sleep(CACHE_SECONDS)
        desk.ask(reader())
        await desk.done()

    assert run(scenario).log.reads == 3


def test_an_empty_page_is_not_kept() -> None:
    async def scenario(desk: Desk) -> None:
        desk.log.events = []
        for _ in range(2):
            desk.ask(reader())
            await desk.done()

    desk = run(scenario)
    assert (desk.log.reads, len(desk.given)) == (2, 2)


def test_a_page_that_a_position_lies_beyond_the_end_is_not_kept() -> None:
    async def scenario(desk: Desk) -> None:
        desk.log.lost = "reset"
        for _ in range(2):  # by the second time, the event at that position may have been stored
            desk.ask(reader(), offset=2)
            await desk.done()

    assert run(scenario).log.reads == 2


def test_a_page_of_a_log_that_lost_its_oldest_events_is_kept() -> None:
    async def scenario(desk: Desk) -> None:
        desk.log.lost = "expired"
        for _ in range(2):
            desk.ask(reader())
            await desk.done()

    assert run(scenario).log.reads == 1


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
        for _ in range(2):
            for offset in range(CACHED_PAGES + 5):
                desk.ask(reader(), offset=offset)
            await desk.done()

    assert run(scenario).log.reads == CACHED_PAGES + 5 + 5


def test_a_broker_that_is_away_is_asked_again_after_a_moment() -> None:
    async def scenario(desk: Desk) -> None:
        begin = asyncio.get_running_loop().time()
        desk.log.away = 3
        desk.ask(reader())
        await desk.done()
        assert asyncio.get_running_loop().time() == begin + 3 * RETRY_SECONDS

    desk = run(scenario)
    assert (desk.log.reads, len(desk.given), desk.lost) == (4, 1, [])


@pytest.mark.parametrize("gone", ["the readers", "the feed"])
def test_a_broker_that_is_away_is_not_asked_for_what_nobody_wants(gone: str) -> None:
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
    assert (desk.log.reads, desk.given, desk.lost) == (1, [], [])


@pytest.mark.parametrize("state", list(SubscriberState)[:3])
def test_a_broker_that_is_away_is_asked_while_one_of_the_readers_is_left(
    state: SubscriberState,
) -> None:
    async def scenario(desk: Desk) -> None:
        desk.log.away = 2
        gone, left = reader(), reader()
        left.state = state
        desk.ask(gone)
        desk.ask(left)
        gone.state = SubscriberState.GONE
        await desk.done()
        assert desk.given == [gone, left]

    assert run(scenario).log.reads == 3


@pytest.mark.parametrize("failure", [ZeroDivisionError(), internal()])
def test_every_reader_is_told_of_a_page_that_cannot_be_read(failure: Exception) -> None:
    async def scenario(desk: Desk) -> None:
        desk.log.failure = failure
        readers = [reader(), None]
        for subscriber in readers:
            desk.ask(subscriber)
        await desk.done()
        assert desk.lost == [(subscriber, type(failure).__name__) for subscriber in readers]
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
