"""common/strict_json.py: numbers that would be rounded, depth, and compact JSON."""

import pytest

from eventhub.common.strict_json import (
    canonical_each,
    canonical_items,
    dump,
    dump_all,
    has_digits,
    may_have_long_integer,
    parse,
    parse_array,
    parse_each,
)
from eventhub.errors import InvalidJson, TooDeep

FITS = [b"18446744073709551615", b"-9223372036854775808", b"0.1234567890123456789012", b"1e300"]
ROUNDED = [b"18446744073709551616", b"-9223372036854775809", b"1" * 400]
DEEP = b"[" * 2000 + b"]" * 2000


@pytest.mark.parametrize("number", FITS)
def test_a_number_of_64_bits_or_with_a_fraction_is_taken(number: bytes) -> None:
    assert parse(b'{"a":%b}' % number) == {"a": eval(number)}  # a literal
    assert canonical_items(b"[1,%b]" % number) is not None
    assert parse_array(b"[%b]" % number) == [eval(number)]
    assert parse_each([b"1", number]) == [1, eval(number)]


@pytest.mark.parametrize("number", ROUNDED)
def test_an_integer_that_would_be_rounded_is_refused_everywhere(number: bytes) -> None:
    with pytest.raises(InvalidJson, match="more than 64 bits and would be rounded"):
        parse(b'{"a":[%b]}' % number)
    assert parse_array(b"[%b]" % number) is None
    assert canonical_items(b"[%b]" % number) is None
    assert canonical_each([b"1", number]) is None
    assert parse_each([b"1", number]) is None


def test_digits_in_texts_and_names_are_no_integers() -> None:
    for text in (b'"%b"' % (b"1" * 30), b'{"%b":1}' % (b"1" * 30), b"1." + b"0" * 30):
        assert may_have_long_integer(text)
        parse(text)
        assert canonical_items(b"[%b ]" % text) is not None
        assert canonical_each([text]) is not None


@pytest.mark.parametrize(
    ("body", "may"),
    [
        (b"1" * 19, False),
        (b"1" * 20, True),
        (b"-" + b"1" * 18, False),
        (b"-" + b"1" * 19, True),
        (b"[1," + b"12345 " * 10, False),
        (b"", False),
    ],
)
def test_enough_digits_in_a_row_may_be_a_long_integer(body: bytes, *, may: bool) -> None:
    assert may_have_long_integer(body) is may


def test_digits_in_a_row_are_counted() -> None:
    assert [has_digits(b"a123b12", count) for count in (1, 3, 4)] == [True, True, False]
    assert not has_digits(b"12", 3)


def test_json_that_is_too_deep_says_so() -> None:
    with pytest.raises(TooDeep, match="the JSON cannot be handled"):
        parse(DEEP)
    assert parse_array(DEEP) is None
    assert canonical_items(DEEP) is None
    assert canonical_each([DEEP]) is None
    assert parse_each([DEEP]) is None
    value: list[object] = []
    for _ in range(2000):
        value = [value]
    for write in (dump, lambda deep: dump_all([deep])):
        with pytest.raises(TooDeep):
            write(value)


def test_an_error_has_the_line_and_column_in_the_whole_text() -> None:
    with pytest.raises(InvalidJson, match="at column 2;"):
        parse(b"[x]")
    with pytest.raises(InvalidJson, match="at line 2, column 3;"):
        parse(b"[x]", b"[1,\n ")


def test_items_become_compact_and_no_other_value_has_items() -> None:
    assert canonical_items(b' [ 1.0 , {"a" : "\\u0041"}, [] ] ') == [b"1.0", b'{"a":"A"}', b"[]"]
    assert canonical_items(b"[]") == []
    assert [canonical_items(body) for body in (b"{}", b'"a"', b"[1", b"1")] == [None] * 4
    assert canonical_each([b" 1 ", b'{"a": 2}']) == [b"1", b'{"a":2}']
    assert canonical_each([b"1", b"["]) is None
    assert parse_each([b"1", b"["]) is None
    assert parse_each([b" 1", b'{"a": 2}']) == [1, {"a": 2}]
    assert [parse_array(body) for body in (b"[1]", b"{}", b"[", b"1")] == [[1], None, None, None]
    assert dump({"a": [1, None]}) == b'{"a":[1,null]}'
    assert dump_all(iter([1, "é"])) == [b"1", '"é"'.encode()]
