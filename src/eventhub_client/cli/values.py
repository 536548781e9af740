"""JSON values from a stream of text: lines of JSON, or values that span lines."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

VALUE_BYTES = 1 << 20
"""The longest value that is read."""
TOO_DEEP = "it nests too deeply"
_ENDS = frozenset('}]"0123456789els')
_decoder = json.JSONDecoder()


def values(lines: Iterable[str]) -> Iterator[Any]:
    """Each value as soon as the line that ends it has come. Raises ValueError, with the line."""
    waiting, first = "", 1
    for number, line in enumerate(lines, 1):
        if not waiting:
            first = number
        waiting += line
        if len(waiting) > VALUE_BYTES:
            raise ValueError(
                f"the value that begins in line {first} is longer than {VALUE_BYTES} characters"
            )
        waiting = waiting.lstrip()
        while waiting and waiting.rstrip()[-1] in _ENDS:
            try:
                value, end = _decoder.raw_decode(waiting)
            except ValueError as error:
                if _may_go_on(waiting):
                    break
                raise _fault(first, waiting, error) from None
            except RecursionError:
                raise _fault(first, waiting, ValueError(TOO_DEEP)) from None
            yield value
            waiting, first = waiting[end:].lstrip(" \t\r\n,"), number
        if waiting and not _may_go_on(waiting):
            raise _fault(first, waiting, ValueError("expected a JSON value"))
    if waiting:
        raise _fault(first, waiting, ValueError("it ends within the value"))


def _may_go_on(text: str) -> bool:
    """Whether another line can complete it: only arrays and objects span lines."""
    return text[0] in "{["


def _fault(line: int, text: str, error: ValueError) -> ValueError:
    received = text.strip()[:60]
    return ValueError(f"line {line} is not JSON: {error}; received {received!r}")
