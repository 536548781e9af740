"""events/cloudevents.py: what is a CloudEvent, and what is stored of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from eventhub.errors import InvalidEvent
from eventhub.events.cloudevents import (
    EXTENSION_LENGTH,
    MOST_EXTENSIONS,
    NAME_LENGTH,
    checked_attributes,
    is_json,
    is_uri_reference,
    json_of,
    of_bytes,
    of_json,
)

TESTS = Path(__file__).parents[2]
VECTORS = json.loads((TESTS / "conformance/cloudevents/vectors.json").read_text())
MINIMAL: dict[str, Any] = VECTORS["event"]


def changed(change: dict[str, Any]) -> dict[str, Any]:
    event = MINIMAL | change
    return {name: value for name, value in event.items() if value is not None}


def pointer(event: Any) -> str:
    with pytest.raises(InvalidEvent) as caught:
        of_json(event)
    return caught.value.details[0]["pointer"] if caught.value.details else caught.value.message


@pytest.mark.parametrize("name", VECTORS["valid"])
def test_a_valid_event_of_the_conformance_project_is_taken_whole(name: str) -> None:
    event = changed(VECTORS["valid"][name])
    found = of_json(event)
    stored = {**found.attributes, **json.loads(found.attributes.get("extensions", "{}"))}
    stored.pop("extensions", None)
    assert stored == {key: value for key, value in event.items() if key != "data"}
    assert json.loads(found.data) == event.get("data")


@pytest.mark.parametrize("name", VECTORS["invalid"])
def test_an_invalid_event_of_the_conformance_project_is_refused(name: str) -> None:
    with pytest.raises(InvalidEvent):
        of_json(changed(VECTORS["invalid"][name]))


def test_a_null_attribute_is_as_if_it_were_absent() -> None:
    nothing = dict.fromkeys(("datacontenttype", "dataschema", "subject", "time", "myext"))
    assert of_json(MINIMAL | nothing) == of_json(MINIMAL)


@pytest.mark.parametrize("event", [None, [], "text", 5])
def test_what_is_no_object_is_no_cloudevent(event: Any) -> None:
    assert "no JSON object" in pointer(event)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"source": "a b"}, "/source"),
        ({"source": "/caf\u00e9"}, "/source"),
        ({"source": "/a%2"}, "/source"),
        ({"source": "1:a"}, "/source"),
        ({"source": "/a#b#c"}, "/source"),
        ({"source": "/" + "a" * 256}, "/source"),
        ({"dataschema": "/relative"}, "/dataschema"),
        ({"subject": "a\r\nSet-Cookie: b"}, "/subject"),
        ({"id": "a\x00"}, "/id"),
        ({"type": "\x9f"}, "/type"),
        ({"subject": "\ufffe"}, "/subject"),
        ({"myext": "a\nb"}, "/myext"),
        ({"myext": "a" * (EXTENSION_LENGTH + 1)}, "/myext"),
        ({"myext": 2**31}, "/myext"),
        ({"myext": -(2**31) - 1}, "/myext"),
        ({"myext": []}, "/myext"),
        ({"myext": {}}, "/myext"),
        ({"a" * (NAME_LENGTH + 1): "b"}, f"/{'a' * NAME_LENGTH}"),
        ({"": "b"}, "/"),
        ({"traceparent": 5}, "/traceparent"),
        ({"data_base64": "not base64!"}, "/data_base64"),
        ({"data_base64": "TWE"}, "/data_base64"),
        ({"data_base64": "\u00e9"}, "/data_base64"),
        ({"data_base64": 5}, "/data_base64"),
        ({"data_base64": "/w==", "datacontenttype": "application/json"}, "/data_base64"),
    ],
)
def test_the_error_names_the_attribute(change: dict[str, Any], where: str) -> None:
    assert pointer(MINIMAL | change) == where


def test_extensions_are_bounded_in_number() -> None:
    most = {f"ext{number}": "x" for number in range(MOST_EXTENSIONS)}
    assert json.loads(of_json(MINIMAL | most).attributes["extensions"]) == most
    assert f"{MOST_EXTENSIONS + 1} extensions" in pointer(MINIMAL | most | {"another": "x"})


def test_extensions_keep_their_types_to_their_bounds() -> None:
    extensions = {"a": 2**31 - 1, "b": -(2**31), "c": False, "d": "", "e": "5", "f": "true"}
    found = of_json(MINIMAL | extensions).attributes["extensions"]
    assert json.loads(found) == extensions


def test_an_extension_cannot_set_what_the_server_says() -> None:
    own = {"eventhubby": "root", "eventhubposition": "x-1", "by": "root", "key": "k"}
    found = of_json(MINIMAL | own).attributes
    assert "by" not in found
    assert "key" not in found
    assert json.loads(found["extensions"]) == {"by": "root", "key": "k"}


def test_source_and_id_together_are_the_idempotency_key() -> None:
    def key(source: str, name: str) -> str:
        return of_json(MINIMAL | {"source": source, "id": name, "data": 1}).key

    assert key("/a", "1") == key("/a", "1")
    assert len({key("/a", "1"), key("/a", "2"), key("/b", "1"), key("/a/1", "1")}) == 4
    assert " " in key("/a", "1")  # no producer's key has one


@pytest.mark.parametrize(
    ("media_type", "yes"),
    [
        (None, True),
        ("application/json", True),
        ("text/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/vnd.x+json;v=1", True),
        ("application/jsonx", False),
        ("text/plain", False),
        ("application/x-ndjson", False),
    ],
)
def test_json_is_told_by_the_media_type(media_type: str | None, *, yes: bool) -> None:
    assert is_json(media_type) is yes


@pytest.mark.parametrize(
    ("media_type", "body", "data", "encoding"),
    [
        (None, b'{"a":1}', {"a": 1}, None),
        ("application/json", b"[1]", [1], None),
        ("text/plain", "caf\u00e9".encode(), "caf\u00e9", None),
        ("application/xml", b"<a/>", "<a/>", None),
        ("text/plain; charset=UTF-8", b"a", "a", None),
        ("text/plain; charset=latin-1", b"a", "YQ==", "base64"),
        ("text/plain", b"\xff", "/w==", "base64"),
        ("image/png", b"\xff\x00", "/wA=", "base64"),
        ("image/png", b"", None, None),
        (None, b"", None, None),
    ],
)
def test_bytes_become_json_by_their_media_type(
    media_type: str | None, body: bytes, data: Any, encoding: str | None
) -> None:
    fields = MINIMAL if media_type is None else MINIMAL | {"datacontenttype": media_type}
    found = of_bytes(checked_attributes(fields), body)
    assert json.loads(found.data) == data
    assert found.attributes.get("datacontentencoding") == encoding


def test_json_that_comes_as_base64_is_json_again() -> None:
    encoded = {"data_base64": "eyJhIjoxfQ==", "datacontenttype": "application/json"}
    assert json.loads(of_json(MINIMAL | encoded).data) == {"a": 1}
    found = of_json(MINIMAL | {"data_base64": "eyJhIjoxfQ=="})
    assert found.attributes["datacontentencoding"] == "base64"
    assert json.loads(found.data) == "eyJhIjoxfQ=="


@pytest.mark.parametrize(
    "text",
    ["/a", "a", "#b", "?c", "//host/p", "urn:x:y", "mailto:a@b.c", "https://[::1]:80/%20?q#f"],
)
def test_uri_references(text: str) -> None:
    assert is_uri_reference(text)


@pytest.mark.parametrize("text", ["", " ", "a b", "\\", '"', "<a>", "%", "%g0", "a:b:c d", ":a"])
def test_what_is_no_uri_reference(text: str) -> None:
    assert not is_uri_reference(text)


@pytest.mark.parametrize(
    "fields",
    [
        {"data": None},
        {"data": {"a": 1.5}, "subject": "é", "traceparent": "00", "shelf": 4, "open": True},
        {"data": "x", "datacontenttype": "text/plain"},
        {"data_base64": "/w==", "datacontenttype": "image/png", "dataschema": "urn:s"},
    ],
)
def test_what_is_stored_of_a_cloudevent_is_a_cloudevent_again(fields: dict[str, Any]) -> None:
    found = of_json(MINIMAL | fields)
    again = json_of(found.attributes | {"by": "ana"}, found.data)
    assert json.loads(again) == MINIMAL | fields
    assert of_json(json.loads(again)) == found
