"""event.py: values and their text forms."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventhub.events.event import (
    Event,
    Gap,
    HistoryPage,
    Last,
    Position,
    format_time,
)

PROTOCOL = (Path(__file__).parents[3] / "PROTOCOL.md").read_text(encoding="utf-8")
thorough = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def event(offset: int, previous: int | None = None) -> Event:
    return Event(
        "chat.lobby",
        "k3x9",
        offset,
        offset - 1 if previous is None else previous,
        1_795_000_000_000,
        b"1",
    )


# Positions


def test_a_position_reads_as_epoch_and_offset() -> None:
    assert str(Position("k3x9", 41)) == "k3x9-41"


def test_an_event_knows_its_position() -> None:
    assert event(41).position == Position("k3x9", 41)


# Times


def test_a_time_reads_as_rfc_3339_in_utc_with_milliseconds() -> None:
    assert format_time(1_795_377_960_123) == "2026-11-22T20:06:00.123Z"
    assert format_time(0) == "1970-01-01T00:00:00.000Z"
    assert format_time(5) == "1970-01-01T00:00:00.005Z"
    assert format_time(-1) == "1969-12-31T23:59:59.999Z"


@thorough
@given(st.integers(0, 253_402_300_799_999))  # the end of the year 9999
def test_a_time_is_found_again_to_the_millisecond(milliseconds: int) -> None:
    moment = datetime.fromisoformat(format_time(milliseconds))
    assert moment.tzinfo == UTC
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    assert (
        since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000 == milliseconds
    )


def test_times_of_the_protocol_are_of_this_form() -> None:
    line = next(line for line in PROTOCOL.splitlines() if line.startswith('{"type":"event"'))
    text = json.loads(line)["time"]
    milliseconds = round(datetime.fromisoformat(text).timestamp() * 1000)
    assert format_time(milliseconds) == text


# Slices and gaps


def test_a_reader_of_a_slice_reaches_its_last_event() -> None:
    start, end = Position("k3x9", 4), Position("k3x9", 9)
    assert HistoryPage(start, [event(5), event(6)], end).reached == Position("k3x9", 6)
    assert HistoryPage(start, [], end).reached == start


def test_the_gap_of_expired_events_lies_between_the_position_asked_for_and_the_first_event() -> (
    None
):
    asked = Position("k3x9", 12)
    piece = HistoryPage(Position("k3x9", 29), [event(30)], Position("k3x9", 99), "expired")
    assert Gap.of(asked, piece) == Gap(asked, Position("k3x9", 30), Position("k3x9", 29), "expired")


def test_the_gap_of_an_emptied_log_ends_behind_the_end_of_the_log() -> None:
    asked, end = Position("k3x9", 12), Position("k3x9", 99)
    assert Gap.of(asked, HistoryPage(end, [], end, "expired")) == Gap(
        asked, Position("k3x9", 100), end, "expired"
    )


def test_the_gap_of_a_since_without_a_position_has_no_beginning() -> None:
    end = Position("new", 0)
    assert Gap.of(Last(20), HistoryPage(end, [], end, "reset")).after is None
    assert Gap.of(Last(20), HistoryPage(end, [], end)).reason == ""


def test_values_are_frozen() -> None:
    gap = Gap(None, Position("a", 1), Position("a", 0), "reset")
    with pytest.raises(AttributeError):
        gap.reason = "slow"  # type: ignore[misc]  # that is what is tested
