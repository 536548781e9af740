"""common/channel_pattern.py: which patterns there are, and which names and patterns each covers."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventhub.auth.grants import Action, Grants
from eventhub.common.channel_pattern import ChannelPattern, check_pattern

TOKENS = st.sampled_from(["a", "b", "ab", "A", "-", "_", "0"])
CHANNELS = st.lists(TOKENS, min_size=1, max_size=5).map(".".join)


@st.composite
def patterns(draw: st.DrawFn) -> str:
    tokens = draw(st.lists(st.one_of(TOKENS, st.just("*")), max_size=4))
    return ".".join([*tokens, *([">"] if not tokens or draw(st.booleans()) else [])])


@given(patterns(), CHANNELS)
def test_a_pattern_covers_what_a_grant_of_it_allows(text: str, channel: str) -> None:
    pattern = ChannelPattern(text)
    allowed = Grants({Action.SUBSCRIBE: [text]}).allow(Action.SUBSCRIBE, channel)
    assert pattern.covers(channel) == allowed
    assert channel.startswith(pattern.prefix) or not allowed


FEW_TOKENS = ("a", "b", "new")
"""`new` stands for all the tokens that no pattern names."""
NAMES = [".".join(parts) for depth in range(1, 7) for parts in product(FEW_TOKENS, repeat=depth)]
"""Every name of few tokens. Beyond the longest pattern, one more token tells everything."""


@st.composite
def few_patterns(draw: st.DrawFn) -> str:
    tokens = draw(st.lists(st.sampled_from(["a", "b", "*"]), max_size=4))
    return ".".join([*tokens, *([">"] if not tokens or draw(st.booleans()) else [])])


def fitting(pattern: str) -> set[str]:
    return set(filter(ChannelPattern(pattern).covers, NAMES))


@given(few_patterns(), few_patterns())
def test_a_pattern_covers_another_when_every_name_that_fits_the_other_fits_it(
    one: str, other: str
) -> None:
    assert ChannelPattern(one).covers(other) == (fitting(other) <= fitting(one))


@given(few_patterns(), few_patterns())
def test_patterns_overlap_when_a_name_fits_both(one: str, other: str) -> None:
    shared = bool(fitting(one) & fitting(other))
    assert ChannelPattern(one).overlaps(ChannelPattern(other)) == shared
    assert ChannelPattern(other).overlaps(ChannelPattern(one)) == shared


@pytest.mark.parametrize(
    ("one", "other", "covers", "overlaps"),
    [
        (">", "*", True, True),
        ("*", ">", False, True),
        ("a.*", "a.>", False, True),
        ("a.>", "a.*", True, True),
        ("a.>", "a", False, False),
        ("a.*.c", "a.b.*", False, True),
        ("a.*.c", "a.b.d", False, False),
        ("a.b", "a.b", True, True),
        ("a.b", "a.c", False, False),
        ("*.>", ">", False, True),
        ("a.b.>", "a.*", False, False),
    ],
)
def test_what_patterns_cover_and_share(
    one: str, other: str, *, covers: bool, overlaps: bool
) -> None:
    assert ChannelPattern(one).covers(other) == covers
    assert ChannelPattern(one).overlaps(ChannelPattern(other)) == overlaps


@pytest.mark.parametrize(
    ("pattern", "prefix"),
    [
        (">", ""),
        ("*", ""),
        ("iot.>", "iot."),
        ("iot.*.t1", "iot."),
        ("iot.a", "iot.a"),
        ("*.a", ""),
    ],
)
def test_every_name_that_fits_begins_with_the_prefix(pattern: str, prefix: str) -> None:
    assert ChannelPattern(pattern).prefix == prefix


@pytest.mark.parametrize(
    "pattern",
    ["", ".", "a.", "a..b", ">.a", "a.>.b", "a>", "a*", "*a", "**", ">>", "a b", "a\n", "\na", "é",
     "a/b", "a.*b", ".*", "a|b"],
)  # fmt: skip
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="expected a channel pattern such as"):
        check_pattern(pattern)
    with pytest.raises(ValueError, match="received"):
        ChannelPattern(pattern)


@pytest.mark.parametrize("value", [None, 5, True, ["a"], {"a": 1}, b"a"])
def test_what_is_no_text_is_no_pattern(value: object) -> None:
    with pytest.raises(ValueError, match="received"):
        check_pattern(value)


@pytest.mark.parametrize("length", [201, 10_000])
def test_a_pattern_that_is_too_long_is_refused_with_its_length(length: int) -> None:
    expected = f"the channel pattern has {length} characters; at most 200 are allowed"
    with pytest.raises(ValueError, match=expected):
        check_pattern("x" * length)
    assert check_pattern("x" * 200) == "x" * 200
