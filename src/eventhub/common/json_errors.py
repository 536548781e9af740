"""Says why a text is not JSON, and what its sender most likely meant. Never quotes the text."""

import re

import orjson

_FORM = re.compile(r"[\w.%+*\[\]-]+=[^\s{\"]*", re.ASCII)
_LETTERS = re.compile(r"[^\W\d]+")
_WORDS = frozenset(
    ("True", "False", "None", "NaN", "Infinity", "undefined", "NULL", "TRUE", "FALSE")
)
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x78\x9c")
_SEVERAL = (
    "; one event a line is sent with Content-Type: application/x-ndjson, "
    "by curl with --data-binary @file or -T file"
)
_LINES = "; where each line is an event, an event itself has no line breaks (jq -c removes them)"
_CSV = "; CSV is not taken; several values stand in an array, [ and ] around them"
_ENDS = frozenset(("}", "]", "},", "],"))
"""Last lines of a JSON text with line breaks."""
_BREAKS = ", as its -d removes line breaks"


def what_is_wrong(body: bytes, error: orjson.JSONDecodeError, prefix: bytes = b"") -> str:
    """The message of InvalidJson. `prefix` is the text before `body` where it is a part of one."""
    if not body.strip():
        return "expected JSON, received nothing"
    if body.startswith(_COMPRESSED):
        return (
            "expected JSON, received compressed data (gzip, zstd or deflate); send it uncompressed"
        )
    try:
        text = body.decode()
    except UnicodeDecodeError as fault:
        return (
            f"expected JSON in UTF-8: byte {len(prefix) + fault.start + 1} does not fit; "
            "other formats, such as MessagePack, are not taken"
        )
    line, column = error.lineno, error.colno
    if prefix:
        column += (
            len(prefix[prefix.rfind(b"\n") + 1 :].decode(errors="replace")) if line == 1 else 0
        )
        line += prefix.count(b"\n")
    place = (
        f"line {line}, column {column}" if prefix or "\n" in text else f"column {column}"
    )  # a line of a stream has its own number
    return f"expected JSON: {error.msg} at {place}{_hint(text, error)}"


def _hint(text: str, error: orjson.JSONDecodeError) -> str:
    before, rest = text[: error.pos].strip(), text[error.pos :]
    if text[max(0, error.pos - 1) :].startswith("[object "):
        return "; this is an object of JavaScript made a text: send JSON.stringify(…) of it"
    if "after document" in error.msg:
        return _behind(before, text, error.pos)
    if "end of data" in error.msg:
        return (
            _LINES
            if "\n" not in text and before.endswith(("{", "[", ","))
            else "; its end is missing"
        )
    if not before:
        return _beginning(rest)
    word = _LETTERS.match(rest)
    if rest[0] in "'\u2018\u201c" or (word and word[0] not in _WORDS):
        return "; names and texts stand in double quotes"
    return "; JSON writes true, false and null, and has no NaN or Infinity" if word else ""


def _behind(before: str, text: str, position: int) -> str:
    """The hint for text after a complete value."""
    rest = text[position:].strip()
    if rest == "," or rest.startswith(":"):
        return _LINES
    if rest.startswith(","):
        return _CSV
    return (
        _SEVERAL + _BREAKS
        if before.endswith(("}", "]")) and "\n" not in text[:position]
        else _SEVERAL
    )


def _beginning(text: str) -> str:
    text = text.strip()
    if text in _ENDS:
        return _LINES
    if "," in text.partition("\n")[0] and "\n" in text and _LETTERS.match(text):
        return _CSV
    if _FORM.fullmatch(text):
        return (
            "; this is a form (application/x-www-form-urlencoded): "
            "have a webhook send application/json, and curl -d '{…}'"
        )
    if text.startswith("<"):
        return "; this is XML or HTML"
    if text.startswith("\ufeff"):
        return "; send it without one"
    return (
        '; a text on its own is JSON in double quotes, as in "hello"'
        if _LETTERS.match(text.lstrip("'\u2018\u201c"))
        else ""
    )
