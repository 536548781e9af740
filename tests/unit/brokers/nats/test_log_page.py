"""brokers/nats/log_page.py: where a page begins and ends, and what it says is lost."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from eventhub.brokers.base import PAGE_BYTES
from eventhub.brokers.nats.log import StreamState
from eventhub.brokers.nats.log_page import _empty_page, read_page
from eventhub.brokers.nats.message import StreamMessage, offset_of
from eventhub.events.event import Age, Earliest, HistoryPage, Last, Position
from tests.harness.loop import in_loop
from tests.unit.brokers.nats.links import STREAM, add_stream, linked, log_on, put
from tests.unit.brokers.nats.server import FakeNats

EPOCH, STAMP = "00000001", 7
Since = Position | Earliest | Last | Age
NOW = 100_000


def at(sequence: int, stamp: int = STAMP, epoch: str = EPOCH) -> Position:
    return Position(epoch, offset_of(sequence, stamp))


def seen(page: HistoryPage) -> tuple[int, list[int], str | None]:
    """Sequence of the start, those of the events, and what is lost."""
    sequences = [event.offset >> 16 for event in page.events]
    assert page.end.epoch == EPOCH
    before = page.start.offset
    for event in page.events:
        assert event.previous == before, "a page has no holes"
        before = event.offset
    return page.start.offset >> 16, sequences, page.lost


def server_with(times: Sequence[int], others_after: int = 0) -> FakeNats:
    """A server whose log.a has an event of each time, and log.b so many between each two."""
    server = FakeNats()
    add_stream(server, max_msgs_per_subject=1000)
    for time in times:
        put(server, "log.a", str(time).encode(), time=time)
        for _ in range(others_after):
            put(server, "log.b")
    return server


async def read(
    server: FakeNats,
    since: Since,
    *,
    limit: int = 100,
    events: int = 10,
    age: int | None = None,
    announced: Position | None = None,
) -> HistoryPage:
    async with linked(server) as link:
        return await read_page(log_on(link, events, age), since, limit, NOW, announced)


@pytest.mark.parametrize(
    ("since", "lost"),
    [
        (Earliest(), None),
        (Last(5), None),
        (Age(5), None),
        (at(6, 0), None),
        (at(6, 1), "reset"),
        (at(7, 0), "reset"),
        (at(6, 0, "other"), "reset"),
        (at(5, 0), None),
        (at(4, 0), None),
        (at(3, 0), "expired"),
        (at(4, 9), "expired"),
        (at(3, 9), None),
        (at(2, 9), "expired"),
    ],
)
def test_a_position_in_an_empty_channel(since: Since, lost: str | None) -> None:
    """The stream has the messages 4 and 5 of others: 1 to 3 are gone."""
    page = _empty_page(EPOCH, since, StreamState(4, 5), None)
    assert (page.start, page.events, page.end, page.lost) == (at(6, 0), [], at(6, 0), lost)


def test_an_empty_channel_that_is_announced_stands_where_its_announcements_do() -> None:
    page = _empty_page(EPOCH, at(2), StreamState(4, 5), at(2))
    assert (page.start, page.end, page.lost) == (at(2), at(2), None)
    assert _empty_page(EPOCH, at(1), StreamState(4, 5), at(2)).lost == "expired"
    assert _empty_page(EPOCH, at(6, 0), StreamState(4, 5), at(2)).lost is None


@in_loop
async def test_an_event_that_is_stored_while_a_channel_seems_empty_is_in_the_page() -> None:
    server = server_with([])

    def store_first(subject: str, body: bytes) -> Mapping[str, Any]:
        put(server, "log.a")
        return server.jetstream.api(subject, body)

    assert seen(await read(server, Earliest())) == (1, [], None)
    server.answers["STREAM.INFO"] = store_first
    assert seen(await read(server, Earliest())) == (1, [1], None)


@pytest.mark.parametrize(
    ("since", "page"),
    [
        (Earliest(), (1, [1, 2, 3, 4], None)),
        (at(1), (1, [2, 3, 4], None)),
        (at(3), (3, [4], None)),
        (at(4), (4, [], None)),
        (at(5), (1, [1, 2, 3, 4], "reset")),
        (at(4, 8), (1, [1, 2, 3, 4], "reset")),
        (at(2, 8), (1, [1, 2, 3, 4], "reset")),
        (at(2, STAMP, "other"), (1, [1, 2, 3, 4], "reset")),
        (at(1, 0), (1, [1, 2, 3, 4], None)),
        (at(3, 0), (3, [3, 4], None)),
        (Last(0), (4, [], None)),
        (Last(1), (3, [4], None)),
        (Last(3), (1, [2, 3, 4], None)),
        (Last(4), (1, [1, 2, 3, 4], None)),
        (Last(9), (1, [1, 2, 3, 4], None)),
        (Age(NOW - 30), (2, [3, 4], None)),
        (Age(NOW - 31), (3, [4], None)),
        (Age(NOW - 41), (4, [], None)),
        (Age(NOW), (1, [1, 2, 3, 4], None)),
    ],
)
@in_loop
async def test_a_page_of_a_whole_log(since: Since, page: tuple[int, list[int], str | None]) -> None:
    assert seen(await read(server_with([10, 20, 30, 40]), since)) == page


@pytest.mark.parametrize(
    ("since", "page"),
    [
        (Earliest(), (2, [3, 4], None)),
        (at(1), (2, [3, 4], "expired")),
        (at(2), (2, [3, 4], None)),
        (at(2, 0), (2, [3, 4], "expired")),
        (at(3, 0), (3, [3, 4], None)),
        (Last(9), (2, [3, 4], None)),
        (Last(2), (2, [3, 4], None)),
    ],
)
@in_loop
async def test_events_beyond_the_number_that_is_retained_are_not_shown(
    since: Since, page: tuple[int, list[int], str | None]
) -> None:
    assert seen(await read(server_with([10, 20, 30, 40]), since, events=2)) == page


@pytest.mark.parametrize(
    ("since", "page"),
    [
        (Earliest(), (2, [3, 4], None)),
        (at(1), (2, [3, 4], "expired")),
        (at(2), (2, [3, 4], None)),
        (at(3), (3, [4], None)),
        (at(4), (4, [], None)),
        (Last(9), (2, [3, 4], None)),
        (Last(1), (3, [4], None)),
        (Age(NOW), (2, [3, 4], None)),
        (Age(NOW - 40), (3, [4], None)),
    ],
)
@in_loop
async def test_events_beyond_the_age_that_is_retained_are_not_shown(
    since: Since, page: tuple[int, list[int], str | None]
) -> None:
    assert seen(await read(server_with([10, 20, 30, 40]), since, age=NOW - 30)) == page


@pytest.mark.parametrize("since", [Earliest(), Last(5), Age(NOW), at(1)])
@in_loop
async def test_when_all_has_expired_the_page_is_empty_and_stands_at_the_end(since: Since) -> None:
    page = await read(server_with([10, 20]), since, age=1000)
    lost = "expired" if isinstance(since, Position) else None
    assert seen(page) == (2, [], lost)
    assert page.start == page.end == at(2)


@pytest.mark.parametrize("since", [Earliest(), Last(5), Age(NOW), at(2)])
@in_loop
async def test_without_retention_the_page_is_empty(since: Since) -> None:
    assert seen(await read(server_with([10, 20]), since, events=0)) == (2, [], None)


@pytest.mark.parametrize(
    ("since", "page"),
    [
        (at(1), (3, [3, 4, 5], "expired")),
        (at(2), (3, [3, 4, 5], "expired")),
        (at(2, 0), (3, [3, 4, 5], "expired")),
        (at(3, 0), (3, [3, 4, 5], None)),
        (at(3), (3, [4, 5], None)),
        (Earliest(), (3, [3, 4, 5], None)),
    ],
)
@in_loop
async def test_a_position_whose_message_is_gone_has_expired(
    since: Since, page: tuple[int, list[int], str | None]
) -> None:
    server = server_with([10, 20, 30, 40, 50])
    server.jetstream.streams[STREAM].remove(lambda stored: stored.sequence < 3)
    assert seen(await read(server, since)) == page


@in_loop
async def test_a_place_between_events_stays_one_when_others_store_there() -> None:
    server = server_with([10, 20], others_after=1)
    assert seen(await read(server, at(2, 0))) == (2, [3], None)


@pytest.mark.parametrize("count", [1, 3, 7])
@in_loop
async def test_the_last_events_are_found_among_many_of_other_channels(count: int) -> None:
    server = server_with([10, 20, 30, 40, 50, 60, 70, 80], others_after=40)
    page = await read(server, Last(count))
    assert [event.time for event in page.events] == list(range(90 - 10 * count, 90, 10))
    assert page.start == at(1 + 41 * (7 - count))
    assert server.asked("CONSUMER.CREATE") <= 8


@in_loop
async def test_a_page_ends_at_its_limit_and_goes_on_from_there() -> None:
    server = server_with([10, 20, 30, 40])
    for since, page in (
        (Earliest(), (1, [1, 2], None)),
        (at(1), (1, [2, 3], None)),
        (Last(3), (1, [2, 3], None)),
        (Age(NOW - 20), (1, [2, 3], None)),
    ):
        assert seen(await read(server, since, limit=2)) == page
        assert (await read(server, since, limit=2)).end == at(4)


@in_loop
async def test_a_page_ends_with_the_event_that_makes_it_large() -> None:
    server = server_with([])
    half = b'"%s"' % (b"x" * (PAGE_BYTES // 2 - 100))
    for _ in range(5):
        put(server, "log.a", half)
    pages = [await read(server, since) for since in (Earliest(), at(1))]
    for page, before in zip(pages, (1, 1), strict=True):
        assert page.start.offset >> 16 == before
        assert 1 <= len(page.events) <= 3
    assert seen(pages[1])[1][0] == 2


@in_loop
async def test_an_unreadable_record_ends_a_page_and_the_next_says_so() -> None:
    server = server_with([10])
    put(server, "log.a", b"{")
    put(server, "log.a", b"3", time=30)
    first = await read(server, Earliest())
    assert seen(first) == (1, [1], None)
    assert seen(await read(server, first.events[0].position)) == (2, [3], "unreadable")


@in_loop
async def test_events_that_are_trimmed_while_a_page_is_read_are_not_in_it() -> None:
    server = server_with([10, 20])

    async def nothing_left(*_: object) -> list[StreamMessage]:
        return []

    for since in (Earliest(), Last(5)):
        async with linked(server) as link:
            log = log_on(link)
            log.pull = nothing_left  # type: ignore[method-assign,assignment]
            page = await read_page(log, since, 10, NOW, None)
        assert seen(page) == (2, [], None)
