"""Lines of events and gaps."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from eventhub_client import Event, Gap
from eventhub_client.cli.items import fields_of, line_of

TIME = datetime(2026, 11, 22, 20, 6, 0, 123000, UTC)
EVENT: Event[Any] = Event("logs.api", "k-1", TIME, {"message": "ünï"}, {"subject": "x"}, "ana")
GAP = Gap("logs.api", "expired", "k-1", "k-5", "k-4")


def test_an_event_is_written_as_its_message() -> None:
    assert fields_of(EVENT) == {
        "type": "event",
        "channel": "logs.api",
        "id": "k-1",
        "time": "2026-11-22T20:06:00.123Z",
        "data": {"message": "ünï"},
        "attributes": {"subject": "x"},
        "by": "ana",
    }
    assert json.loads(line_of("json")(EVENT).plain) == fields_of(EVENT)
    assert "ünï" in line_of("json")(EVENT).plain


def test_a_gap_has_no_fields_without_a_value() -> None:
    assert fields_of(GAP) == {
        "type": "gap",
        "channel": "logs.api",
        "reason": "expired",
        "after": "k-1",
        "before": "k-5",
        "position": "k-4",
    }


def test_text_has_channel_author_and_data() -> None:
    text = line_of("text")(EVENT).plain
    assert text.endswith('logs.api ana {"message":"ünï"}')
    assert "missed for good (expired): after k-1, before k-5" in line_of("text")(GAP).plain


def test_a_channel_keeps_its_color_and_others_differ() -> None:
    def color(channel: str) -> str:
        line = line_of("text")(Event(channel, "k-1", TIME, 1))
        return next(str(span.style) for span in line.spans if span.start > 0)

    assert color("logs.a") == color("logs.a") != color("logs.b")


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("{channel} {data[message]}", "logs.api ünï"),
        ("{data[none]}|{reason}|{data[message][x]}", "||"),
        ("{channel:>10}", "  logs.api"),
        ("{data:>3}", "{'message': 'ünï'}"),
    ],
)
def test_a_format_takes_fields_and_leaves_out_what_is_not_there(output: str, line: str) -> None:
    assert line_of(output)(EVENT).plain == line


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("xml", "received -o xml; expected text, json, or a format"),
        ("{", "cannot be used"),
        ("{data.__class__}", r"has \{data.__class__\}; expected one of type, channel, id"),
        ("{} {}", r"has \{\}"),
        ("{0}", r"has \{0\}"),
        ("{nothing}", r"has \{nothing\}"),
    ],
)
def test_a_format_that_cannot_be_used_is_refused_before_the_first_event(
    output: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        line_of(output)
