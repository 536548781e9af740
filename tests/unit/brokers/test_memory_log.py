"""What a log retains, what it says it takes, and the pages that are read from it."""

from collections.abc import Callable, Sequence

import pytest

from eventhub.brokers.base import BIRTH_SECONDS, PAGE_BYTES
from eventhub.brokers.memory_log import MemoryLog, read_page
from eventhub.brokers.memory_state import EVENT_OVERHEAD, Ledger
from eventhub.events.channel_types import Retention
from eventhub.events.event import Age, Earliest, Event, HistoryPage, Last, Position

NOW = 1_795_000_000_000
FLOOR = 10
Add = Callable[[MemoryLog, Sequence[Event]], None]


def one_by_one(log: MemoryLog, events: Sequence[Event]) -> None:
    for event in events:
        log.append(event)


def together(log: MemoryLog, events: Sequence[Event]) -> None:
    log.extend(events)


both_ways = pytest.mark.parametrize("add", [one_by_one, together])


def events(*data: bytes, times: Sequence[int] = (), begin: int = FLOOR + 1) -> list[Event]:
    """With consecutive offsets, all at NOW unless `times` says otherwise."""
    return [
        Event("chat.a", "e", offset, offset - 1, times[index] if times else NOW, each, None)
        for index, (offset, each) in enumerate(enumerate(data, begin))
    ]


def log(most: int = 100, age: int | None = None, ledger: Ledger | None = None) -> MemoryLog:
    return MemoryLog(Retention(most, age), FLOOR, ledger or Ledger())


def texts(log: MemoryLog) -> list[bytes]:
    return [log.events[index].data for index in range(len(log.events))]


def size(log: MemoryLog) -> int:
    return sum(len(each) + EVENT_OVERHEAD for each in texts(log))


@both_ways
def test_a_log_says_what_its_events_take(add: Add) -> None:
    ledger = Ledger()
    first, second = log(most=3, ledger=ledger), log(ledger=ledger)
    assert (first.bytes, ledger.bytes) == (0, 0)
    add(first, events(b"a", b"bb", b"ccc", b"dddd"))
    add(first, events(b"eeeee", begin=FLOOR + 5))
    add(second, events(b"f"))
    assert texts(first) == [b"ccc", b"dddd", b"eeeee"]
    assert (first.bytes, second.bytes) == (size(first), size(second))
    assert ledger.bytes == size(first) + size(second)
    first.trim(2)
    assert (texts(first), first.bytes) == ([b"eeeee"], 5 + EVENT_OVERHEAD)
    assert ledger.bytes == size(first) + size(second)


@both_ways
def test_a_log_knows_its_newest_offset_and_the_last_that_is_gone(add: Add) -> None:
    kept = log(most=2)
    assert (kept.trimmed, kept.tip) == (FLOOR, FLOOR)
    add(kept, events(b"a", b"b", b"c"))
    assert (kept.trimmed, kept.tip) == (FLOOR + 1, FLOOR + 3)


@both_ways
def test_a_log_without_retention_keeps_nothing_but_its_place(add: Add) -> None:
    kept = log(most=0)
    add(kept, events(b"a", b"b"))
    assert (texts(kept), kept.bytes, kept.ledger.bytes) == ([], 0, 0)
    assert (kept.trimmed, kept.tip) == (FLOOR + 2, FLOOR + 2)


@both_ways
def test_a_log_of_one_event_keeps_the_newest(add: Add) -> None:
    kept = log(most=1)
    add(kept, events(b"a", b"b"))
    assert texts(kept) == [b"b"]


@both_ways
def test_events_older_than_the_newest_by_more_than_the_age_are_forgotten(add: Add) -> None:
    kept = log(age=1000)
    add(kept, events(b"a", b"b", b"c", times=[NOW - 1001, NOW - 1000, NOW]))
    assert texts(kept) == [b"b", b"c"]
    kept.expire(NOW + 1000)
    assert texts(kept) == [b"c"]
    kept.expire(NOW + 1001)
    assert texts(kept) == []


