"""Regular expressions of `matches`, by the engine in pydantic, whose time grows with the text only.

Python's own engine tries alternatives one after the other: `(a+)+$` may take it for ever.
"""

import re
from collections.abc import Callable

from pydantic_core import SchemaError, SchemaValidator, core_schema

LENGTH = 256
WEIGHT = 10_000
"""Bound of the size of a compiled expression, about in states: compiling takes a few ms at most."""
_REPEATED = re.compile(r"\{([0-9]*),?([0-9]*)\}")
_CLASS = re.compile(r"\\[wWdDsSpPbB]|\[")
_CLASS_STATES = 400


def compiled(pattern: str) -> Callable[[str], bool]:
    """Whether a text has a part that fits. Raises ValueError, which says what is wrong."""
    if len(pattern) > LENGTH:
        raise ValueError(f"has {len(pattern)} characters; at most {LENGTH} are allowed")
    if _weight(pattern) > WEIGHT:
        raise ValueError("repeats too much")
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern)).isinstance_python
    except SchemaError as error:
        lines = str(error).splitlines()
        reason = next((line for line in reversed(lines) if line.startswith("error:")), lines[-1])
        raise ValueError(f"cannot be compiled: {reason.removeprefix('error: ')[:200]}") from None


def cost(pattern: str) -> int:
    """Steps for each 64 characters of a text."""
    return 1 + _weight(pattern) // 2000


def _weight(pattern: str) -> int:
    """An upper estimate: as if each class were large, and all repetitions nested."""
    weight = len(pattern) + _CLASS_STATES * len(_CLASS.findall(pattern))
    if "(?" in pattern or "." in pattern:
        weight *= 2
    for found in _REPEATED.findall(pattern):
        weight *= max(1, *(int(number[:9] or 0) for number in found))
    return weight
