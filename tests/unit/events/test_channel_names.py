"""channel_names.py: which texts are names of channels."""

import re

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from eventhub.errors import InvalidChannel
from eventhub.events.channel_names import NAME_LENGTH, check_name, parse_pattern

thorough = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ALPHABET = "ABCXYZabcxyz0189_-"
names = st.lists(st.text(ALPHABET, min_size=1, max_size=10), min_size=1, max_size=6).map(".".join)


@thorough
@given(names)
@example("a")
@example("-")
@example("chat.lobby")
@example("a" * NAME_LENGTH)
def test_tokens_joined_by_dots_are_a_name(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "chat.", ".chat", "chat..lobby", "chat lobby", " chat", "chat ", "chat\n",
     "\nchat", "chat/lobby", "chat:x", "chat*", "chat.>", "ação", "chat.é", "chat.٣", "🦊",
     "chat\x00", "chat%2Elobby", 'chat"', "a,b", "a@b", "chat.\ud800"],
)  # fmt: skip
def test_anything_else_is_no_name(name: str) -> None:
    with pytest.raises(InvalidChannel, match="expected tokens of A-Z a-z 0-9 _ - joined by dots"):
        check_name(name)


@thorough
@given(st.text())
def test_a_text_is_a_name_exactly_when_each_token_is_one(name: str) -> None:
    good = len(name) <= NAME_LENGTH and all(
        re.fullmatch("[A-Za-z0-9_-]+", token, re.ASCII) for token in name.split(".")
    )
    try:
        check_name(name)
    except InvalidChannel:
        assert not good
    else:
        assert good


def test_a_name_of_two_hundred_characters_is_the_longest() -> None:
    longest = "x" * NAME_LENGTH
    assert NAME_LENGTH == 200
    check_name(longest)
    with pytest.raises(InvalidChannel, match="201 characters; at most 200"):
        check_name(longest + "x")


def test_the_error_for_a_long_name_is_short() -> None:
    with pytest.raises(InvalidChannel) as caught:
        check_name("x" * 100_000)
    assert len(caught.value.message) < 200


def test_channels_in_one_parameter_are_told_how_they_are_named() -> None:
    with pytest.raises(InvalidChannel, match="names several by repeating channel="):
        check_name("logs.a,logs.b")


def test_a_pattern_that_cannot_be_read_is_an_invalid_channel() -> None:
    assert parse_pattern("chat.*").text == "chat.*"
    with pytest.raises(InvalidChannel, match="channel: "):
        parse_pattern("chat.>.x")
