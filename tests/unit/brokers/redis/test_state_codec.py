"""brokers/redis/state_codec.py: what is asked of the scripts of pages, and what they answer."""

from typing import Any

import pytest

from eventhub.brokers.base import PAGE_BYTES
from eventhub.brokers.records import RecordReader
from eventhub.brokers.redis.codec import DAY, HISTORY, STATE, KeyNames
from eventhub.brokers.redis.state_codec import (
    keep_request,
    page_request,
    read_any_page,
    read_state_page,
    state_arguments,
)
from eventhub.events.channel_types import Retention, StateRetention
from eventhub.events.event import Earliest, Position, State

NAMES = KeyNames("p", 0)
LATEST = Retention(5, 1000, StateRetention(latest=True, age=2000))
RECORDS = RecordReader("redis")
NOW = 77


def row(offset: int) -> list[Any]:
    return [b"%d-5" % offset, b'{"key":"k%d"}\n1' % offset]


def answer(*items: Any, end: int = 9, start: int = 0, lost: bytes = b"", more: int = 0) -> Any:
    return [b"e", end, start, lost, 4, more, *items]


def test_a_state_is_asked_of_its_own_script_with_all_keys_of_the_channel() -> None:
    request = page_request(NAMES, "a.b", State(Position("e", 3), 2), 10, LATEST, NOW)
    assert request[0] == STATE.sha
    keys = [NAMES.metadata("a.b"), NAMES.log("a.b"), NAMES.epoch("a.b"), *NAMES.states("a.b")]
    assert request[1:8] == [6, *keys]
    assert request[8:-1] == ["e", 3, 2, 10, PAGE_BYTES, NOW, 1000, 1, 2000]
    assert int(request[-1]) > DAY


def test_a_log_is_asked_of_the_script_of_history() -> None:
    request = page_request(NAMES, "a.b", Earliest(), 10, LATEST, NOW)
    assert request[0] == HISTORY.sha
    assert request[1] == 3
    assert "earliest" in request
    assert request[-1] == ""
    assert keep_request(NAMES, "a.b", LATEST, NOW, keep=True)[-1] == "keep"
    assert keep_request(NAMES, "a.b", LATEST, NOW, keep=False)[-1] == ""


@pytest.mark.parametrize(
    ("retention", "ages"),
    [
        (Retention(5, None), [-1, 0, -1]),
        (Retention(5, None, StateRetention()), [-1, 0, -1]),
        (Retention(5, 0, StateRetention(age=0)), [0, 0, 0]),
    ],
)
def test_an_age_that_is_not_set_is_minus_one(retention: Retention, ages: list[int]) -> None:
    arguments = state_arguments(NAMES, "a.b", State(), 10, retention, NOW)
    assert arguments[-4:-1] == ages
    assert arguments[7:10] == ["", 0, 0], "the reader has no position"


def test_a_page_that_reaches_the_end_goes_on_behind_the_log() -> None:
    page = read_state_page("a.b", answer(*row(3), *row(7)), RECORDS)
    assert [event.offset for event in page.events] == [3, 7]
    assert (page.start, page.end, page.lost) == (Position("e", 0), Position("e", 9), None)
    assert page.following == State(Position("e", 9), 4)


def test_a_page_before_others_goes_on_behind_its_last_event() -> None:
    page = read_state_page("a.b", answer(*row(3), *row(7), more=1), RECORDS)
    assert page.following == State(Position("e", 7), 4)


def test_an_empty_page_stands_at_the_end() -> None:
    page = read_state_page("a.b", answer(lost=b"reset"), RECORDS)
    assert (page.events, page.lost) == ([], "reset")
    assert page.start == page.end == Position("e", 9)
    assert page.following == State(page.end, 4)


def test_a_page_ends_before_a_record_that_cannot_be_read() -> None:
    unreadable = [b"5-5", b"no attributes"]
    page = read_state_page("a.b", answer(*row(3), *unreadable, *row(7)), RECORDS)
    assert [event.offset for event in page.events] == [3]
    assert page.following == State(Position("e", 3), 4)
    first = read_state_page("a.b", answer(*unreadable, *row(7)), RECORDS)
    assert (first.start, first.lost) == (Position("e", 5), "unreadable")
    assert [event.offset for event in first.events] == [7]


def test_the_answer_is_read_as_what_was_asked_for() -> None:
    state = read_any_page("a.b", State(), answer(*row(3)), RECORDS)
    assert state.following is not None
    log = read_any_page("a.b", Earliest(), [b"e", 3, 2, b"", *row(3), b"k"], RECORDS)
    assert log.following is None
    assert [event.offset for event in log.events] == [3]
