"""arrays.py: the pieces of an array are its items, whatever they hold and however they are cut."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventhub.errors import InvalidJson, TooDeep
from eventhub.events.arrays import STEPS, WINDOW, ArrayPart, pieces, place

thorough = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
tricky = st.text('[]{}"\\,:ab\n/é', max_size=12)
trees = st.recursive(
    st.none() | tricky | st.integers(-(2**53), 2**53) | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(tricky, inner, max_size=4),
    max_leaves=30,
)


def cut(body: bytes, size: int = 40, depth: int = 4, commas: int = 1000) -> list[ArrayPart]:
    return [piece for piece in pieces(body, size, commas, depth) if piece is not None]


def items(body: bytes, size: int = 40, depth: int = 4, commas: int = 1000) -> list[Any]:
    """All items, parsed piece by piece as the caller does."""
    found = []
    for start, end, alone in cut(body, size, depth, commas):
        some = orjson.loads(b"[" + body[start:end] + b"]")
        assert some
        assert not alone or len(some) == 1
        assert alone or (end - start < size and body.count(b",", start, end) < commas)
        found += some
    return found


@thorough
@given(
    st.lists(trees, max_size=12),
    st.integers(1, 200),
    st.integers(1, 6),
    st.integers(1, 9),
    st.sampled_from([None, 0, 3]),
)
def test_the_pieces_of_an_array_are_its_items(
    value: list[Any], size: int, depth: int, commas: int, indent: int | None
) -> None:
    body = json.dumps(value, ensure_ascii=False, indent=indent).encode()
    assert items(b" \n" + body + b"\r\n ", size, depth, commas) == value


@thorough
@given(st.lists(trees, min_size=1, max_size=5), st.data())
def test_what_is_not_json_is_refused_by_a_piece_or_its_parser(
    value: list[Any], data: st.DataObject
) -> None:
    body = bytearray(json.dumps(value).encode())
    at = data.draw(st.integers(1, len(body) - 1))
    body[at : at + data.draw(st.integers(0, 2))] = data.draw(
        st.sampled_from([b"", b",", b'"', b"[", b"}", b"\\", b"x", b"1"])
    )
    try:
        expected = orjson.loads(bytes(body))
    except orjson.JSONDecodeError:
        with pytest.raises((InvalidJson, orjson.JSONDecodeError)):
            items(bytes(body))
    else:
        assert items(bytes(body)) == expected


@pytest.mark.parametrize("body", [b"[]", b" [ \n ] ", b"[[]]", b"[{}]", b'[""]', b"[0]"])
def test_small_arrays(body: bytes) -> None:
    assert items(body) == orjson.loads(body)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"[1,2,]", "an item is missing at line 1, column 6"),
        (b"[,", "an item is missing at line 1, column 2"),
        (b"[1,2", "unexpected end of data at line 1, column 5"),
        (b"[1}", "unexpected character at line 1, column 3"),
        (b'[1,\n"\xc3\xa9', "unexpected end of data"),
        (b"[1] 2", "unexpected content after the array at line 1, column 4"),
        (b"[" * 50, "unexpected end of data at line 1, column 51"),
        (b"[[1,2,3]" + b",[]" * 20, "unexpected end of data at line 1, column 69"),
    ],
)
def test_what_no_parser_of_a_piece_would_see_is_refused_with_its_place(
    body: bytes, complaint: str
) -> None:
    with pytest.raises(InvalidJson, match=complaint):
        cut(body)


def test_a_long_item_comes_alone_and_the_others_by_their_bytes() -> None:
    body = b"[1,2,3," + b'"' + b"x" * 100 + b'",4,5]'
    found = [(body[start:end], alone) for start, end, alone in cut(body)]
    assert found == [
        (b"1,2,3", False),
        (b'"' + b"x" * 100 + b'"', True),
        (b"4", False),
        (b"5", True),
    ]


def test_the_end_of_an_item_that_is_very_long_or_very_deep_is_looked_for_in_steps() -> None:
    for item in (b"[" + b"[]," * WINDOW + b"1]", b"[" * 900 + b"[]," * 5000 + b"1" + b"]" * 900):
        found = list(pieces(b"[1," + item + b",2]", 40, 1000, 4))
        assert sum(piece is None for piece in found) >= item.count(b"[") * 2 // STEPS - 1
        assert [piece for piece in found if piece is not None][1] == ArrayPart(
            3, 3 + len(item), alone=True
        )


def test_what_nests_without_end_is_not_looked_at_to_its_end() -> None:
    with pytest.raises(TooDeep, match="deeper than 1023 levels"):
        cut(b"[1," + b"[" * 100_000)


def test_a_place_is_a_line_and_a_character() -> None:
    assert place('[1,\n"é",x'.encode(), 9) == "line 2, column 5"
