"""The faults of an event: bounded, and pointed at."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AliasChoices, AliasPath, BaseModel, Field, model_validator

from eventhub.events.schema import ModelSchema, Schema
from eventhub.events.validation_errors import MAX_FAULTS, pointer
from tests.unit.events.schemas import CHAT, FORM, LOG, READING, Plain, never, refused, thorough


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        (CHAT, orjson.dumps({"sender": "ana", "text": "oi", **{f"x{n}": 1 for n in range(100)}})),
        (FORM, orjson.dumps({"count": 1, "rows": list(range(100))})),
    ],
    ids=["model", "file"],
)
def test_at_most_so_many_faults_are_listed_and_all_are_counted(schema: Schema, body: bytes) -> None:
    error = refused(schema, body)
    assert len(error.details) == MAX_FAULTS
    assert (
        error.message
        == f"the event does not fit its channel type: 100 faults, at most {MAX_FAULTS} are listed"
    )


def test_as_many_faults_as_may_be_listed_are_listed_without_a_word_of_more() -> None:
    error = refused(FORM, orjson.dumps({"count": 1, "rows": list(range(MAX_FAULTS))}))
    assert len(error.details) == MAX_FAULTS
    assert error.message == f"the event does not fit its channel type: {MAX_FAULTS} faults"


class Rows(BaseModel):
    """A model whose faults are as many as its rows."""

    rows: list[int]


@pytest.mark.parametrize("schema", [CHAT, LOG, READING], ids=["chat", "log", "reading"])
def test_of_thousands_of_fields_those_that_are_unknown_are_named_before_a_model_looks_at_them(
    schema: ModelSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "_validate", never)
    error = refused(schema, orjson.dumps({"sender": "ana", **{f"x{n}": [[]] for n in range(5000)}}))
    known = schema is CHAT
    assert error.message == (
        f"the event does not fit its channel type: {5001 - known} faults, "
        f"at most {MAX_FAULTS} are listed"
    )
    assert (
        [fault["pointer"] for fault in error.details] == [f"/x{n}" for n in range(MAX_FAULTS)]
        if known
        else error.details
    )


def test_unknown_fields_are_not_looked_for_where_allowed_or_seen_first_by_code_of_a_model() -> None:
    class Gathered(BaseModel, extra="forbid"):
        values: dict[str, int]

        @model_validator(mode="before")
        @classmethod
        def _gather(cls, value: Any) -> Any:
            return {"values": value}

    build_many = {f"x{n}": n for n in range(5000)}
    assert orjson.loads(ModelSchema(Gathered).canonical(orjson.dumps(build_many))) == {
        "values": build_many
    }
    assert ModelSchema(Plain).canonical(orjson.dumps(build_many)) == b"{}"


def test_a_field_is_known_by_each_of_its_names() -> None:
    class Named(BaseModel, extra="forbid", populate_by_name=True):
        one: int = Field(0, validation_alias=AliasChoices("uno", AliasPath("eins", 0)))
        two: int = Field(0, alias="due")

    error = refused(
        ModelSchema(Named),
        orjson.dumps(
            {
                "uno": 1,
                "eins": [1],
                "due": 2,
                "two": 2,
                "one": 1,
                **{f"x{n}": n for n in range(100)},
            }
        ),
    )
    assert (
        error.message
        == "the event does not fit its channel type: 100 faults, at most 20 are listed"
    )


def test_too_many_faults_of_a_model_are_counted_and_not_built() -> None:
    error = refused(ModelSchema(Rows), orjson.dumps({"rows": ["x"] * 5000}))
    assert (error.message, error.details) == (
        "the event does not fit its channel type: 5000 faults, too many to list them",
        [],
    )


def test_of_an_event_with_many_values_the_faults_are_not_looked_for_where_all_would_be_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Judge:
        is_valid = FORM._validator.is_valid
        iter_errors = staticmethod(never)

    monkeypatch.setattr(FORM, "_validator", Judge)
    error = refused(FORM, orjson.dumps({"count": 1, "rows": [1] * 1000}))
    assert error.message == (
        "the event does not fit its channel type; "
        "its faults are listed where it has at most 200 values, and it has up to 1003"
    )


def test_the_message_of_a_fault_is_short_however_long_the_value() -> None:
    error = refused(FORM, orjson.dumps({"count": "x" * 10_000}))
    assert all(len(fault["message"]) <= 300 for fault in error.details)


def test_an_answer_is_not_many_times_the_event() -> None:
    body = orjson.dumps({"count": 1, "k" * 60_000: list(range(30))})
    assert len(orjson.dumps(refused(FORM, body).as_dict())) < 4 * len(body)


@pytest.mark.parametrize(
    ("path", "text"),
    [  # RFC 6901, section 5
        ([], ""),
        (["foo"], "/foo"),
        (["foo", 0], "/foo/0"),
        ([""], "/"),
        (["a/b"], "/a~1b"),
        (["c%d"], "/c%d"),
        (["e^f"], "/e^f"),
        (["g|h"], "/g|h"),
        (["i\\j"], "/i\\j"),
        (['k"l'], '/k"l'),
        ([" "], "/ "),
        (["m~n"], "/m~0n"),
        (["~1"], "/~01"),
        (["~0/"], "/~00~1"),
    ],
)
def test_pointers_are_those_of_rfc_6901(path: list[str | int], text: str) -> None:
    assert pointer(path) == text


@thorough
@given(st.lists(st.text()))
def test_a_pointer_leads_back_to_its_path(path: list[str]) -> None:
    text = pointer(list(path))
    assert [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]] == path
