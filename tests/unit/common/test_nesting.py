"""nesting.py: how deep JSON nests, whatever its texts hold and however it is broken."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from eventhub.common.nesting import check_depth
from eventhub.common.strict_json import parse
from eventhub.errors import InvalidJson, TooDeep

thorough = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def depth_of(value: Any) -> int:
    """The naive model: levels of arrays and objects."""
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


def too_deep(body: bytes, limit: int) -> bool:
    try:
        check_depth(body, limit)
    except TooDeep:
        return True
    return False


tricky = st.text('[]{}"\\,:ab\n/é', max_size=12)
trees = st.recursive(
    st.none() | tricky | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(tricky, inner, max_size=3),
    max_leaves=30,
)


@thorough
@given(trees, st.integers(0, 8), st.booleans())
@example('[[[["\\', 1, True)  # noqa: FBT003  # drawn, not passed
@example({'"[[[': ["\\", "\\\\", '\\"[[[[']}, 2, False)  # noqa: FBT003  # drawn, not passed
def test_depth_is_that_of_the_naive_model_whatever_texts_hold(
    value: Any,
    limit: int,
    ascii_only: bool,  # noqa: FBT001  # drawn
) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert too_deep(body, limit) == (depth_of(value) > limit)


@pytest.mark.parametrize("limit", [1, 32, 200])
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_the_limit_itself_is_allowed_and_one_more_is_not(limit: int, opening: bytes) -> None:
    closing = b"]" if opening == b"[" else b"}"
    check_depth(opening * limit + b"1" + closing * limit, limit)
    with pytest.raises(TooDeep, match=f"deeper than {limit} levels"):
        check_depth(opening * (limit + 1) + b"1" + closing * (limit + 1), limit)


def test_many_brackets_side_by_side_are_not_deep() -> None:
    check_depth(b"[" + b"[],{}," * 10_000 + b"[]]", 2)


@pytest.mark.parametrize(
    "body",
    [
        b'["' + b"[" * 100,
        b'"' + b"[" * 100 + b"\\",
        b"]" * 100 + b"[" * 50,
        b"\\" + b'"' + b"[" * 99,
    ],
    ids=[
        "unclosed text",
        "text that ends in a backslash",
        "closed before opened",
        "escape outside a text",
    ],
)
def test_what_is_not_json_anyway_is_left_to_the_parser_or_refused(body: bytes) -> None:
    too_deep(body, 8)
    with pytest.raises(InvalidJson):
        parse(body)


@pytest.mark.parametrize(
    "text",
    [b"x" * 1_000_000, b"\\n" * 500_000, b'x\\"' * 300_000],
    ids=["plain", "escapes", "both"],
)
def test_looking_at_a_long_text_takes_no_more_than_a_few_bytes_for_each_of_its_own(
    text: bytes,
) -> None:
    body = b"[" + b"[]," * 40 + b'"' + text + b'"]'
    tracemalloc.start()
    try:
        check_depth(body, 32)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(body), f"{peak // len(body)} bytes for each byte of the body"


def test_a_long_run_of_escapes_is_looked_at_once() -> None:
    body = b"[" * 9 + b'"' + b'\\"' * 100_000 + b"[" * 100_000
    assert too_deep(body, 8)
    check_depth(body, 9)
