"""keys.py: where an event has its key, and what cannot be one."""

import orjson
import pytest

from eventhub.errors import InvalidEvent, InvalidRequest
from eventhub.events.builtin_payloads import Reading
from eventhub.events.event import DELETED, KEY, Event
from eventhub.events.keys import (
    KEY_LENGTH,
    KeySource,
    is_deletion,
    key_fault,
    key_of,
    with_deletion,
    with_key,
)
from eventhub.events.schema import ModelSchema

READING = ModelSchema(Reading).stored


def found(text: str, data: object, attributes: dict[str, str] | None = None) -> str:
    return KeySource(text).of(orjson.dumps(data), attributes)


@pytest.mark.parametrize(
    ("text", "data", "key"),
    [
        ("/id", {"id": "17"}, "17"),
        ("/id", {"id": 17}, "17"),
        ("/id", {"id": 1.5}, "1.5"),
        ("/id", {"id": True}, "true"),
        ("/id", {"id": None}, ""),
        ("/id", {"id": ""}, ""),
        ("/id", {}, ""),
        ("/id", [1], ""),
        ("/id", 7, ""),
        ("id", {"id": "17"}, "17"),
        ("/a/b", {"a": {"b": "c"}}, "c"),
        ("/a/b", {"a": "b"}, ""),
        ("/a/1", {"a": ["x", "y"]}, "y"),
        ("/a/2", {"a": ["x", "y"]}, ""),
        ("/a/01", {"a": ["x", "y"]}, ""),
        ("/a/-", {"a": ["x", "y"]}, ""),
        ("/a~1b/c~0d", {"a/b": {"c~d": "e"}}, "e"),
        ("/", {"": "x"}, "x"),
        ("/id", {"id": "é" * KEY_LENGTH}, "é" * KEY_LENGTH),
    ],
)
def test_a_key_is_found_by_a_pointer_or_a_field(text: str, data: object, key: str) -> None:
    assert found(text, data) == key


def test_the_subject_is_an_attribute() -> None:
    assert found("subject", {"subject": "no"}, {"subject": "yes", "type": "t"}) == "yes"
    assert found("subject", {"subject": "no"}, {"type": "t"}) == found("subject", {}) == ""
    assert found("/subject", {"subject": "payload"}, {"subject": "attribute"}) == "payload"


@pytest.mark.parametrize(
    ("value", "why"),
    [({}, "an object"), ([], "an array"), ("x" * (KEY_LENGTH + 1), "257 characters")],
)
def test_what_cannot_be_a_key_is_refused_with_its_pointer(value: object, why: str) -> None:
    for text in ("/a", "a"):
        with pytest.raises(InvalidEvent, match=why) as caught:
            found(text, {"a": value})
        assert [detail["pointer"] for detail in caught.value.details] == ["/a"]


@pytest.mark.parametrize("text", ["", "a/b", "~", "/a~2b", "/~", "/" + "~" * 200])
def test_a_malformed_source_says_what_is_expected(text: str) -> None:
    with pytest.raises(ValueError, match="expected a JSON pointer such as '/id'") as caught:
        KeySource(text)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("sensor", None),
        ("/sensor", None),
        ("subject", None),
        ("senser", "did you mean 'sensor'"),
        ("/nothing/at/all", "it has value, unit, sensor, quality, time"),
    ],
)
def test_a_field_that_a_payload_does_not_have_is_a_fault(text: str, fault: str | None) -> None:
    said = key_fault(KeySource(text), READING)
    assert said is None if fault is None else fault in (said or "")


def test_a_field_that_holds_no_key_is_a_fault_and_one_inside_of_it_is_not() -> None:
    schema = {"properties": {"order": {"type": "object"}, "items": {"type": "array"}}}
    assert "'/order/id'" in (key_fault(KeySource("order"), schema) or "")
    assert "an array" in (key_fault(KeySource("/items"), schema) or "")
    assert key_fault(KeySource("/order/id"), schema) is None
    assert key_fault(KeySource("other"), schema) is None, "more fields may come"
    assert key_fault(KeySource("other"), {}) is None


def event(attributes: dict[str, str] | None) -> Event:
    return Event("a.b", "e", 1, 0, 0, b"1", attributes)


def test_a_key_is_stored_as_an_attribute_and_the_empty_one_is_not() -> None:
    assert with_key(None, "x") == {KEY: "x"}
    assert with_key({"type": "t"}, "x") == {"type": "t", KEY: "x"}
    assert with_key({"type": "t"}, "") == {"type": "t"}
    assert with_key(None, "") is None
    assert key_of(event({KEY: "x", "by": "ana"})) == "x"
    assert key_of(event(None)) == key_of(event({"by": "ana"})) == ""


def test_a_deletion_has_the_key_that_it_deletes() -> None:
    gone = event({**with_deletion({"type": "t"}, "x")})
    assert (key_of(gone), is_deletion(gone)) == ("x", True)
    assert gone.attributes == {"type": "t", DELETED: "x"}
    assert is_deletion(event({**with_deletion(None, "")}))
    assert not is_deletion(event({KEY: "x"}))
    assert not is_deletion(event(None))
    assert with_deletion(None, "x" * KEY_LENGTH)
    with pytest.raises(InvalidRequest, match="257 characters; expected at most 256"):
        with_deletion(None, "x" * (KEY_LENGTH + 1))
