"""What is JSON and what is not, whatever the schema."""

import orjson
import pytest

from eventhub.common.strict_json import parse
from eventhub.errors import EventHubError
from eventhub.events.schema import Schema
from tests.unit.events.schemas import (
    ANY,
    CHAT,
    FORM,
    LOG,
    ORDER,
    READING,
    outcome,
    pointers,
    refused,
)

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
