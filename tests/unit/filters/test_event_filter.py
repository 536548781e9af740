"""event_filter.py: which events match, and what is said of those that have no value."""

import pytest

from eventhub.errors import InvalidFilter
from eventhub.events.event import Event
from eventhub.filters.event_filter import (
    STEPS,
    STEPS_EARNED,
    STEPS_SAVED,
    EventFilter,
    FilterFailed,
)
from tests.unit.filters.filtering import event, filter_, matches

TRUE = """
data.level == "error"
data.level in ["warning", "error"]
!(data.level in ["warning", "info"])
"level" in data
data["level"] == 'error'
data.fields.status >= 500 && data.fields.status < 600
data.fields.if == 1
data.half > 2 && data.half < 3u
data.count == 5.0 && data.count == 5u && data.whole == 2
data.count != 5.5
data.big > 9223372036854775807 && data.big == 9223372036854775808u
data.big + 1u == 9223372036854775809u
1 != true && "1" != 1 && null != false && [] != null
data.none == null
data.open
data.list == [1, 2.0, 3u] && data.list != [1, 2]
data.list + [4] == [1, 2, 3, 4] && data.list[2] == 3
data.fields == {"status": 503, "if": 1.0}
{"a": [data.count]}.a[0] == 5
data.count > 4 ? data.open : false
data.count > 4 ? (data.count > 5 ? false : true) : false
data.count < 4 ? false : data.count > 5 ? false : true
data.missing || data.open
data.open || data.missing
!(data.missing && false) && !(false && data.missing)
has(data.level) && !has(data.missing)
data.tags.exists(tag, tag == "b") && !data.tags.exists(tag, tag == "c")
data.list.all(x, x > 0) && ![1, "a"].all(x, x > 1)
[1, "a"].exists(x, x > 0)
["a", 1].exists(x, x > 0) && !["a", 1].all(x, x > 1)
data.list.exists(x, [9].exists(x, x == 9) && x == 1)
data.list.exists_one(x, x > 2)
data.list.filter(x, x % 2 == 1) == [1, 3]
data.list.map(x, x * 2) == [2, 4, 6] && data.list.map(x, x > 1, -x) == [-2, -3]
data.list.map(x, data.list.filter(y, y < x).size()) == [0, 1, 2]
data.list.exists(data, data == 3) && data.count == 5
data.fields.all(name, name.size() > 1)
7 / 2 == 3 && -7 / 2 == -3 && -7 % 2 == -1 && 7 % -2 == 1
1.0 / 0.0 > 1e300 && -1.0 / 0.0 < 0.0 && !(0.0 / 0.0 / 0.0 > 0.0)
1 + 2 * 3 - 4 == 3 && (1 + 2) * 3 == 9
2 * 3 % 4 == 2
- 9223372036854775808 < 0 && -(data.count) == -5 && --data.count == 5 && !!data.open
0x1F == 31 && 1e3 == 1000.0 && .5 == 0.5
'a' + "b" == "ab" && "a" < "b" && false < true
"\\u00e9\\n\\x41\\101" == "é\\u000aAA" && r"\\d" == "\\\\d" && '''a"b''' == "a\\"b"
size(data.text) == 13 && data.text.size() == 13 && size(data.list) == 3 && size({}) == 0
data.text.contains("went") && data.text.startsWith("Zoë") && data.text.endsWith("home")
data.text.lowerAscii() == "zoë went home" && "é".upperAscii() == "é"
data.text.matches("^Z.* home$") && matches(data.text, "\\\\bwent\\\\b") && !data.text.matches("^w")
int("-42") == -42 && int(2.9) == 2 && int(-2.9) == -2 && uint("3") == 3u && double("1.5") == 1.5
double(data.count) * 0.5 == 2.5
string(5) == "5" && string(1.5) == "1.5" && string(true) == "true" && bool("true")
type(data.count) == int && type(data.half) == double && type("a") == string && type(null) != list
dyn(1) == 1
time == timestamp("2026-11-22T19:46:00.123Z") && string(time) == "2026-11-22T19:46:00.123Z"
timestamp(data.time) < time && time - timestamp(data.time) == duration("39m60s")
time + duration("1h30m") > time && duration("1h") + time > time - duration("1s")
duration("1h") == duration("3600s") && duration("-1s") < duration("1ms")
time.getFullYear() == 2026 && time.getMonth() == 10 && time.getDate() == 22
time.getDayOfMonth() == 21 && time.getDayOfWeek() == 0 && time.getHours() == 19
time.getMinutes() == 46 && time.getSeconds() == 0
time.getMilliseconds() == 123 && time.getDayOfYear() == 325 && int(time) == 1795376760
channel == "a.b" && channel.startsWith("a.") && id == "k-7"
by == "ana" && key == null && deleted == null && attributes == {"subject": "s1"}
data.open // and a comment
[1, 2,].size() == 2 && {"a": 1,}.size() == 1
""".strip().splitlines()


