"""since.py: the text forms of where a reader begins."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from eventhub.errors import InvalidSince
from eventhub.events.event import (
    ABSENT,
    OFFSET_END,
    Age,
    Earliest,
    Last,
    Latest,
    Position,
    Since,
    State,
)
from eventhub.events.since import parse_age, parse_cursor, parse_expected, parse_since

PROTOCOL = (Path(__file__).parents[3] / "PROTOCOL.md").read_text(encoding="utf-8")
thorough = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

epochs = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=16)
positions = st.builds(Position, epochs, st.integers(0, OFFSET_END - 1))
names = st.lists(st.text("ABCxyz019_-", min_size=1, max_size=8), min_size=1, max_size=4).map(
    ".".join
)


@thorough
@given(positions)
@example(Position("0", 0))
@example(Position("z" * 16, OFFSET_END - 1))
def test_a_position_is_found_again_in_its_text(position: Position) -> None:
    assert parse_since(str(position)) == position


# Since


@pytest.mark.parametrize(
    ("text", "since"),
    [
        ("latest", Latest()),
        ("earliest", Earliest()),
        ("-1", Last(1)),
        ("-20", Last(20)),
        ("-999999999", Last(999_999_999)),
        ("10m", Age(600_000)),
        ("0s", Age(0)),
        ("007ms", Age(7)),
        ("999999999d", Age(999_999_999 * 86_400_000)),
        ("state", State()),
        ("state:k3x9-41", State(Position("k3x9", 41))),
        ("state:k3x9-41:99", State(Position("k3x9", 41), 99)),
        ("k3x9-0", Position("k3x9", 0)),
        ("10-20", Position("10", 20)),
        ("9223372036854775807-9223372036854775807", None),
        ("latest-1", Position("latest", 1)),
        ("10m-1", Position("10m", 1)),
    ],
)
def test_each_form_of_since(text: str, since: Since | None) -> None:
    if since is None:  # the epoch is longer than 16
        with pytest.raises(InvalidSince):
            parse_since(text)
    else:
        assert parse_since(text) == since


@thorough
@given(st.integers(1, 999_999_999))
def test_a_count_is_found_again(count: int) -> None:
    assert parse_since(f"-{count}") == Last(count)


@thorough
@given(st.integers(0, 999_999_999), st.sampled_from(sorted(UNITS)))
def test_an_age_is_found_again(number: int, unit: str) -> None:
    assert parse_since(f"{number}{unit}") == Age(number * UNITS[unit])
    assert parse_age(f"{number}{unit}") == number * UNITS[unit]


MALFORMED = [
    "", " ", "-", "--1", "-0", "-01", "-1.5", "-1e3", "- 20", "+20", "20", "-1000000000", "-20 ",
    " -20", "-20\n", "-\u0662",
    "Latest", "EARLIEST", "latest ", "latest\n", "oldest", "now", "null",
    "k3x9-", "-k3x9", "k3x9", "k3x9--1", "k3x9-01", "k3x9-1.0", "k3x9-+1", "k3x9-1 ", "k3x9-1\n",
    "K3X9-1", "k_x-1", "k.x-1", "é-1", "k3x9-\u0661", "k3x9-9223372036854775808",
    "k3x9-99999999999999999999", "k" * 17 + "-1", "k3x9-1-2", "k3x9-0x1",
    "state:", "state:k3x9", "state:k3x9-41:", "state:k3x9-41:0", "state:k3x9-41:01",
    "state:k3x9-9223372036854775808", "state:k3x9-41:9223372036854775808", "state:latest", "State",
    "10", "10 m", "10M", "10min", "10w", "10y", "m", "1.5h", "1h30m", "-10m", "10m\n",
    "1000000000s", "\u0661m", "10mss",
    "chat.lobby@k3x9-41", "a@k3x9-1,b@k3x9-2", "@", ",",
    "\x00", "k3x9-1\x00", "🦊", "x" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("text", MALFORMED, ids=lambda text: repr(text[:24]))
def test_a_malformed_since_is_refused_with_the_forms_named(text: str) -> None:
    with pytest.raises(InvalidSince) as caught:
        parse_since(text)
    message = caught.value.message
    assert all(
        form in message for form in ("'k3x9-41'", "'latest'", "'earliest'", "'-20'", "'10m'")
    )
    assert len(message) < 1000, "what was received is shown, but not all of it"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("10 m", "(units ms s m h d)"), ("5w", "(units ms s m h d)"),
        ("2026-11-29T20:00:00Z", "; a date or a time is not taken"),
        ("20:00", "; a date or a time is not taken"),
        ("chat.lobby@k3x9-41", "or a WebSocket, which names the channels"),
        (" 10m", "a + in an address is a space (%2B is one)"),
    ],
)  # fmt: skip
def test_what_was_likely_meant_by_a_since_is_said(text: str, hint: str) -> None:
    with pytest.raises(InvalidSince) as caught:
        parse_since(text)
    assert caught.value.message.endswith(hint)


@thorough
@given(st.text())
def test_any_text_is_a_since_or_refused(text: str) -> None:
    try:
        since = parse_since(text)
    except InvalidSince:
        return
    assert isinstance(since, Position | Latest | Earliest | Last | Age | State)


def test_every_form_in_the_table_of_the_protocol_is_understood() -> None:
    table = PROTOCOL.partition("| since | begins |")[2].partition("\n\n")[0]
    forms = [
        found
        for cell in re.findall(r"^\| (.+?) \| ", table, re.MULTILINE)
        for found in re.findall(r"`([^`]+)`", cell)
    ]
    assert forms == [
        "k3x9-41",
        "latest",
        "earliest",
        "-20",
        "state",
        "10m",
        "chat.lobby@k3x9-41,logs.api@k3x9-7",
    ]
    for form in forms[:-1]:
        parse_since(form)
    assert parse_cursor(forms[-1]) == {
        "chat.lobby": Position("k3x9", 41),
        "logs.api": Position("k3x9", 7),
    }
    units = re.search(r"units (.+) \|", table)
    assert units is not None
    assert re.findall(r"`(\w+)`", units[1]) == list(UNITS)


# Cursors


@thorough
@given(st.dictionaries(names, positions, min_size=1, max_size=8))
def test_a_cursor_of_several_channels_is_found_again(cursor: dict[str, Position]) -> None:
    text = ",".join(f"{channel}@{position}" for channel, position in cursor.items())
    assert parse_cursor(text) == cursor


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "a",
        "k3x9-41",
        "a@k3x9-1,",
        ",a@k3x9-1",
        "a@k3x9-1,b",
        "a@",
        "a@b@k3x9-1",
        "a@k3x9-1 ,b@k3x9-2",
        "a@k3x9-01",
        "@",
    ],
)
def test_a_malformed_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidSince) as caught:
        parse_cursor(text)
    assert len(caught.value.message) < 300


def test_a_cursor_that_lacks_a_channel_says_what_was_expected() -> None:
    with pytest.raises(InvalidSince, match=r"'k3x9-1' is not of the form channel@id"):
        parse_cursor("a@k3x9-1,k3x9-1")


# Ages


@pytest.mark.parametrize(
    "text", ["", "24", "h", "24H", "24 h", "-1h", "1.5h", "24h\n", "1000000000d", "²h", "forever"]
)
def test_a_malformed_age_is_refused_with_the_units_named(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"expected a number with a unit: ms, s, m, h or d, such as '24h'"
    ):
        parse_age(text)


# What a publisher expects


@thorough
@given(positions)
def test_an_expected_event_is_an_id(position: Position) -> None:
    assert parse_expected(str(position)) == position


def test_a_key_that_is_expected_to_have_no_event_is_none() -> None:
    assert parse_expected("none") == ABSENT


@pytest.mark.parametrize("text", ["", "*", "None", "null", "latest", "state", "k3x9", '"k3x9-41"'])
def test_anything_else_is_not_an_expected_event(text: str) -> None:
    with pytest.raises(ValueError, match="expected the id of the key's newest event"):
        parse_expected(text)
