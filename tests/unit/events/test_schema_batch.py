"""Whole arrays of events, and events whose faults are not listed."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventhub.common.strict_json import dump, parse
from eventhub.errors import EventHubError, InvalidEvent, InvalidJson
from eventhub.events.builtin_payloads import ChatMessage
from eventhub.events.schema import AnySchema, FileSchema, ModelSchema, Schema
from eventhub.events.schema_loader import load_schema
from tests.unit.events.schemas import (
    ANY,
    CHAT,
    FORM,
    LOG,
    ORDER,
    READING,
    never,
    outcome,
    refused,
    thorough,
)

EVENTS = st.one_of(
    st.builds(
        lambda value, unit: {"value": value, "unit": unit},
        st.floats() | st.integers(),
        st.text(max_size=3) | st.none(),
    ),
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=2),
        max_leaves=4,
    ),
    st.sampled_from(
        ["NaN", "null", "1e999", {"value": 10**400}, {"value": None}, {"value": 1, "unit": "null"}]
    ),
)


@pytest.mark.parametrize(
    "schema",
    [
        load_schema("reading", Path()),
        AnySchema(),
        FileSchema({"type": "object", "properties": {"unit": {"type": "string"}}}),
    ],
    ids=["model", "any", "file"],
)
@given(
    items=st.lists(EVENTS, max_size=4),
    raw=st.sampled_from([None, b"[1,]", b"{}", b"", b'[{"value":1e999}]', b"[NaN]", b"[1,\xff]"]),
)
def test_a_batch_gives_what_its_items_give_one_by_one_or_nothing(
    schema: Schema, items: list[Any], raw: bytes | None
) -> None:
    body = raw if raw is not None else json.dumps(items).encode()

    def one_by_one() -> list[bytes] | None:
        try:
            values = parse(body)
            return (
                [schema.canonical(dump(value)) for value in values]
                if isinstance(values, list)
                else None
            )
        except EventHubError:
            return None

    assert schema.canonical_all(body) == one_by_one()


def test_what_would_have_been_taken_is_named() -> None:
    def told(payload: str, body: bytes) -> list[tuple[str, str]]:
        return [
            (each["pointer"], each["message"])
            for each in refused(load_schema(payload, Path()), body).details or ()
        ]

    ((where, what),) = told("log", b'{"level":"INFO","message":"x"}')
    assert where == "/level"
    assert what.endswith("or 'critical', received another string")
    extra = "Extra inputs are not permitted; expected one of sender, text"
    assert told("chat", b'{"sender":"a","text":"b","x":1}') == [("/x", extra)]
    build_many = b",".join(b'"%d":1' % number for number in range(100))
    assert told("chat", b'{"sender":"a","text":"b",%b}' % build_many)[0] == ("/0", extra)


@given(EVENTS)
@thorough
def test_what_fits_at_a_glance_is_what_is_taken(event: Any) -> None:
    value = outcome(ANY, event.encode() if isinstance(event, str) else json.dumps(event).encode())
    for schema in (CHAT, LOG, READING):
        if isinstance(value, bytes):
            assert schema.fits(orjson.loads(value)) == isinstance(outcome(schema, value), bytes)
    assert (ANY.fits(1), FORM.fits(1), ORDER.fits(1)) == (None, None, None)


@pytest.mark.parametrize("schema", [FORM, ORDER, CHAT], ids=["JSON Schema", "model", "built-in"])
def test_without_details_no_faults_are_built(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventhub.events.validation_errors.model_details", never)
    monkeypatch.setattr("eventhub.events.schema.schema_detail", never)
    with pytest.raises(InvalidEvent, match="the event does not fit its channel type") as caught:
        schema.canonical(b'{"sender":1}', detailed=False)
    assert caught.value.details == []
    with pytest.raises(InvalidJson):
        schema.canonical(b'{"sender":', detailed=False)


def test_an_array_of_many_values_that_does_not_fit_is_not_copied_into_faults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`[{"l":[[],[],…]}]` of 64 KiB took 60 ms: pydantic copies it for each field that is missing,
    and for the one too many.
    """
    chat = ModelSchema(ChatMessage)
    monkeypatch.setattr(chat, "_validate_all", never)
    assert chat.canonical_all(b'[{"l":[' + b"[]," * 1000 + b"[]]}]") is None
    fine = b'{"level":"info","message":"m","fields":{"a":[' + b"[]," * 1000 + b"[]]}}"
    assert LOG.canonical_all(b"[%b]" % fine) == [fine]


@pytest.mark.parametrize("schema", [CHAT, READING, ANY, ORDER, load_schema("log", Path())])
@given(bodies=st.lists(EVENTS.map(json.dumps).map(str.encode), min_size=1, max_size=4))
@thorough
def test_payloads_are_accepted_together_only_if_each_is_and_are_the_same(
    schema: Schema, bodies: list[bytes]
) -> None:
    found = schema.canonical_each(bodies)
    if found is not None:
        assert found == [schema.canonical(body) for body in bodies]


@pytest.mark.parametrize(
    "bodies",
    [
        [b"[1", b"2]", b"3,4"],
        [b"1,2"],
        [b"1", b""],
        [b"1", b" \r"],
        [b"1 2"],
        [b"123456789012345678901234567890", b"1"],
        [b"1", b"-9223372036854775809"],
        [b"[" * 2000 + b"]" * 2000],
    ],
    ids=range(8),
)
@pytest.mark.parametrize("schema", [ANY, FileSchema({})])
def test_what_is_not_one_value_each_is_not_accepted_together(
    schema: Schema, bodies: list[bytes]
) -> None:
    assert schema.canonical_each(bodies) is None


@pytest.mark.parametrize("schema", [ANY, FileSchema({})])
def test_digits_in_a_text_are_no_long_integer(schema: Schema) -> None:
    digits = b'"%b"' % (b"1" * 40)
    assert schema.canonical_each([b" %b" % digits, b"1"]) == [digits, b"1"]
    assert schema.canonical_all(b"[%b, 1]" % digits) == [digits, b"1"]


def test_valid_payloads_of_a_model_are_accepted_together() -> None:
    chat = b'{"sender":"ana","text":"oi"}'
    assert CHAT.canonical_each([chat, b" %b\r" % chat]) == [chat, chat]
    assert CHAT.canonical_each([chat, b"{}"]) is None
    many = b'{"sender":"ana","text":"%b"}'
    assert CHAT.canonical_each([many % (b"," * 63)]) is not None
    assert CHAT.canonical_each([chat, many % (b"," * 64)]) is None, "it is looked at alone"
