"""Payloads that fit a schema, or not: models, files and any JSON."""

import json
import resource
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventhub.events.schema import DIALECT, FileSchema, ModelSchema, Schema
from eventhub.events.schema_loader import load_schema
from tests.unit.events.schemas import (
    ANY,
    CHAT,
    FORM,
    HERE,
    LOG,
    ORDER,
    READING,
    outcome,
    pointers,
    refused,
    thorough,
)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@thorough
@given(values, st.booleans())
def test_any_json_value_comes_out_compact_and_unchanged(value: Any, ascii_only: bool) -> None:  # noqa: FBT001  # drawn, not passed
    try:
        body = json.dumps(value, ensure_ascii=ascii_only, indent=2).encode()
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8
        return
    data = ANY.canonical(body)
    assert orjson.loads(data) == value
    assert data == orjson.dumps(value)
    assert b"\n" not in data, "frames of lines rely on it"


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize(
    ("schema", "body"),
    [(ANY, b'{"value":1}'), (FORM, b'{"count":1}'), (CHAT, b'{"sender":"ana","text":"oi"}')],
    ids=["any", "file", "model"],
)
def test_payloads_that_are_kept_hold_little_more_memory_than_their_bytes(
    schema: Schema, body: bytes
) -> None:
    before = resident()
    kept = [schema.canonical(body) for _ in range(20_000)]
    assert len(kept) * (len(body) + 200) > resident() - before


def test_any_json_has_a_document_and_no_series() -> None:
    assert ANY.accepted == ANY.stored == {"$schema": DIALECT}
    assert ANY.conflation_key is None


@pytest.mark.parametrize("schema", [ANY, LOG, FORM], ids=["json", "log", "file"])
@pytest.mark.parametrize("depth", [200, 300, 1000, 1030, 100_000])
def test_deep_nesting_gives_bytes_or_an_error_of_ours(schema: Schema, depth: int) -> None:
    body = b'{"level":"info","message":"","fields":{"a":%b%b}}' % (b"[" * depth, b"]" * depth)
    found = outcome(schema, body)
    assert isinstance(found, bytes) or found.code in ("invalid_json", "too_deep", "invalid_event")


def test_a_valid_payload_is_stored_as_sent_compact_and_without_defaults() -> None:
    assert (
        LOG.canonical(b' { "message" : "hi", "level" : "info" } ')
        == b'{"level":"info","message":"hi"}'
    )
    assert (
        LOG.canonical(b'{"level":"info","message":"hi","logger":null}')
        == b'{"level":"info","message":"hi","logger":null}'
    )


def test_a_model_names_the_field_that_tells_series_apart() -> None:
    assert READING.conflation_key == "sensor"
    assert CHAT.conflation_key is None
    assert ORDER.conflation_key == "item"
    assert load_schema("tests.unit.events.schemas:Plain", HERE).conflation_key is None


def test_a_model_has_a_document_of_the_dialect() -> None:
    assert CHAT.accepted["$schema"] == DIALECT
    assert set(CHAT.accepted["properties"]) == {"sender", "text"}
    orjson.dumps(ORDER.accepted)


def test_fields_are_called_by_their_aliases_on_the_way_in_and_out() -> None:
    assert ORDER.canonical(b'{"item":"a","unitCount":3}') == b'{"item":"a","unitCount":3}'
    assert "unitCount" in ORDER.accepted["properties"]


def test_every_fault_of_a_payload_is_pointed_at() -> None:
    assert pointers(CHAT, b'{"sender":"","x/~y":1}') == ["/sender", "/text", "/x~1~0y"]
    assert (
        refused(CHAT, b'{"sender":"","x":1}').message
        == "the event does not fit its channel type: 3 faults"
    )
    assert (
        refused(CHAT, b'{"sender":"ana"}').message
        == "the event does not fit its channel type: 1 fault"
    )


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"5", b"true"])
def test_a_payload_that_is_no_object_is_at_fault_as_a_whole(body: bytes) -> None:
    assert pointers(CHAT, body) == [""]


def test_a_fault_in_a_field_of_several_types_points_at_the_field_itself() -> None:
    assert set(pointers(ORDER, b'{"item":"a","note":[]}')) == {"/note"}


def test_a_text_that_should_hold_json_but_does_not_is_a_fault_of_the_event() -> None:
    assert pointers(ORDER, b'{"item":"a","options":"{bad"}') == ["/options"]


def test_an_error_of_a_model_holds_nothing_of_the_payload() -> None:
    for body in (
        b'{"sender":"ana","text":["s3cret"]}',
        b'{"sender":{"s3cret":1},"text":"x"}',
        b'["s3cret"]',
        b'{"sender":"s3cret',
    ):
        assert "s3cret" not in json.dumps(refused(CHAT, body).as_dict())


def test_a_file_schema_takes_what_fits_and_keeps_every_field() -> None:
    assert FORM.canonical(b'{ "count": 1, "tags": ["x"] }') == b'{"count":1,"tags":["x"]}'
    assert FORM.canonical(b'{"count":1.0}') == b'{"count":1.0}'
    assert FORM.conflation_key is None


def test_every_fault_of_a_document_is_pointed_at() -> None:
    assert sorted(pointers(FORM, b'{"a/b~c":1,"rows":["x",2]}')) == ["", "/a~1b~0c", "/rows/1"]
    assert pointers(FORM, b"[]") == [""]


@pytest.mark.parametrize(
    "body", [b'{"count":"s3cret"}', b'{"count":1,"rows":["x",{"y":"s3cret"}]}', b'["s3cret"]']
)
def test_an_error_of_a_file_schema_holds_nothing_of_the_payload(body: bytes) -> None:
    assert "s3cret" not in json.dumps(refused(FORM, body).as_dict())


@pytest.mark.parametrize(
    ("schema", "body", "message"),
    [
        (FORM, b'{"count":"1"}', 'the value is not of type "integer", received a string'),
        (FORM, b"[]", 'the value is not of type "object", received an array'),
        (FORM, b'{"count":true}', 'the value is not of type "integer", received a boolean'),
        (CHAT, b'{"sender":"ana","text":null}', "Input should be a valid string, received null"),
        (CHAT, b"5", "Input should be an object, received a number"),
        (
            ModelSchema(float),
            b'"warm"',
            "Input should be a valid number, unable to parse string as a number, received a string",
        ),
        (ModelSchema(float), b"{}", "Input should be a valid number, received an object"),
    ],
)
def test_a_fault_of_a_type_says_what_was_expected_and_what_received(
    schema: Schema, body: bytes, message: str
) -> None:
    assert [detail["message"] for detail in refused(schema, body).details] == [message]


def test_the_dialect_is_2020_12() -> None:
    tuple_schema = FileSchema(
        {"$schema": DIALECT, "prefixItems": [{"type": "string"}], "items": False}
    )
    assert tuple_schema.canonical(b'["x"]') == b'["x"]'
    assert pointers(tuple_schema, b"[1]") == ["/0"]
    assert refused(tuple_schema, b'["x",1]').code == "invalid_event"
