"""common/similar_names.py: what somebody meant who wrote an unknown name."""

import pytest

from eventhub.common.similar_names import hint_at

KNOWN = frozenset({"since", "where", "channel"})


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("sinse", "; did you mean since?"),
        ("chanel", "; did you mean channel?"),
        ("colour", "; expected one of channel, since, where"),
        ("since" * 1000, "; expected one of channel, since, where"),
        (None, "; expected one of channel, since, where"),
    ],
)
def test_the_most_similar_name_is_named_or_all(name: str | None, hint: str) -> None:
    assert hint_at(name, KNOWN) == hint


def test_a_long_name_is_not_compared() -> None:
    """The comparison takes time with the square of the length, and clients choose names."""
    known = ["a" * 39 + "b"]
    assert "did you mean" in hint_at("a" * 40, known)
    assert "did you mean" not in hint_at("a" * 41, known)
