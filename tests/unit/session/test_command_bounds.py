"""session/commands.py: the kinds of JSON, the levels, and the lengths that a message may have."""

from typing import Any

import orjson
import pytest

from eventhub.errors import InvalidFrame, InvalidJson, TooDeep
from eventhub.session.commands import command_of, content_details, fields_of, json_kind, ref_of


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (b"true", "boolean"),
        (b"7", "number"),
        (b"7.5", "number"),
        (b'"text"', "string"),
        (b"[]", "array"),
        (b"null", "null"),
    ],
)
def test_a_message_of_another_kind_is_named(message: bytes, kind: str) -> None:
    with pytest.raises(InvalidFrame, match=f"the message is a JSON {kind}; expected an object"):
        fields_of(message, 5)
    assert json_kind(orjson.loads(message)) == kind
    wrong = {"type": orjson.loads(message)}
    said = {"string": "'text'", "null": "missing"}.get(kind, f"a JSON {kind}")
    with pytest.raises(InvalidFrame, match=f"the message's type is {said}; expected one of"):
        command_of(wrong)


def test_an_object_is_a_kind_too() -> None:
    assert json_kind({}) == "object"
    with pytest.raises(InvalidFrame, match="the message's type is a JSON object; expected"):
        command_of({"type": {}})


def nested(levels: int) -> bytes:
    """A message whose data has so many levels."""
    return b'{"data":%b%b}' % (b"[" * levels, b"]" * levels)


def test_data_may_have_as_many_levels_as_the_limit_says() -> None:
    assert fields_of(nested(3), 3) == {"data": [[[]]]}
    with pytest.raises(TooDeep, match=r"limits\.depth, and one for the message"):
        fields_of(nested(4), 3)


@pytest.mark.parametrize("message", [b'{"type":', b' \n{"type"}', b"{"])
def test_an_object_that_is_cut_off_is_told_where(message: bytes) -> None:
    with pytest.raises(InvalidJson) as refused:
        fields_of(message, 5)
    assert "the message is not JSON" not in refused.value.message


@pytest.mark.parametrize("message", [b"", b"ping", b"[1"])
def test_what_is_no_object_at_all_is_told_what_is_expected(message: bytes) -> None:
    with pytest.raises(InvalidJson, match="the message is not JSON; expected an object with a"):
        fields_of(message, 5)


PUBLISH: dict[str, Any] = {"type": "publish", "channel": "chat.a", "data": 1}
SUBSCRIBE: dict[str, Any] = {"type": "subscribe", "channel": "chat.a"}


@pytest.mark.parametrize(
    ("fields", "field", "most"),
    [
        ({"type": "auth"}, "token", 8192),
        (PUBLISH, "key", 128),
        ({"type": "publish", "channel": "chat.a"}, "deleted", 256),
        (SUBSCRIBE, "member", 64),
        ({"type": "ping"}, "ref", 64),
    ],
)
def test_the_longest_text_is_taken(fields: dict[str, Any], field: str, most: int) -> None:
    command = command_of({**fields, field: "x" * most})
    assert getattr(command, field) == "x" * most
    with pytest.raises(InvalidFrame, match=f"/{field}"):
        command_of({**fields, field: "x" * (most + 1)})


def test_a_longer_ref_is_not_repeated() -> None:
    assert ref_of({"ref": "x" * 64}) == "x" * 64
    assert ref_of({"ref": "x" * 65}) is None
    assert ref_of({"ref": True}) is None
    assert ref_of({"ref": 1.0}) is None


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({}, "/data"),
        ({"data": 1, "deleted": "k"}, "/deleted"),
        ({"data": None, "deleted": "k"}, "/deleted"),
        ({"relation": "delete", "data": 1}, "/data"),
        ({"relation": "delete", "deleted": "k"}, "/deleted"),
    ],
)
def test_an_event_has_data_or_a_key_to_delete(fields: dict[str, Any], pointer: str) -> None:
    assert [each["pointer"] for each in content_details(fields)] == [pointer]


@pytest.mark.parametrize(
    "fields",
    [
        {"data": None},
        {"deleted": "k"},
        {"relation": "delete"},
        {"relation": "edit", "data": 1},
        {"relation": "delete", "data": None, "deleted": None},
    ],
)
def test_an_event_with_one_of_them_is_complete(fields: dict[str, Any]) -> None:
    assert content_details(fields) == []


@pytest.mark.parametrize("name", ["source", "subject", "type", "id", "traceparent"])
def test_an_attribute_of_the_protocol_is_taken(name: str) -> None:
    command = command_of({**PUBLISH, "attributes": {name: "x"}})
    assert getattr(command, "attributes") == {name: "x"}  # noqa: B009  # of a publish


def test_what_the_newest_event_must_be_is_an_id_or_none() -> None:
    for text in ("k3x9-7", "none"):
        assert getattr(command_of({**PUBLISH, "if_match": text}), "if_match") == text  # noqa: B009
    with pytest.raises(InvalidFrame, match="/if_match"):
        command_of({**PUBLISH, "if_match": "newest"})
