"""events/refused_event.py: the bounds and the forms of what is kept."""

import orjson
import pytest

from eventhub.events.refused_event import (
    DETAILS,
    MESSAGE_LENGTH,
    RefusedEvent,
    beginning,
    bounded,
    valid,
)


def entry(payload: bytes) -> RefusedEvent:
    error = {"code": "invalid_json", "message": "no"}
    return RefusedEvent("i", 0, "a.b", error, None, "http", None, {}, {}, payload, 3, cut=False)


@pytest.mark.parametrize(
    ("payload", "encoding"),
    [
        (b'{"a":\t"\xc3\xa7"}\r\n', "text"),
        (b"", "text"),
        (b"\xff\xfe", "base64"),
        (b'{"a":\x00}', "base64"),
        (b"\x1b[31m", "base64"),
        (b"\xc2\x85", "base64"),
    ],
)
def test_a_payload_is_text_if_it_is_utf_8_without_control_characters(
    payload: bytes, encoding: str
) -> None:
    kept = entry(payload)
    assert kept.whole()["encoding"] == encoding
    assert RefusedEvent.load(orjson.loads(kept.dump())) == kept
    assert len(kept.dump()) < 2 * len(payload) + 300


def test_the_head_names_the_type_and_has_no_payload() -> None:
    head = entry(b"secret").head()
    assert (head["type"], head["channel"], head["time"]) == ("a", "a.b", "1970-01-01T00:00:00.000Z")
    assert b"secret" not in orjson.dumps(head)


@pytest.mark.parametrize(
    ("body", "most", "kept"),
    [
        (b"abc", 3, b"abc"),
        (b"abcd", 3, b"abc"),
        ("aç".encode(), 2, b"a"),
        ("a😀".encode(), 4, b"a"),
        ("a😀".encode(), 5, "a😀".encode()),
        (b"a\xff\xff\xff\xff\xff\xff", 6, b"a\xff\xff\xff\xff\xff"),
        ("😀".encode(), 2, "😀".encode()[:2]),
    ],
)
def test_a_part_of_a_character_at_the_end_is_left_out(body: bytes, most: int, kept: bytes) -> None:
    assert beginning(body, most) == beginning(bytearray(body), most) == kept


def test_an_error_is_bounded() -> None:
    long = "x" * (MESSAGE_LENGTH + 1)
    details = [{"pointer": "/a", "message": long}] * (DETAILS + 1)
    found = bounded({"code": "c", "message": long, "details": details})
    assert found == {
        "code": "c",
        "message": long[:-1],
        "details": [{"pointer": "/a", "message": long[:-1]}] * DETAILS,
    }
    assert bounded({"code": "c", "message": "m"}) == {"code": "c", "message": "m"}


def test_only_attributes_that_a_publisher_may_send_are_kept() -> None:
    sent = {"source": "s", "time": "2026-11-22T20:06:00Z", "subject": "x" * 257, "id": 3, "by": "e"}
    assert valid(sent) == {"source": "s", "time": "2026-11-22T20:06:00Z"}
    assert valid({"time": "yesterday", "type": ""}) == valid(None) == {}
