"""delivery/pattern_cursor.py: when a cursor needs a journal, and when another one begins."""

import orjson
import pytest

from eventhub.delivery import pattern_cursor
from eventhub.delivery.pattern_cursor import PatternCursor, parse_pattern_cursor
from eventhub.errors import InvalidSince
from tests.unit.delivery.test_pattern_cursor import PATTERN, Kept

CURSOR, PART, REWRITE = 91, 300, 2


@pytest.fixture(autouse=True)
def bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small ones."""
    for name, value in (("CURSOR_BYTES", CURSOR), ("PART_BYTES", PART), ("REWRITE", REWRITE)):
        monkeypatch.setattr(pattern_cursor, name, value)


@pytest.fixture
def kept() -> Kept:
    return Kept()


def cursor_with(kept: Kept, channels: int) -> PatternCursor:
    """Each channel takes 13 bytes: eight for its name, three for its position."""
    cursor = PatternCursor(PATTERN, kept)
    for number in range(channels):
        cursor.move(f"iot.{number:04}", "k-1")
    return cursor


def test_there_is_no_journal_while_a_cursor_has_its_bound_and_one_beyond_it(kept: Kept) -> None:
    assert not cursor_with(kept, 7).in_journal
    assert cursor_with(kept, 8).in_journal


def test_a_position_that_gets_longer_takes_more(kept: Kept) -> None:
    cursor = cursor_with(kept, 7)
    cursor.move("iot.0003", "k-2")
    assert not cursor.in_journal
    cursor.move("iot.0003", "k-10")
    assert cursor.in_journal


def test_a_journal_begins_with_one_complete_record(kept: Kept) -> None:
    cursor = cursor_with(kept, 8)
    assert str(cursor) == "*000000000001.1"
    assert [len(records) for records in kept.records.values()] == [1]
    assert kept.resolve(str(cursor)) == ("", {f"iot.{each:04}": "k-1" for each in range(8)})


@pytest.mark.parametrize("channels", [8, 90])
def test_a_journal_ends_when_what_follows_is_several_times_as_large(
    kept: Kept, channels: int
) -> None:
    cursor = PatternCursor(PATTERN, kept)
    cursor.move_all([(f"iot.{number:04}", "k-1") for number in range(channels)])
    for number in range(4000):
        cursor.move(f"iot.{number % channels:04}", f"k-{number}")
    *finished, _ = kept.records.values()
    assert len(finished) > 2
    for records in finished:
        complete = parts_of(records, channels)
        most = REWRITE * sum(map(len, records[:complete])) + PART
        others = [len(record) for record in records[complete:]]
        assert sum(others[:-1]) <= most < sum(others)
    assert kept.resolve(str(cursor))[1]["iot.0000"] == f"k-{3999 // channels * channels}"


def parts_of(records: list[bytes], channels: int) -> int:
    """So many records at its beginning have all channels."""
    named = set[str]()
    for number, record in enumerate(records, 1):
        named |= orjson.loads(record)["at"].keys()
        if len(named) == channels:
            return number
    raise AssertionError


def test_much_that_moves_at_once_is_no_record_but_another_journal(kept: Kept) -> None:
    cursor = cursor_with(kept, 8)
    cursor.move_all([(f"iot.{number:04}", "k-2") for number in range(100)])
    assert [len(records) for records in kept.records.values()] == [1, 6]
    assert all(len(record) < PART + 150 for records in kept.records.values() for record in records)


def test_the_parts_of_a_complete_record_are_full(kept: Kept) -> None:
    cursor = PatternCursor(PATTERN, kept)
    cursor.move_all([(f"iot.{number:04}", "k-1") for number in range(180)])
    (records,) = kept.records.values()
    assert len(records) == 10, "18 channels of 17 bytes each"


def test_a_channel_may_be_named_last_again_and_again(kept: Kept) -> None:
    cursor = cursor_with(kept, 6)
    for number in range(100):
        cursor.end_with(f"iot.{number % 3:04}", "k-2")
        assert str(cursor).endswith(f",iot.{number % 3:04}@k-2")
    assert not cursor.in_journal


def test_a_reader_that_has_begun_everywhere_stands_where_it_moved_since(kept: Kept) -> None:
    cursor = PatternCursor(PATTERN, kept, "-20")
    cursor.move("iot.a", "k-9")
    whole = cursor.completed({"iot.a": "k-1", "iot.b": "k-2"})
    assert kept.resolve(str(whole)) == ("", {"iot.a": "k-9", "iot.b": "k-2"})


def test_a_cursor_that_names_a_channel_twice_is_refused() -> None:
    with pytest.raises(InvalidSince, match=r"names 'iot\.a' more than once"):
        parse_pattern_cursor("*,iot.a@k-1,iot.b@k-1,iot.a@k-2", "since")
