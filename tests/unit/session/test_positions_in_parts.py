"""Positions of a pattern that come in several commands."""

import pytest

from eventhub.errors import InvalidSince
from eventhub.session.commands import Subscribe
from eventhub.session.positions_in_parts import PositionsInParts


def command(since: object, *, more: bool = False, channel: str = "a.*") -> Subscribe:
    fields = {"type": "subscribe", "channel": channel, "since": since, "more": more}
    return Subscribe.model_validate(fields)


def test_the_last_part_brings_the_positions_of_all() -> None:
    parts = PositionsInParts(1000)
    assert parts.whole(command({"a.b": "k-1", "a.c": "k-2"}, more=True)) is None
    assert parts.whole(command({"a.d": "k-3"}, more=True)) is None
    whole = parts.whole(command({"a.b": "k-4"}))
    assert whole is not None
    assert whole.since == {"a.b": "k-4", "a.c": "k-2", "a.d": "k-3"}
    again = parts.whole(command({}))
    assert again is not None
    assert again.since == {}, "the parts are used once"


def test_the_parts_of_patterns_are_kept_apart() -> None:
    parts = PositionsInParts(1000)
    parts.whole(command({"a.b": "k-1"}, more=True))
    other = command({"b.c": "k-2"}, channel="b.*")
    assert parts.whole(other) == other
    whole = parts.whole(command({}))
    assert whole is not None
    assert whole.since == {"a.b": "k-1"}


@pytest.mark.parametrize("since", ["latest", None])
def test_a_start_that_is_no_object_is_refused_among_parts(since: object) -> None:
    parts = PositionsInParts(1000)
    with pytest.raises(InvalidSince, match="expected an object of positions"):
        parts.whole(command(since, more=True))
    parts.whole(command({"a.b": "k-1"}, more=True))
    with pytest.raises(InvalidSince, match="expected an object of positions"):
        parts.whole(command(since))
    assert parts.whole(command(since)) == command(since), "after the error they are forgotten"


def test_the_bytes_of_all_parts_have_a_bound() -> None:
    parts = PositionsInParts(16)
    assert parts.whole(command({"a.b": "k-1"}, more=True)) is None
    assert parts.whole(command({"b.b": "k-10"}, more=True, channel="b.*")) is None
    with pytest.raises(InvalidSince, match=r"more than 16 bytes \(limits.buffer_bytes\)"):
        parts.whole(command({"a.c": "k-1"}, more=True))
    assert parts.whole(command({"a.c": "k-1"}, more=True)) is None, "what was refused is not kept"


def test_as_many_bytes_as_the_bound_says_are_kept() -> None:
    parts = PositionsInParts(13)
    assert parts.whole(command({"a.b": "k-1"}, more=True)) is None
    assert parts.whole(command({"b.b": "k-10"}, more=True, channel="b.*")) is None
    whole = parts.whole(command({}))
    assert whole is not None
    assert whole.since == {"a.b": "k-1"}
    assert parts.whole(command({"a.c": "k-1"}, more=True)) is None, "they are not counted any more"
