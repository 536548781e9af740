"""Expressions that are refused: what is said, and in which column."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventhub.errors import InvalidFilter
from eventhub.filters.event_filter import FilterFailed
from eventhub.filters.parser import DEPTH
from eventhub.filters.registry import Filters
from tests.unit.filters.filtering import event, filter_, matches

KNOWN = (
    "known are attributes, by, channel, data, deleted, extensions, id, key, refers, relation, "
    "schema, time"
)
INVALID = [
    ("", 1, "expected a value, found the end"),
    (" // nothing", 12, "expected a value, found the end"),
    ("data.level ==", 14, "expected a value, found the end"),
    ("data..level", 6, "expected a name, found '.'"),
    ("data.level = 1", 12, "unexpected character '='; == compares"),
    ("data.a & data.b", 8, "unexpected character '&'; && is and"),
    ("data.a | data.b", 8, "unexpected character '|'; || is or"),
    ("data.level ==\n'error", 15, "the string that begins with ' does not end"),
    ("data.level == “error”", 15, "unexpected character '“'"),
    ("data.level == 'a' 'b'", 19, "expected an operator or the end, found \"'b'\""),
    ("(data.open", 11, "expected ')', found the end"),
    ("[1, 2", 6, "expected ']', found the end"),
    ('{"a" 1}', 6, "expected ':', found '1'"),
    ("data.open ? true", 17, "expected ':', found the end"),
    ("level == 'error'", 1, f"unknown name 'level'; {KNOWN}"),
    ("data.list.all(x, y > 0)", 18, f"unknown name 'y'; {KNOWN}, x"),
    ("data.list.all(x, true) && x", 27, f"unknown name 'x'; {KNOWN}"),
    ("data.level.like('a')", 12, "unknown method 'like'"),
    ("lower(data.level)", 1, "unknown function 'lower'"),
    ("contains(data.text, 'a')", 1, "unknown function 'contains'; it is called as in "),
    ("data.count.int() == 1", 12, "unknown method 'int'; it is called as in int(…)"),
    ("exists(data.list)", 1, "unknown function 'exists'; it is called as in data.text.exists("),
    ("size() == 1", 1, "size is given 0 arguments; expected 1"),
    ("data.text.contains() == 1", 11, "contains is given 0 arguments; expected 1"),
    ("has(data)", 1, "has takes one field, such as has(data.level)"),
    ("has(data.a, data.b)", 1, "has takes one field"),
    ("data.list.all(true)", 11, "all takes a variable and an expression, such as data.tags.all("),
    ("data.list.all(1, true)", 11, "all takes a variable and an expression"),
    ("data.list.all(x, true, true)", 11, "all takes a variable and an expression"),
    ("data.list.all()", 11, "all takes a variable and an expression"),
    ("data.text.matches(data.level)", 24, "matches: expected a text and a constant pattern"),
    ("matches(data.text)", 1, "matches: expected a text and a constant pattern"),
    ("data.text.matches('(')", 19, "the regular expression cannot be compiled: unclosed group"),
    ("data.text.matches('(?=a)')", 19, "the regular expression cannot be compiled: look-around"),
    ("data.text.matches('(a{999}){999}')", 19, "the regular expression repeats too much"),
    (f"data.text.matches('{'a' * 257}')", 19, "the regular expression has 257 characters; at most"),
    ("if == 1", 1, "'if' is a reserved word"),
    ("!-1", 2, "! and - in a row"),
    ("-1u == 1", 2, "there is no -1u"),
    ("b'a' == 1", 1, "bytes are not supported: JSON has none"),
    ("9223372036854775808 > 1", 1, "the number 9223372036854775808 is too large"),
    ("-9223372036854775809 < 1", 2, "the number 9223372036854775809 is too large"),
    ("true ? true ? 1 : 2 : 3", 13, "expected ':', found '?'"),
    (f"[1].all(x, x{'+x' * (DEPTH - 2)} > 0)", 5, f"nested more than {DEPTH} levels deep"),
    ("18446744073709551616u > 1u", 1, "the number 18446744073709551616u is too large"),
    (f"{'9' * 99} > 1", 1, f"the number {'9' * 40} is too large"),
    ("1e999 > 1.0", 1, "the number 1e999 is too large"),
    (r"'\q' == ''", 1, r"unknown escape \q in a string"),
    (r"'\ud800' == ''", 1, r"\ud800 is no character"),
    (r"'\U00110000' == ''", 1, r"\U00110000 is no character"),
    ("(" * 60 + "1" + ")" * 60, DEPTH + 1, f"nested more than {DEPTH} levels deep"),
    ("data" + ".a" * 60, 5 + 2 * DEPTH - 1, f"nested more than {DEPTH} levels deep"),
    ("(true)||" * 60 + "(" * 60, 480 + DEPTH + 1, f"nested more than {DEPTH} levels deep"),
    (f"data{'.a' * (DEPTH - 1)} || true", 4 + 2 * DEPTH, f"nested more than {DEPTH} levels deep"),
    ("1" + "+1" * 60, 2 * DEPTH, f"nested more than {DEPTH} levels deep"),
    ("data.a and data.b", 8, "expected an operator or the end, found 'and'; && is and"),
    ("(data.a OR data.b)", 9, "expected ')', found 'OR'; || is or"),
    ("not data.a", 5, "expected an operator or the end, found 'data'; ! is not"),
    ("not(data.a)", 1, "unknown function 'not'; ! is not"),
    ("data.a not in [1]", 8, "expected an operator or the end, found 'not'; !(… in …) is not in"),
    ("data.a =~ '^a'", 8, "unexpected '=~'; a regular expression is data.text.matches("),
    ("data.a ~ '^a'", 8, "unexpected '~'; a regular expression is data.text.matches("),
    ("data.a !~ '^a'", 9, "unexpected '~'; a regular expression is data.text.matches("),
    ("data.a like 'x%'", 8, "expected an operator or the end, found 'like'; see data.text."),
    ("data.a.like('a')", 8, "unknown method 'like'; known are all, contains, endsWith, exists, "),
    ("lower(data.a)", 1, "unknown function 'lower'; known are bool, double, duration, dyn, has, "),
    ("msg{a: 1}", 4, "expected an operator or the end, found '{'"),
]


@pytest.mark.parametrize(("text", "column", "reason"), INVALID)
def test_an_invalid_filter_is_refused_with_a_column(text: str, column: int, reason: str) -> None:
    with pytest.raises(InvalidFilter) as raised:
        filter_(text)
    said = f"column {column}: {reason}"
    assert raised.value.message.startswith(f"where is no filter: {said}")
    assert raised.value.details[0]["pointer"] == "/where"
    assert raised.value.details[0]["message"].startswith(said)


@pytest.mark.parametrize(
    ("text", "column", "found"),
    [
        ("1", 1, "an int"),
        ('"x"', 1, "a string"),
        ("null", 1, "null"),
        ("[data.a]", 1, "a list"),
        ("{'a': data.a}", 1, "a map"),
        ("int", 1, "a type"),
        ("channel", 1, "a string"),
        ("data.a + data.b", 8, "a sum"),
        ("-data.a", 1, "a number or a time"),
        ("size(data.a)", 1, "a number"),
        ("data.a.map(x, x)", 8, "a list"),
        ("data.a.filter(x, x)", 8, "a list"),
        ("time.getHours()", 6, "a number"),
        ("data.a ? 'a' : 'b'", 8, "a string"),
        ("'a' ? data.a : data.b", 1, "a string"),
        ("data.a && 1", 11, "an int"),
        ("!(data.a || channel)", 13, "a string"),
        ("data.a.exists(x, 'a')", 18, "a string"),
        ("dyn(1)", 1, "an int"),
    ],
)
def test_what_is_true_or_false_for_no_event_is_refused(text: str, column: int, found: str) -> None:
    with pytest.raises(InvalidFilter) as raised:
        filter_(text)
    said = f"where is no filter: column {column}: this is {found}; expected true or false"
    assert raised.value.message == said


@pytest.mark.parametrize(
    "text",
    """data;data.a;data['a'];key;by;true;data.a ? 1 : data.b;dyn(data);bool(data.a)
    data.a.exists(channel, channel);data.a.map(x, 1).size() == 1""".replace("\n", ";").split(";"),
)
def test_what_may_be_true_for_an_event_is_accepted(text: str) -> None:
    assert filter_(text).text == text


@pytest.mark.parametrize(
    "text",
    [
        "||".join(["data.open"] * 90),
        "&&".join(["data.open"] * 90),
        "!" * 1000 + "data.open",
        "-" * 1000 + "1 == 1",
        f"data.count in [{','.join(map(str, range(300)))}]",
    ],
)
def test_long_rows_are_no_depth(text: str) -> None:
    assert matches(text)


TEXT = """
data data.list data.text data.open 1 2.5 'a' 7u null true ( ) [ ] { } . , : ? && || ! - + * / %
== != < in x .all(x, .map(x, .exists( .size() has( matches( string( timestamp( int('x') é \\ ' //
"""
SNIPPETS = TEXT.split()


def outcome(text: str) -> str:
    try:
        found = filter_(text)
    except InvalidFilter as error:
        return error.message
    try:
        return str(found.matches(event()))
    except FilterFailed as error:
        return str(error)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(SNIPPETS), max_size=25))
def test_any_text_is_a_filter_or_is_refused(snippets: list[str]) -> None:
    assert "cannot be evaluated" not in outcome(" ".join(snippets))


def test_data_that_is_no_json_matches_nothing() -> None:
    assert filter_("channel == 'a.b'").matches(event()._replace(data=b"{"))
    with pytest.raises(FilterFailed, match="it cannot be evaluated: JSONDecodeError"):
        matches("data.open", event()._replace(data=b"{"))


def test_readers_with_the_same_text_share_a_filter() -> None:
    filters = Filters(most=2)
    first, second = filters.get("true"), filters.get("false")
    assert filters.get("true") is first
    assert len(filters) == 2
    with pytest.raises(InvalidFilter, match="2 different filters are in use on this node") as full:
        filters.get("data.open")
    assert full.value.limit == "filters"
    assert filters.get("false") is second
    del first
    assert filters.get("data.open").matches(event())


def test_the_text_of_a_filter_is_bounded_in_bytes() -> None:
    filters = Filters(size=12)
    assert filters.get("'é' != 'è'").text == "'é' != 'è'"
    with pytest.raises(InvalidFilter, match="where has 13 bytes; at most 12 are allowed") as large:
        filters.get("'é' != 'è' ")
    assert large.value.limit == "filter_bytes"