@pytest.mark.parametrize("text", TRUE)
def test_an_event_matches_where_the_expression_is_true(text: str) -> None:
    assert matches(text)
    assert not matches(f"!({text.partition('//')[0]})")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("data.missing == 1", "there is no 'missing' (column 6)"),
        ("has(data.missing.x)", "there is no 'missing' (column 10)"),
        ("data.level.x == 1", "a string has no 'x' (column 12)"),
        ("has(data.level.x)", "has of a string (column 1)"),
        ("data.level > 5", "> does not take string and int (column 12)"),
        ("true < 1", "< does not take bool and int (column 6)"),
        ("data.count + 0.5 > 1.0", "+ does not take int and double (column 12)"),
        ("1 + 1u == 2", "+ does not take int and uint (column 3)"),
        ("1.5 % 1.0 == 0.5", "% does not take double and double (column 5)"),
        ("data.count / 0 == 1", "division by zero (column 12)"),
        ("data.count % 0 == 1", "division by zero (column 12)"),
        ("9223372036854775807 + 1 > 0", "the integer is out of range (column 21)"),
        ("-9223372036854775808 / -1 > 0", "the integer is out of range (column 22)"),
        ("1u - 2u == 0u", "the unsigned integer is out of range (column 4)"),
        ("-(1u) == 1", "- does not take uint (column 1)"),
        ("data.list[3] == 1", "there is no item 3 in a list of 3 (column 10)"),
        ("data.list[-1] == 1", "there is no item -1 in a list of 3 (column 10)"),
        ('data.list["a"] == 1', "[ ] does not take list and string (column 10)"),
        ('data["missing"] == 1', "there is no 'missing' (column 5)"),
        ("data[0] == 1", "[ ] does not take map and int (column 5)"),
        ("1 in data.level", "in does not take int and string (column 3)"),
        ("!data.level", "! does not take string (column 1)"),
        ("data.level && true", "&& does not take string"),
        ("data.level || false", "|| does not take string"),
        ("data.list < data.list", "< does not take list and list (column 11)"),
        ("data.level ? true : false", "?: does not take string"),
        ("data.none ? true : false", "?: does not take null"),
        ("data.level.all(x, true)", "all (column 12) does not take a string"),
        ("data.list.filter(x, x) == []", "filter (column 11) needs true or false, not an int"),
        ("data.list.all(x, x.y)", "an int has no 'y' (column 20)"),
        ("{1: 2} == {}", "a key is an int; expected a string"),
        ('{"a": 1, "a": 2} == {}', "a key is given twice"),
        ("size(1) == 1", "size does not take int (column 1)"),
        ('data.count.contains("1")', "contains does not take int and string (column 12)"),
        ('data.count.matches("1")', "matches does not take int (column 12)"),
        ("data.count.lowerAscii() == ''", "lowerAscii does not take int (column 12)"),
        ('int("x") == 1', "int does not take the string 'x' (column 1)"),
        ("int(1e19) == 1", "the integer is out of range (column 1)"),
        ("int(true) == 1", "int does not take the bool (column 1)"),
        ("uint(-1) == 1u", "the unsigned integer is out of range (column 1)"),
        ('double("1_0") == 1.0', "double does not take the string '1_0' (column 1)"),
        ('bool("yes")', "bool does not take the string 'yes' (column 1)"),
        ("string(data.list) == ''", "string does not take the list (column 1)"),
        ('timestamp("2026-13-01T00:00:00Z") < time', "timestamp does not take the string"),
        ('timestamp("yesterday") < time', "timestamp does not take the string 'yesterday'"),
        ('duration("1x") < duration("1s")', "duration does not take the string '1x'"),
        ('duration("") < duration("1s")', "duration does not take the string ''"),
        ("time + duration('99999999h') > time", "the time is out of range (column 6)"),
        ("data.level.getHours() == 1", "getHours does not take string (column 12)"),
        ("data", "the value is a map; expected true or false"),
        ("data.none.x == 1", "null has no 'x' (column 11)"),
        ("has(data.none.x)", "has of null (column 1)"),
        ("data.none", "the value is null; expected true or false"),
        ("data.none < 1", "< does not take null and int (column 11)"),
        ("string(data.none) == ''", "string does not take null (column 1)"),
        ("data.count", "the value is an int; expected true or false"),
    ],
)
def test_an_event_without_a_value_does_not_match_and_the_reason_is_said(
    text: str, reason: str
) -> None:
    with pytest.raises(FilterFailed) as raised:
        matches(text)
    assert str(raised.value).startswith(reason)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data.open", True),
        ('data.level == "error"', True),
        ("has(data.open)", True),
        ("data", True),
        ("!data.open", True),
        ('channel == "a.b" && data.open', True),
        ('deleted == "17"', True),
        ('deleted == "18"', False),
        ("deleted == null && data.open", False),
        ('channel == "other" && data.open', False),
        ("data != null", False),
    ],
)
def test_a_deletion_is_left_out_only_if_the_expression_is_false(text: str, expected: bool) -> None:  # noqa: FBT001
    deletion = event(deleted="17")._replace(data=b"null")
    assert matches(text, deletion) is expected


