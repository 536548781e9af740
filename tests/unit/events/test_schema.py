"""schema.py: what is JSON, what fits, where it does not, and in which words the reader is told."""

import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import AliasChoices, AliasPath, BaseModel, Field, Json, model_validator

from eventhub.common.strict_json import dump, parse
from eventhub.errors import ConfigurationError, EventHubError, InvalidEvent, InvalidJson
from eventhub.events.builtin_payloads import ChatMessage
from eventhub.events.schema import DIALECT, AnySchema, FileSchema, ModelSchema, Schema
from eventhub.events.schema_loader import load_schema
from eventhub.events.validation_errors import MAX_FAULTS, pointer

thorough = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
HERE = Path()
ANY = load_schema("json", HERE)
CHAT = load_schema("chat", HERE)
LOG = load_schema("log", HERE)
READING = load_schema("reading", HERE)
FORM = FileSchema(
    {
        "type": "object",
        "properties": {
            "count": {"type": "integer"},
            "a/b~c": {"type": "string"},
            "rows": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["count"],
        "additionalProperties": {"type": "array", "items": {"type": "string"}},
    }
)


class Order(BaseModel):
    """A model of a deployment, which `package.module:Model` names."""

    conflation_key: ClassVar[str | None] = "item"

    item: str
    price: float = 0
    unit_count: int = Field(default=1, alias="unitCount")
    note: int | str = ""
    options: Json[dict[str, int]] | None = None


class Plain(BaseModel):
    """A model that says nothing of series."""

    anything: Any = None


ORDER = load_schema(f"{__name__}:Order", HERE)


def refused(schema: Schema, body: bytes) -> EventHubError:
    with pytest.raises(EventHubError) as caught:
        schema.canonical(body)
    return caught.value


def outcome(schema: Schema, body: bytes) -> bytes | EventHubError:
    try:
        return schema.canonical(body)
    except EventHubError as error:
        return error


def pointers(schema: Schema, body: bytes) -> list[str]:
    error = refused(schema, body)
    assert isinstance(error, InvalidEvent)
    return [fault["pointer"] for fault in error.details]


# What is JSON

NOT_JSON = {
    "nothing": b"",
    "blanks": b" \r\n\t",
    "half an object": b'{"sender":"ana"',
    "two values": b'{"sender":"ana","text":"oi"} {}',
    "a trailing comma": b'{"sender":"ana","text":"oi",}',
    "single quotes": b"{'sender':'ana'}",
    "a comment": b'{"sender":"ana"} // hi',
    "a byte order mark": b'\xef\xbb\xbf{"sender":"ana","text":"oi"}',
    "utf-16": '{"sender":"ana","text":"oi"}'.encode("utf-16"),
    "invalid utf-8": b'{"sender":"ana","text":"\xff"}',
    "an overlong encoding": b'{"sender":"ana","text":"\xc0\xaf"}',
    "a surrogate as utf-8": b'{"sender":"ana","text":"\xed\xa0\x80"}',
    "an escaped lone high surrogate": rb'{"sender":"ana","text":"\ud83d"}',
    "an escaped lone low surrogate": rb'{"sender":"ana","text":"\ude00"}',
    "surrogates in the wrong order": rb'{"sender":"ana","text":"\ude00\ud83d"}',
    "a raw line break in a string": b'{"sender":"ana","text":"o\ni"}',
    "an unknown escape": rb'{"sender":"ana","text":"\x41"}',
    "nul": b"\x00",
    "NaN": b'{"sender":"ana","text":NaN}',
    "Infinity": b'{"sender":"ana","text":Infinity}',
    "-Infinity": b'{"sender":"ana","text":-Infinity}',
    "a leading zero": b'{"sender":"ana","text":01}',
    "a plus": b'{"sender":"ana","text":+1}',
    "a number without end": b'{"sender":"ana","text":1.}',
}


@pytest.mark.parametrize(
    "schema", [ANY, CHAT, FORM, ORDER], ids=["json", "model", "file", "own model"]
)
@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_not_json_is_invalid_json_for_every_kind_of_schema(
    schema: Schema, body: bytes
) -> None:
    error = refused(schema, body)
    assert error.code == "invalid_json"
    assert error.message.startswith("expected JSON")
    assert error.details == []


def test_the_place_where_it_stops_being_json_is_told() -> None:
    for schema in (ANY, CHAT):
        assert refused(schema, b'{"a":\n  x}').message.endswith(
            " at line 2, column 3; names and texts stand in double quotes"
        )


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_words_that_are_no_numbers_are_texts_like_any_other(word: str) -> None:
    body = orjson.dumps({"sender": "ana", "text": word})
    assert CHAT.canonical(body) == body


def test_texts_of_every_plane_are_kept() -> None:
    body = orjson.dumps({"sender": "☃", "text": "\x00\x1f\x7f\u2028\u2029\ufeff🦊"})
    assert CHAT.canonical(body) == ANY.canonical(body) == body
    assert (
        CHAT.canonical(rb'{"sender":"a","text":"\ud83e\udd8a"}')
        == '{"sender":"a","text":"🦊"}'.encode()
    )


def test_of_duplicate_keys_the_last_counts_everywhere() -> None:
    assert ANY.canonical(b'{"a":1,"a":2}') == b'{"a":2}'
    assert FORM.canonical(b'{"count":"x","count":2}') == b'{"count":2}'
    assert READING.canonical(b'{"value":"x","value":2}') == b'{"value":2.0}'
    assert (
        LOG.canonical(b'{"level":"info","message":"","fields":{"a":1,"a":2}}')
        == b'{"level":"info","message":"","fields":{"a":2}}'
    )
    assert pointers(READING, b'{"value":2,"value":"x"}') == ["/value"]
    assert pointers(READING, b'{"value":2,"x":1,"x":2}') == ["/x"]


@pytest.mark.parametrize(
    "schema", [ANY, FORM, READING, LOG], ids=["json", "file", "reading", "log"]
)
def test_a_number_beyond_any_double_is_refused_and_never_turned_into_null(schema: Schema) -> None:
    bodies = {
        id(ANY): b'{"count":1e400}', id(FORM): b'{"count":1e400}', id(READING): b'{"value":-1e400}',
        id(LOG): b'{"level":"info","message":"","fields":{"count":1e400}}',
    }  # fmt: skip
    assert refused(schema, bodies[id(schema)]).status in (400, 422)


def test_a_number_beyond_any_double_is_refused_by_a_model_of_a_deployment_too() -> None:
    assert refused(ORDER, b'{"item":"a","price":1e400}').status in (400, 422)


@pytest.mark.parametrize("digits", [20, 309, 5000])
@pytest.mark.parametrize("schema", [ANY, LOG], ids=["json", "log"])
def test_a_huge_integer_is_a_number_or_refused(schema: Schema, digits: int) -> None:
    body = b'{"level":"info","message":"","fields":{"n":%b}}' % (b"9" * digits)
    data = outcome(schema, body)
    if isinstance(data, EventHubError):
        assert data.code == "invalid_json"
    else:
        assert isinstance(orjson.loads(data)["fields"]["n"], int | float), (
            "what is stored can be read again"
        )


@pytest.mark.parametrize(
    "number", [-(2**63) - 1, -(10**19) + 1, -(10**18) * 9 - 10**18, 2**64, 10**20]
)
@pytest.mark.parametrize("form", ["%d", "[0, %d]", '{"a": {"b": [%d]}}'])
def test_an_integer_that_would_be_rounded_is_refused(number: int, form: str) -> None:
    body = (form % number).encode()
    assert "more than 64 bits" in refused(ANY, body).message
    assert ANY.canonical_all(b"[%b]" % body) is None


@pytest.mark.parametrize("number", [-(2**63), 2**63, 10**19 - 1, 2**64 - 1])
def test_an_integer_of_64_bits_is_kept(number: int) -> None:
    assert ANY.canonical(b"%d" % number) == b"%d" % number
    assert ANY.canonical_all(b"[%d]" % number) == [b"%d" % number]


def test_parse_gives_the_value() -> None:
    assert parse(b' {"a":[1,2.5,true,null,"x"]} ') == {"a": [1, 2.5, True, None, "x"]}


# Any JSON

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


# Models


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
    assert load_schema(f"{__name__}:Plain", HERE).conflation_key is None


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


# JSON Schema files


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


# Bounds of an answer


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


def never(*_: Any, **__: Any) -> Any:
    raise AssertionError("this costs too much to be done here")


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


# Pointers


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


# Loading


def test_a_built_in_is_found_by_its_name() -> None:
    assert isinstance(CHAT, ModelSchema)
    assert isinstance(ANY, AnySchema)


def test_a_model_is_found_by_its_import_path() -> None:
    assert ORDER.canonical(b'{"item":"a"}') == b'{"item":"a"}'
    assert load_schema("builtins:int", HERE).canonical(b"5") == b"5"


def test_a_schema_file_is_relative_to_the_directory(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "order.json").write_text('{"type":"string"}')
    schema = load_schema("schemas/order.json", tmp_path)
    assert schema.accepted == schema.stored == {"type": "string"}
    assert schema.canonical(b'"x"') == b'"x"'


def write(content: bytes) -> Callable[[Path], object]:
    return lambda directory: (directory / "bad.json").write_bytes(content)


@pytest.mark.parametrize(
    "prepare",
    [
        lambda directory: None,
        lambda directory: (directory / "bad.json").mkdir(),
        write(b"{"),
        write(b""),
        write(b"\xff"),
        write(b"5"),
        write(b"[]"),
        write(b'"text"'),
        write(b"null"),
        write(b'{"type":"nonsense"}'),
        write(b'{"minimum":"x"}'),
        write(b'{"pattern":"("}'),
        write(b'{"$ref":"#/nowhere"}'),
    ],
    ids=[
        "missing", "a directory", "not JSON", "empty", "not UTF-8", "a number", "an array",
        "a text", "null", "unknown type", "bad keyword", "bad pattern", "dangling reference",
    ],
)  # fmt: skip
def test_a_schema_file_that_cannot_be_used_is_a_configuration_error(
    tmp_path: Path, prepare: Callable[[Path], object]
) -> None:
    prepare(tmp_path)
    with pytest.raises(ConfigurationError, match=r"payload 'bad\.json' cannot be used: \w+"):
        load_schema("bad.json", tmp_path)


def test_what_is_wrong_with_a_schema_is_shown(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"properties":{"a":{"type":"objekt"}}}')
    with pytest.raises(ConfigurationError, match='/properties/a/type: "objekt" is not valid'):
        load_schema("bad.json", tmp_path)


def test_a_schema_on_another_machine_is_not_fetched(tmp_path: Path) -> None:
    (tmp_path / "far.json").write_text('{"$ref":"https://127.0.0.1:1/x.json"}')
    with pytest.raises(
        ConfigurationError,
        match=r"'https://127\.0\.0\.1:1/x\.json' is not present .* Retrieval is disabled",
    ):
        load_schema("far.json", tmp_path)


@pytest.mark.parametrize(
    "payload",
    [
        "no_such_package:Model",
        "json:Nothing",
        "json:",
        ":Model",
        ":",
        "eventhub.events.schema:load_schema:x",
        "os:path",
        "a b:C",
    ],
)
def test_an_import_path_that_cannot_be_used_is_a_configuration_error(payload: str) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be used: \w+"):
        load_schema(payload, HERE)


@pytest.mark.parametrize("payload", ["", "Chat", "chat ", "logs", "json5", "schema.yaml"])
def test_an_unknown_payload_is_a_configuration_error_that_names_what_there_is(payload: str) -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"did you mean \w+\?|expected one of chat, log, reading, json, "
        r"a \.json file, or package\.module:Model",
    ):
        load_schema(payload, HERE)


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
