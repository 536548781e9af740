"""eventhub_client/records.py: whatever is logged becomes a bounded event of the payload `log`."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from eventhub.events.builtin_payloads import LogRecord
from eventhub_client.records import (
    EVENT_BYTES,
    dropped_notice,
    event_of_record,
)


def record(message: object = "m", *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("app.db", logging.INFO, "f.py", 1, message, arguments, None)
    made.created = 1_795_377_960.1234
    vars(made).update(extra)
    return made


def event(made: logging.LogRecord) -> dict[str, Any]:
    encoded = event_of_record(made)
    assert len(encoded) <= EVENT_BYTES
    found: dict[str, Any] = json.loads(encoded, parse_constant=pytest.fail)
    return found


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("broken")


def test_a_record_has_the_fields_of_the_payload() -> None:
    assert event(record("%s rows", 3, user="ana")) == {
        "level": "info",
        "message": "3 rows",
        "logger": "app.db",
        "time": datetime.fromtimestamp(1_795_377_960.1234, UTC).strftime("%Y-%m-%dT%H:%M:%S.123Z"),
        "fields": {"user": "ana"},
    }


@pytest.mark.parametrize(
    ("number", "name"),
    [(5, "debug"), (10, "debug"), (20, "info"), (25, "info"), (30, "warning"), (40, "error"),
     (50, "critical"), (99, "critical")],
)  # fmt: skip
def test_each_level_is_one_of_the_payload(number: int, name: str) -> None:
    made = record()
    made.levelno = number
    assert event(made)["level"] == name


circle: dict[str, object] = {}
circle["again"] = [circle]


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (1.5, 1.5),
        (2**64, str(2**64)),
        (-(2**63), -(2**63)),
        (b"x", "b'x'"),
        ({1: {"a"}}, {"1": ["a"]}),
        ((1, None, True), [1, None, True]),
        (Broken(), "<Broken without a representation>"),
        ("\ud800", "?"),
    ],
)
def test_values_that_json_does_not_have_become_text(value: object, sent: object) -> None:
    assert event(record(value=value))["fields"]["value"] == sent


@pytest.mark.parametrize(
    "value",
    [circle, {"a": "\x00" * 10**6}, list(range(10**6)), "ü" * 10**6, 10**5000],
    ids=["circle", "controls", "long", "text", "integer"],
)
def test_large_and_circular_values_are_bounded(value: object) -> None:
    assert event(record(value=value))["message"] == "m"


@pytest.mark.parametrize("letter", ["x", "ü", "\x00", "\ud800"])
def test_a_long_message_is_cut(letter: str) -> None:
    assert set(event(record(letter * 10**6))["message"]) == {letter.replace("\ud800", "?")}


def test_arguments_that_do_not_fit_cost_no_record() -> None:
    assert event(record("%d rows", "three"))["message"] == "'%d rows' % ('three',)"
    assert "without a representation" in event(record("%s", Broken()))["message"]


def test_an_exception_is_a_field_and_keeps_its_end() -> None:
    made = record()
    try:
        raise ValueError("x" * 10_000 + "end")
    except ValueError:
        made.exc_info = sys.exc_info()
    assert event(made)["fields"]["exception"].endswith("xend")


def test_the_server_s_payload_accepts_records_and_notices() -> None:
    for encoded in (
        event_of_record(record(value=float("nan"))),
        event_of_record(record("x" * 10**6)),
        dropped_notice(1, 0.5),
    ):
        LogRecord.model_validate_json(encoded)


def test_a_notice_says_how_many_were_dropped() -> None:
    assert "1 log record was dropped" in dropped_notice(1, 0).decode()
    assert "37 log records were dropped" in dropped_notice(37, 0).decode()
