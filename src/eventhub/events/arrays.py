"""Splits a JSON array into parts of whole items, so that each is quick to parse. No I/O."""

import re
from collections.abc import Generator, Iterator
from functools import lru_cache
from typing import NamedTuple

from eventhub.errors import InvalidJson, TooDeep

WINDOW = 256 * 1024
"""A larger item is scanned bracket by bracket, because one expression would take too long."""
DEEPEST = 1023
"""Most levels of an item. The array adds one, and the parser allows 1024."""
STEPS = 2000
"""Brackets that are scanned before the caller may do other work."""

# Possessive expressions (`*+`) never go back: each byte is read once, whatever the nesting.
_TEXT = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_FLAT = rb'[^"\[\]{}]*+(?:' + _TEXT + rb'[^"\[\]{}]*+)*+'
_SCALAR = re.compile(rb'[^"\[\]{},]*+')
_TOKEN = re.compile(_TEXT + rb'|[\[\]{}"]', re.DOTALL)


class ArrayPart(NamedTuple):
    """Bytes `start` to `end` of a body: items with commas between them. `alone`: one item."""

    start: int
    end: int
    alone: bool


def pieces(body: bytes, size: int, commas: int, depth: int) -> Iterator[ArrayPart | None]:
    """Split an array into parts of at most `size` bytes and `commas` commas, or of one large item.

    Yields None after some work without a result. The caller parses each part; errors between the
    parts are found here. The end of an item that nests deeper than `depth` takes longer to find.

    Raises InvalidJson, and TooDeep for an item that nests deeper than DEEPEST.
    """
    several, one = _expressions(depth)
    start = body.index(b"[") + 1
    first = True
    while True:
        room = size
        while body.count(b",", start, start + room) > commas:
            room //= 2
        if (end := _end(several, body, start, start + room)) > start:
            yield _checked(body, start, end - 1, alone=False)
            start, first = end, False
            continue
        end = _end(one, body, start, start + WINDOW)
        if body[end : end + 1] not in (b",", b"]") or end == start + WINDOW:
            end = yield from _scan(body, start)
        last = body[end : end + 1] == b"]"
        if not (first and last and not body[start:end].strip()):  # an empty array has no item
            yield _checked(body, start, end, alone=True)
        if last:
            break
        start, first = end + 1, False
    if body[end + 1 :].strip(b" \t\r\n"):
        raise InvalidJson(
            f"expected JSON: unexpected content after the array at {place(body, end + 1)}"
        )


def place(body: bytes, at: int) -> str:
    """The line and column of a byte."""
    line = body.rfind(b"\n", 0, at) + 1
    number, column = body.count(b"\n", 0, at) + 1, len(body[line:at].decode(errors="replace")) + 1
    return f"line {number}, column {column}"


@lru_cache(maxsize=4)
def _expressions(depth: int) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Expressions for items that each end with a comma, and for one item."""
    inner = _FLAT
    for _ in range(depth - 1):
        inner = _FLAT + rb"(?:[\[{]" + inner + rb"[\]}]" + _FLAT + rb")*+"
    item = (
        _SCALAR.pattern
        + rb"(?:(?:"
        + _TEXT
        + rb"|[\[{]"
        + inner
        + rb"[\]}])"
        + _SCALAR.pattern
        + rb")*+"
    )
    return re.compile(rb"(?:" + item + rb",)*+", re.DOTALL), re.compile(item, re.DOTALL)


def _end(expression: re.Pattern[bytes], body: bytes, start: int, end: int) -> int:
    found = expression.match(body, start, end)
    assert found is not None  # the expression also matches the empty text
    return found.end()


def _scan(body: bytes, start: int) -> Generator[None, None, int]:
    """Find the end of an item that is too large or too deep for an expression."""
    end = _end(_SCALAR, body, start, len(body))
    depth = 0
    if body[end : end + 1] in (b",", b"]"):
        return end
    for number, token in enumerate(_TOKEN.finditer(body, end), 1):
        if number % STEPS == 0:
            yield None
        match token[0]:
            case b"[" | b"{":
                depth += 1
                if depth > DEEPEST:
                    raise TooDeep(
                        f"an item of the array nests deeper than {DEEPEST} levels, "
                        "which is the limit for finding its end"
                    )
            case b"]" | b"}":
                depth -= 1
            case b'"':  # a string without an end
                break
        end = token.start()
        if depth < 0:
            break
        if depth == 0:
            end = _end(_SCALAR, body, token.end(), len(body))
            if body[end : end + 1] in (b",", b"]"):
                return end
    else:
        end = len(body)
    what = "unexpected end of data" if depth >= 0 else "unexpected character"
    raise InvalidJson(f"expected JSON: {what} at {place(body, end)}")


def _checked(body: bytes, start: int, end: int, *, alone: bool) -> ArrayPart:
    if not body[start:end].strip():
        raise InvalidJson(f"expected JSON: an item is missing at {place(body, end)}")
    return ArrayPart(start, end, alone)
