"""auth/grants.py: which patterns there are, and which channels each covers."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventhub.auth.grants import (
    END,
    EVERYTHING,
    NOTHING,
    PATTERNS,
    Action,
    Grants,
)
from eventhub.common.channel_pattern import PATTERN_LENGTH, check_pattern

TOKENS = st.sampled_from(["a", "b", "ab", "A", "-", "_", "a-b", "0"])
CHANNELS = st.lists(TOKENS, min_size=1, max_size=5).map(".".join)


@st.composite
def patterns(draw: st.DrawFn) -> str:
    tokens = draw(st.lists(st.one_of(TOKENS, st.just("*")), max_size=4))
    return ".".join([*tokens, *([">"] if not tokens or draw(st.booleans()) else [])])


def covers(pattern: str, channel: str) -> bool:
    """Token by token, as NATS describes its subjects."""
    wanted, given = pattern.split("."), channel.split(".")
    if wanted[-1] == ">":
        wanted.pop()
        if len(given) <= len(wanted):
            return False
        given = given[: len(wanted)]
    return len(wanted) == len(given) and all(
        want in ("*", token) for want, token in zip(wanted, given, strict=True)
    )


@given(st.lists(patterns(), max_size=4), CHANNELS)
def test_a_channel_is_allowed_when_one_of_the_patterns_covers_it(
    found: list[str], channel: str
) -> None:
    grants = Grants({Action.SUBSCRIBE: found})
    assert grants.allow(Action.SUBSCRIBE, channel) == any(
        covers(pattern, channel) for pattern in found
    )
    assert not grants.allow(Action.PUBLISH, channel)


@pytest.mark.parametrize(
    ("pattern", "covered", "others"),
    [
        (
            "chat.lobby",
            ["chat.lobby"],
            ["chat", "chat.lobby2", "chat.lobby.side", "xchat.lobby", "chatXlobby", "CHAT.lobby"],
        ),
        ("chat.*", ["chat.lobby", "chat.-"], ["chat", "chat.lobby.side", "logs.chat.lobby"]),
        ("*.x", ["a.x", "b.x"], ["x", "a.b.x", "a.x.b"]),
        ("iot.>", ["iot.a", "iot.a.b.c"], ["iot", "iota.b", "x.iot.a"]),
        ("*.*.>", ["a.b.c", "a.b.c.d"], ["a.b", "a"]),
        (">", ["a", "a.b", "a.b.c"], []),
        ("*", ["a"], ["a.b"]),
    ],
)
def test_what_patterns_cover(pattern: str, covered: list[str], others: list[str]) -> None:
    grants = Grants({Action.PUBLISH: [pattern]})
    assert [
        channel for channel in [*covered, *others] if grants.allow(Action.PUBLISH, channel)
    ] == covered


FEW_TOKENS = st.sampled_from(["a", "b", "*"])
NAMES = [
    ".".join(parts) for depth in range(1, 6) for parts in product(("a", "b", "new"), repeat=depth)
]
"""Every name of few tokens, one deeper than any pattern. `new` stands for all other tokens."""


@st.composite
def few_patterns(draw: st.DrawFn) -> str:
    tokens = draw(st.lists(FEW_TOKENS, max_size=3))
    return ".".join([*tokens, *([">"] if not tokens or draw(st.booleans()) else [])])


@given(st.lists(few_patterns(), max_size=4), few_patterns())
def test_a_pattern_is_allowed_when_each_of_its_channels_is(granted: list[str], asked: str) -> None:
    grants = Grants({Action.SUBSCRIBE: granted})
    names = [name for name in NAMES if covers(asked, name)]
    allowed = all(grants.allow(Action.SUBSCRIBE, name) for name in names)
    assert grants.allow(Action.SUBSCRIBE, asked) == allowed


@pytest.mark.parametrize(
    ("granted", "asked", "allowed"),
    [
        (["a.>"], "a.*", True),
        (["a.*"], "a.>", False),
        (["a.*", "a.*.>"], "a.>", True),
        (["a.*", "a.*.*", "a.*.*.>"], "a.>", True),
        (["a.*", "a.*.*.>"], "a.>", False),
        (["*"], ">", False),
        (["a.b", "a.c"], "a.*", False),
    ],
)
def test_several_grants_may_cover_a_pattern_together(
    granted: list[str], asked: str, *, allowed: bool
) -> None:
    assert Grants({Action.SUBSCRIBE: granted}).allow(Action.SUBSCRIBE, asked) == allowed


def test_what_is_no_pattern_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a channel pattern"):
        Grants({Action.SUBSCRIBE: ["chat.*", "a..b"]})


def test_a_pattern_has_the_length_of_a_channel_at_most() -> None:
    longest = "x" * PATTERN_LENGTH
    assert Grants({Action.SUBSCRIBE: [longest]}).allow(Action.SUBSCRIBE, longest)


def test_the_number_of_patterns_is_bounded() -> None:
    most = [f"a.{number}" for number in range(PATTERNS)]
    assert Grants({Action.PUBLISH: most}).allow(Action.PUBLISH, "a.99")
    with pytest.raises(ValueError, match="publish has 101 patterns; at most 100"):
        Grants({Action.PUBLISH: [*most, "a.b"]})


def test_nothing_and_everything() -> None:
    for action in Action:
        assert not NOTHING.allow(action, "a")
        assert EVERYTHING.allow(action, "a")
        assert EVERYTHING.allow(action, "a.b.c")
    assert "('>',)" in repr(EVERYTHING)


def test_the_actions_have_the_names_that_tokens_and_settings_use() -> None:
    names = ["subscribe", "publish", "presence", "signal", "moderate", "refused"]
    assert [str(action) for action in Action] == names


def test_what_marks_the_end_of_a_pattern_is_part_of_no_channel() -> None:
    with pytest.raises(ValueError, match="expected a channel pattern"):
        check_pattern(END)


def test_a_pattern_of_many_parts_is_checked_in_no_time() -> None:
    """Each part would otherwise double the work, which would last for ever here."""
    long = ".".join("*" * (PATTERN_LENGTH // 2))
    grants = Grants({Action.SUBSCRIBE: [long]})
    assert grants.allow(Action.SUBSCRIBE, long)
    assert not grants.allow(Action.SUBSCRIBE, f"{long[:-2]}.>")
