"""filters/: numbers, texts, times and depth at the edges of what is allowed."""

import pytest

from eventhub.errors import InvalidFilter
from eventhub.filters.event_filter import STEPS, FilterFailed
from eventhub.filters.parser import DEPTH
from eventhub.filters.registry import Filters
from tests.unit.filters.filtering import event, filter_, matches

NAMED = "n" * 60


@pytest.mark.parametrize(
    "text",
    [
        "18446744073709551615u > 9223372036854775807",
        "9223372036854775807 > 0 && -9223372036854775808 < 0",
        "9223372036854775806 + 1 == 9223372036854775807",
        "-9223372036854775807 - 1 == -9223372036854775808",
        "18446744073709551614u + 1u == 18446744073709551615u && 1u - 1u == 0u",
        "type(9223372036854775807) == int && type(data.big) == uint",
        "-2.5 < 0.0 && --2.5 > 0.0 && -1.0 / -0.0 > 0.0 && 1.0 / -0.0 < 0.0",
        "0.0 / 0.0 != 0.0 / 0.0",
        "double('1e999') / double('1e999') != 1.0",
        "7u / 2u == 3u && 7u % 2u == 1u && -7 / -2 == 3 && -7 % -2 == -1",
        r"'\ud7ff' < '\ue000' && '\U0010ffff' > '\U00010000' && '\xff' == '\u00ff'",
        "r'''a\\n'b''' == 'a\\\\n\\'b'",
        'R"""a"b""" == \'a"b\' && """a\nb""" == \'a\\nb\'',
        "string(2.0) == '2' && string(1e15) == '1000000000000000.0' && string(-0.5) == '-0.5'",
        "string(false) == 'false' && string(7u) == '7'",
        "string(timestamp('2026-11-22T19:46:10Z')) == '2026-11-22T19:46:10Z'",
        "string(timestamp('2026-11-22T19:46:10.5Z')) == '2026-11-22T19:46:10.5Z'",
        "timestamp('2026-11-22t19:46:10z') == timestamp('2026-11-22T19:46:10Z')",
        "timestamp('2026-11-22T19:46:10.123456789Z') == timestamp('2026-11-22T19:46:10.123456Z')",
        "timestamp('2026-11-22t20:06:60z') == timestamp('2026-11-22T20:07:00Z')",
        "timestamp('2026-11-22T20:06:60.5Z') > timestamp('2026-11-22T20:07:00.4999999999999Z')",
        "timestamp('2026-11-22T00:30:00+01:00').getHours() == 23",
        "timestamp('2026-11-22T00:30:00+01:00').getDate() == 21",
        "timestamp(1795376760) == timestamp('2026-11-22T19:46:00Z') && timestamp(time) == time",
        "timestamp('2026-11-21T00:00:00Z').getDayOfWeek() == 6",
        "timestamp('2026-11-23T00:00:00Z').getDayOfWeek() == 1",
        "duration('1m') == duration('60s') && duration('1.5h') == duration('90m')",
        "duration('1500us') == duration('1.5ms') && duration('5µs') == duration('5000ns')",
        "duration('-1h30m') == duration('-5400s') && duration('+5s') == duration('5s')",
        "duration('-.5s') + duration('500ms') == duration('0s')",
        "duration(duration('1s')) < time - timestamp(0)",
        "string(duration('1.5s')) == '1.5s' && string(duration('-2m')) == '-120s'",
        "has(data.none) && 'none' in data && data['none'] == null",
        "[data.count, 5] == [5, 5] && [5, data.count] == [5, 5]",
        "data.open ? 1 == 1 : 1 == 2 && false",
        "true || false && false",
        "1 <= 1 && 1 <= 2 && !(2 <= 1) && 2 >= 2 && 2 >= 1 && !(1 >= 2)",
        "data.missing || 1 <= 1",
        "2 + 3 * 4 % 5 == 4 && 1 + 1 in [2]",
        "[1, 2].map(x, [3, 4].map(y, x * y)) == [[3, 4], [6, 8]]",
        "[1, 2].map(x, [10].map(x, x + 1)) == [[11], [11]]",
        "[1, 2].exists_one(x, x > 1) && ![1, 2].exists_one(x, x > 0) && ![1].exists_one(x, x > 1)",
        "(" * (DEPTH - 1) + "true" + ")" * (DEPTH - 1),
        "data.fields.if == 1 && data.if.else == 2",
    ],
)
def test_a_value_at_its_bound(text: str) -> None:
    one = event()
    data = one.data[:-1] + b',"if":{"else":2}}'
    assert matches(text, one._replace(data=data))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("-9223372036854775808 - 1 < 0", "the integer is out of range (column 22)"),
        ("18446744073709551615u + 1u > 0u", "the unsigned integer is out of range (column 23)"),
        ("timestamp(true) < time", "timestamp does not take the bool"),
        ("timestamp(99999999999999) < time", "timestamp does not take the int"),
        ("duration('5') < duration('1s')", "duration does not take the string '5'"),
        ("duration('1s ') < duration('1s')", "duration does not take the string '1s '"),
        ("duration('--1s') < duration('1s')", "duration does not take the string '--1s'"),
        ("duration('9999999999999h') < duration('1s')", "duration does not take the string"),
        ("int('12x') == 12", "int does not take the string '12x'"),
        ("int('') == 0", "int does not take the string ''"),
        (f"bool('{NAMED}')", f"bool does not take the string '{NAMED[:20]}' (column 1)"),
        (f"data.{NAMED} == 1", f"there is no '{NAMED[:40]}' (column 6)"),
        (f"data['{NAMED}'] == 1", f"there is no '{NAMED[:40]}' (column 5)"),
        (f"data.level.{NAMED} == 1", f"a string has no '{NAMED[:40]}' (column 12)"),
        ("data.list[data.big] == 1", "[ ] does not take list and uint (column 10)"),
        ("data.list[true] == 1", "[ ] does not take list and bool (column 10)"),
        ("time - duration('99999999h') > time", "the time is out of range (column 6)"),
        ("time + time > time", "+ does not take timestamp and timestamp (column 6)"),
        ("duration('1s') - time > time", "- does not take duration and timestamp (column 16)"),
        ("!!data.level", "! does not take string (column 1)"),
        ("--data.level == 1", "- does not take string (column 1)"),
        ("-data.big == 1", "- does not take uint (column 1)"),
        ("[1, 2].all(x, x)", "all (column 8) needs true or false, not an int"),
        ("[1, 2].exists_one(x, x)", "exists_one (column 8) needs true or false, not an int"),
        ("[1, 2].map(x, x, x) == []", "map (column 8) needs true or false, not an int"),
        ("data.count && (true || false)", "&& does not take int"),
        ("data.missing || false", "there is no 'missing' (column 6)"),
        ("false || data.missing", "there is no 'missing' (column 15)"),
        ("true && data.missing", "there is no 'missing' (column 14)"),
        ("data.missing ? true : true", "there is no 'missing' (column 6)"),
    ],
)
def test_what_lies_beyond_has_no_value(text: str, reason: str) -> None:
    with pytest.raises(FilterFailed) as raised:
        matches(text)
    assert str(raised.value).startswith(reason)


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        (f"{NAMED} == 1", 1, f"unknown name '{NAMED[:40]}'; known are"),
        (f"{NAMED}(1)", 1, f"unknown function '{NAMED[:40]}'"),
        (f"1 {NAMED}", 3, f"expected an operator or the end, found '{NAMED[:40]}'"),
        ("size(1, 2) == 1", 1, "size is given 2 arguments; expected 1"),
        ("data.size(1) == 1", 6, "size is given 1 arguments; expected 0"),
        ("data.text.matches('a', 'b')", 11, "matches: expected a text and a constant pattern"),
        ("data.text.matches(5)", 19, "matches: expected a text and a constant pattern"),
        ("data.list.exists_one(x, true, true)", 11, "exists_one takes a variable"),
        ("data.list.map(x, true, x, x)", 11, "map takes a variable"),
        (r"'\udfff' == ''", 1, r"\udfff is no character"),
        ("18446744073709551616 > 1", 1, "the number 18446744073709551616 is too large"),
        ("123456789012345678901u > 1u", 1, "the number 123456789012345678901u is too large"),
        ("-true", 2, "there is no -true"),
        ("[1, 2 3]", 7, "expected ']', found '3'"),
        ("true && ( true", 15, "expected ')', found the end"),
    ],
)
def test_a_text_that_is_no_filter(text: str, column: int, reason: str) -> None:
    with pytest.raises(InvalidFilter) as raised:
        filter_(text)
    assert raised.value.message.startswith(f"where is no filter: column {column}: {reason}")


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("data.list.exists(x, x == 9)", 3 * (2 + 3)),
        ("data.list.map(x, x > 1, -x) == [-2, -3]", 3 * (2 + 3 + 2) + 2),
        ("data.list.all(x, [x].size() > 0)", 3 * (2 + 5)),
        ("data.list.filter(x, true).size() == 3", 3 * (2 + 1)),
        ("data.fields.exists_one(x, x == 'if')", 2 * (2 + 3)),
        ("data.list.all(x, {'a': x}.a > 0)", 3 * (2 + 6)),
    ],
)
def test_a_loop_costs_its_body_for_each_item(text: str, steps: int) -> None:
    found = filter_(text)
    found.matches(event())
    assert found.steps == steps


def test_a_text_that_cannot_be_encoded_has_a_size_and_is_refused() -> None:
    with pytest.raises(InvalidFilter, match="where has 13 bytes; at most 12"):
        Filters(size=12).get("data == '\ud800\ud800\ud800'")
    filters = Filters(size=12)
    assert filters.get("data == 'ab'") is filters.get("data == 'ab'")
    assert filters.get("data == 'ab'")._fields is filters._fields


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("data.all(x, data.all(y, data.all(z, true))) || true", 30),
        ("data.exists(w, data.all(x, data.all(y, data.all(z, true)))) || true", 30),
        ("1 in data", STEPS + 1),
        ("data == data", STEPS + 1),
    ],
)
def test_no_operator_does_without_the_steps_that_are_not_left(text: str, items: int) -> None:
    with pytest.raises(FilterFailed, match=f"^it takes more than {STEPS} steps$"):
        matches(text, event([0] * items))
