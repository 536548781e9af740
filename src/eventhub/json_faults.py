"""Why a text is not JSON, and what its sender most likely meant. Never quotes it."""

import re

import orjson

_FORM = re.compile(r"[\w.%+*\[\]-]+=[^\s{\"]*", re.ASCII)
_LETTERS = re.compile(r"[^\W\d]+")
_WORDS = frozenset(("True", "False", "None", "NaN", "Infinity", "undefined", "NULL", "TRUE", "FALSE"))
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x78\x9c")
_SEVERAL = "; one event a line is sent with Content-Type: application/x-ndjson, by curl with --data-binary @file or -T file"
_BREAKS = ", as its -d removes line breaks"


def what_is_wrong(body: bytes, error: orjson.JSONDecodeError, prefix: bytes = b"") -> str:
    """What was received, what was expected, and what to do about it. `prefix`: what stands before it, where it is a part."""
    if not body.strip():
        return "expected JSON, received nothing"
    if body.startswith(_COMPRESSED):
        return "expected JSON, received compressed data (gzip, zstd or deflate); send it uncompressed"
    try:
        text = body.decode()
    except UnicodeDecodeError as fault:
        return (
            f"expected JSON in UTF-8: byte {len(prefix) + fault.start + 1} does not fit; other formats, such as MessagePack, are not taken"
        )
    line, column = error.lineno, error.colno
    if prefix:
        column += len(prefix[prefix.rfind(b"\n") + 1 :].decode(errors="replace")) if line == 1 else 0
        line += prefix.count(b"\n")
    return f"expected JSON: {error.msg} at line {line}, column {column}{_hint(text, error)}"


def _hint(text: str, error: orjson.JSONDecodeError) -> str:
    before, rest = text[: error.pos].strip(), text[error.pos :]
    if "after document" in error.msg:
        return _SEVERAL if "\n" in text[: error.pos] else _SEVERAL + _BREAKS
    if "end of data" in error.msg:
        return "; where each line is an event, an event itself has no line breaks (jq -c removes them)"
    if not before:
        return _beginning(rest)
    word = _LETTERS.match(rest)
    if rest[0] in "'\u2018\u201c" or (word and word[0] not in _WORDS):
        return "; names and texts stand in double quotes"
    return "; JSON writes true, false and null, and has no NaN or Infinity" if word else ""


def _beginning(text: str) -> str:
    text = text.strip()
    if _FORM.fullmatch(text):
        return "; this is a form (application/x-www-form-urlencoded): have a webhook send application/json, and curl -d '{…}'"
    if text.startswith("<"):
        return "; this is XML or HTML"
    if text.startswith("\ufeff"):
        return "; send it without one"
    return '; a text on its own is JSON in double quotes, as in "hello"' if _LETTERS.match(text.lstrip("'\u2018\u201c")) else ""
