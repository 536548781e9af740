"""builtin_payloads.py: what the built-in models take, to the bound, and what they refuse."""

from typing import Any

import pytest
from pydantic import ValidationError

from eventhub.events.builtin_payloads import BUILT_IN, ChatMessage, LogRecord, Reading
from eventhub.events.foreign_payloads import AlertmanagerNotification, SenmlRecord
from eventhub.events.payload_base import Payload

CHAT = {"sender": "ana", "text": "oi"}
LOG = {"level": "info", "message": "started"}
READING = {"value": 21.5}


def faults(model: type[Payload], fields: Any) -> set[tuple[Any, ...]]:
    try:
        model.model_validate(fields)
    except ValidationError as error:
        return {fault["loc"] for fault in error.errors()}
    return set()


def test_the_built_in_payloads_have_their_names() -> None:
    assert {
        "chat": ChatMessage,
        "log": LogRecord,
        "reading": Reading,
        "alertmanager": AlertmanagerNotification,
        "senml": SenmlRecord,
    } == BUILT_IN


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (ChatMessage, CHAT),
        (ChatMessage, {"sender": "x" * 64, "text": "x" * 4000}),
        (ChatMessage, {"sender": "🦊" * 64, "text": "🦊" * 4000}),
        (LogRecord, LOG),
        (LogRecord, {"level": "critical", "message": "", "logger": "", "fields": {}}),
        (
            LogRecord,
            {
                "level": "debug",
                "message": "x" * 16_000,
                "logger": "x" * 256,
                "fields": {"a": [1, None, {"b": True}]},
            },
        ),
        (LogRecord, {**LOG, "logger": None, "fields": None}),
        (Reading, READING),
        (Reading, {"value": 0, "unit": "", "sensor": "a", "quality": "bad"}),
        (
            Reading,
            {"value": -1.5e300, "unit": "x" * 32, "sensor": "x" * 64, "quality": "uncertain"},
        ),
        (Reading, {**READING, "unit": None, "sensor": None, "quality": None}),
    ],
)
def test_what_fits_is_taken_up_to_the_bound(model: type[Payload], fields: dict[str, Any]) -> None:
    assert faults(model, fields) == set()


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
def test_a_log_record_has_one_of_five_levels(level: str) -> None:
    assert faults(LogRecord, {**LOG, "level": level}) == set()


@pytest.mark.parametrize(
    "time",
    [
        "2026-11-22T20:06:00Z",
        "2026-11-22t20:06:00.123456789z",
        "2026-11-22T20:06:00.5-03:30",
        "2024-02-29T23:59:60+00:00",
        "0001-01-01T00:00:00+23:59",
        None,
    ],
)
def test_records_and_readings_have_the_producer_s_time_as_it_was_sent(time: str | None) -> None:
    for model, fields in ((LogRecord, LOG), (Reading, READING)):
        assert model.model_validate({**fields, "time": time}).model_dump()["time"] == time


@pytest.mark.parametrize(
    "time",
    [
        "2026-11-22",
        "2026-11-22T20:06:00",
        "2026-11-22 20:06:00Z",
        "2026-11-22T20:06Z",
        "2026-11-22T20:06:00.Z",
        "2026-02-29T20:06:00Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T20:06:61Z",
        "2026-11-22T20:06:00+24:00",
        "2026-11-22T20:06:00+0100",
        "0000-01-01T00:00:00Z",
        "٢٠٢٦-11-22T20:06:00Z",
        "2026-11-22T20:06:00Z\n",
        f"2026-11-22T20:06:00.{'1' * 60}Z",
        "",
        1_763_841_960,
        {},
    ],
)
def test_another_time_is_refused(time: object) -> None:
    for model, fields in ((LogRecord, LOG), (Reading, READING)):
        assert faults(model, {**fields, "time": time}) == {("time",)}


@pytest.mark.parametrize("quality", ["good", "uncertain", "bad"])
def test_a_reading_has_one_of_three_qualities(quality: str) -> None:
    assert faults(Reading, {**READING, "quality": quality}) == set()


@pytest.mark.parametrize(
    ("model", "fields", "where"),
    [
        (ChatMessage, {}, {("sender",), ("text",)}),
        (ChatMessage, {"sender": "", "text": ""}, {("sender",), ("text",)}),
        (ChatMessage, {"sender": "x" * 65, "text": "x" * 4001}, {("sender",), ("text",)}),
        (ChatMessage, {"sender": 5, "text": True}, {("sender",), ("text",)}),
        (ChatMessage, {"sender": None, "text": ["oi"]}, {("sender",), ("text",)}),
        (ChatMessage, {"sender": b"ana", "text": "oi"}, {("sender",)}),
        (LogRecord, {}, {("level",), ("message",)}),
        (LogRecord, {"level": "INFO", "message": "x" * 16_001}, {("level",), ("message",)}),
        (LogRecord, {"level": 20, "message": None}, {("level",), ("message",)}),
        (LogRecord, {**LOG, "logger": "x" * 257, "fields": []}, {("logger",), ("fields",)}),
        (LogRecord, {**LOG, "logger": 1, "fields": "x"}, {("logger",), ("fields",)}),
        (Reading, {}, {("value",)}),
        (Reading, {"value": "21.5"}, {("value",)}),
        (Reading, {"value": True}, {("value",)}),
        (Reading, {"value": None}, {("value",)}),
        (Reading, {"value": float("nan")}, {("value",)}),
        (Reading, {"value": float("inf")}, {("value",)}),
        (Reading, {"value": float("-inf")}, {("value",)}),
        (
            Reading,
            {**READING, "unit": "x" * 33, "sensor": "", "quality": "fine"},
            {("unit",), ("sensor",), ("quality",)},
        ),
        (
            Reading,
            {**READING, "unit": 1, "sensor": "x" * 65, "quality": 1},
            {("unit",), ("sensor",), ("quality",)},
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_coerced(
    model: type[Payload], fields: dict[str, Any], where: set[Any]
) -> None:
    assert faults(model, fields) == where


@pytest.mark.parametrize(
    ("model", "fields"), [(ChatMessage, CHAT), (LogRecord, LOG), (Reading, READING)]
)
def test_an_unknown_field_is_refused(model: type[Payload], fields: dict[str, Any]) -> None:
    assert faults(model, {**fields, "extra": 1}) == {("extra",)}


@pytest.mark.parametrize("model", BUILT_IN.values())
def test_a_payload_is_an_object(model: type[Payload]) -> None:
    others: list[Any] = [None, [], "text", 5, True]
    for value in others:
        assert faults(model, value) == {()}


def test_payloads_with_series_name_their_field() -> None:
    assert {name: model.conflation_key for name, model in BUILT_IN.items()} == {
        "chat": None,
        "log": None,
        "reading": "sensor",
        "alertmanager": "groupKey",
        "senml": "n",
    }
    for model in BUILT_IN.values():
        assert model.conflation_key is None or model.conflation_key in model.model_fields