def test_without_an_age_no_event_expires() -> None:
    kept = log()
    together(kept, events(b"a"))
    kept.expire(NOW * 2)
    assert texts(kept) == [b"a"]


def page(
    since: Position | Earliest | Last | Age, *, limit: int = 100, tip: int = FLOOR + 5
) -> HistoryPage:
    """Of a log that holds the offsets 13, 14 and 15, a second apart, the last at NOW."""
    kept = log(most=3)
    together(
        kept, events(*(b"x" for _ in range(5)), times=[NOW - 1000 * (4 - n) for n in range(5)])
    )
    return read_page(kept, Position("e", tip), since, limit, NOW)


@pytest.mark.parametrize(
    ("since", "begin", "offsets", "lost"),
    [
        (Earliest(), 12, [13, 14, 15], None),
        (Position("e", 11), 12, [13, 14, 15], "expired"),
        (Position("e", 12), 12, [13, 14, 15], None),
        (Position("e", 14), 14, [15], None),
        (Position("e", 15), 15, [], None),
        (Position("e", 16), 12, [13, 14, 15], "reset"),
        (Position("other", 14), 12, [13, 14, 15], "reset"),
        (Last(2), 13, [14, 15], None),
        (Last(3), 12, [13, 14, 15], None),
        (Last(4), 12, [13, 14, 15], None),
        (Age(1000), 13, [14, 15], None),
        (Age(999), 14, [15], None),
    ],
)
def test_a_page_begins_where_it_was_asked_for(
    since: Position | Earliest | Last | Age, begin: int, offsets: list[int], lost: str | None
) -> None:
    found = page(since)
    assert [event.offset for event in found.events] == offsets
    assert (found.start, found.end, found.lost) == (Position("e", begin), Position("e", 15), lost)


def test_a_page_has_no_more_events_than_the_limit() -> None:
    assert [event.offset for event in page(Earliest(), limit=2).events] == [13, 14]


def test_a_page_ends_with_the_event_that_fills_its_bytes() -> None:
    kept = log()
    half = b"x" * (PAGE_BYTES // 2)
    together(kept, events(half, half, b"", b""))
    assert len(read_page(kept, Position("e", kept.tip), Earliest(), 100, NOW).events) == 2


def births(retention: Retention, *times: int) -> list[int]:
    """At which of these times an event is a birth, where it is asked whether it is one."""
    log, found = MemoryLog(retention, 0, Ledger()), []
    for time in times:
        previous = log.tip
        log.append(Event("a", "e", previous + 1, previous, time, b"1", None))
        if log.trimmed >= previous and log.is_birth(time):
            found.append(time)
    return found


def test_an_event_is_a_birth_when_none_before_it_is_retained() -> None:
    assert births(Retention(5, None), 0, 1, 10**9) == [0]
    assert births(Retention(5, 1000), 0, 1000, 2001) == [0, 2001]
    assert births(Retention(1, None), 0, 1, 10**9) == [0]
    assert births(Retention(1, 1000), 0, 1000, 2001) == [0, 2001]
    assert births(Retention(1, 1000), 10, 9) == [10, 9], "the clock was set back"


def test_in_a_log_that_retains_nothing_there_is_a_birth_after_each_pause() -> None:
    pause = BIRTH_SECONDS * 1000
    assert births(Retention(0, None), 0, 1, pause, pause + 1, pause + 2) == [0, pause + 1]


def test_after_all_events_were_trimmed_the_next_is_a_birth() -> None:
    log = MemoryLog(Retention(1, None), 0, Ledger())
    log.append(Event("a", "e", 1, 0, 5, b"1", None))
    assert log.is_birth(5)
    log.trim(1)
    log.append(Event("a", "e", 2, 1, 6, b"1", None))
    assert log.is_birth(6)