@pytest.mark.parametrize("data", [[], "text", 5, None, True, 1.5])
def test_data_of_any_kind_can_be_looked_at(data: object) -> None:
    one = event({"x": data})._replace(data=b"null") if data is None else event(data)
    assert matches("data == null || type(data) != map", one)
    with pytest.raises(FilterFailed):
        matches("data.level == 1", one)


def test_one_evaluation_has_a_bounded_number_of_steps() -> None:
    loops = "data.all(x, data.all(y, data.all(z, x + y + z >= 0)))"
    assert matches(loops, event([1] * 9))
    with pytest.raises(FilterFailed, match=f"it takes more than {STEPS} steps"):
        matches(loops, event([1] * 30))


def test_a_filter_that_takes_too_many_steps_for_each_event_is_ended() -> None:
    costly, one = filter_("data.all(x, data.all(y, true))"), event([1] * 50)
    assert costly.matches(one)
    more = STEPS_SAVED // (costly.steps - STEPS_EARNED)
    assert all(costly.matches(one) for _ in range(more))
    with pytest.raises(InvalidFilter, match=f"more than {STEPS_EARNED} steps for each event"):
        costly.matches(one)


def test_cheap_events_save_a_bounded_number_of_steps() -> None:
    dear, cheap, costly = event([1] * 50), event([1]), "data.all(x, data.all(y, true))"
    fresh, old = filter_(costly), filter_(costly)
    assert all(old.matches(cheap) for _ in range(STEPS_SAVED // STEPS_EARNED))
    assert how_many(fresh, dear) == how_many(old, dear)


def how_many(found: EventFilter, one: Event) -> int:
    """Such events until the filter is ended."""
    for number in range(STEPS_SAVED):
        try:
            found.matches(one)
        except InvalidFilter:
            return number
    raise AssertionError("the filter was never ended")


def test_a_dear_event_now_and_then_ends_no_filter() -> None:
    costly, dear, cheap = filter_("data.all(x, data.all(y, true))"), event([1] * 50), event([])
    for _ in range(20):
        assert costly.matches(dear)
        for _ in range(20):
            assert costly.matches(cheap)
