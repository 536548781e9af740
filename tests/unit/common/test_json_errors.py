"""json_errors.py: what is said of a text that is not JSON."""

import orjson
import pytest

from eventhub.common.json_errors import what_is_wrong

SECRET = "s3cret"  # the payload of these texts


def said(body: bytes) -> str:
    with pytest.raises(orjson.JSONDecodeError) as caught:
        orjson.loads(body)
    return what_is_wrong(body, caught.value)


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ("", "received nothing"), (" \n", "received nothing"),
        (SECRET, 'a text on its own is JSON in double quotes, as in "hello"'),
        (f"{SECRET} and more = x", 'as in "hello"'), (f"'{SECRET}'", 'as in "hello"'),
        (f"\u201c{SECRET}\u201d", 'as in "hello"'),
        (f"a={SECRET}&c=d", "this is a form (application/x-www-form-urlencoded)"),
        (f"payload=%7B{SECRET}%7D\n", "this is a form"),
        (f"<a>{SECRET}</a>", "XML or HTML"), ("\ufeff{}", "send it without one"),
        (f"{{'{SECRET}':1}}", "names and texts stand in double quotes"),
        (f"{{{SECRET}:1}}", "names and texts stand in double quotes"),
        (f'{{"a": {SECRET}}}', "names and texts stand in double quotes"),
        ('{"a":True}', "JSON writes true, false and null"), ('{"a":NaN}', "has no NaN"),
        ('{"a":1}\n{"a":2}\n',
         "one event a line is sent with Content-Type: application/x-ndjson, "
         "by curl with --data-binary"),
        ('{"a":1}{"a":2}',
         "by curl with --data-binary @file or -T file, as its -d removes line breaks"),
        (f'"{SECRET}" 1', "-T file"),
        ("{", "an event itself has no line breaks"), ('{"a":1,', "no line breaks"),
        (f'  "{SECRET}": 1,', "no line breaks"), ("}", "no line breaks"),
        ("  1,", "no line breaks"),
        (f'{{"a":"{SECRET}', "; its end is missing"),
        ('{\n "a": 1,\n', "; its end is missing"), ('{"a":1', "; its end is missing"),
        (f"time,level\n1,{SECRET}", "CSV is not taken"), ("1,2\n3,4\n", "CSV is not taken"),
        (f"21.5,{SECRET}", "CSV is not taken"), ("[object Object]", "send JSON.stringify(…) of it"),
        ('{"a":[object Object]}', "send JSON.stringify(…) of it"),
    ],
)  # fmt: skip
def test_what_was_likely_meant_is_said(body: str, hint: str) -> None:
    found = said(body.encode())
    assert hint in found
    assert SECRET not in found
    assert found.endswith(hint) or "end is missing" not in hint


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"\x1f\x8b\x08", "compressed data"), (b"\x28\xb5\x2f\xfd", "compressed data"),
        (b"\x82\xa1a\x01", "byte 1 does not fit"), (b'"\xff"', "byte 2 does not fit"),
    ],
)  # fmt: skip
def test_what_is_no_text_is_told_by_kind(body: bytes, what: str) -> None:
    assert what in said(body)


@pytest.mark.parametrize("body", ["01", '{"a" 1}', '{"a":1,}', "[1,]", '"a\nb"', "-", "=x", "{]"])
def test_other_faults_are_told_by_their_place(body: str) -> None:
    assert (" at line " if "\n" in body else " at column ") in said(body.encode())


@pytest.mark.parametrize(
    "body",
    [
        SECRET, f"a={SECRET}", f'{{"{SECRET}" 1}}', f"<{SECRET}>", f'"{SECRET}', f'"{SECRET}" x',
        f"{{{SECRET}", f"'{SECRET}'", f"[{SECRET}]",
    ],
)  # fmt: skip
def test_the_text_is_never_shown(body: str) -> None:
    assert SECRET not in said(body.encode())
