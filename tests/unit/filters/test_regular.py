"""filters/regular.py: which expressions are too large, and what a text costs."""

import pytest

from eventhub.filters.regular import LENGTH, compiled, cost
from tests.unit.filters.filtering import event, filter_


def test_an_expression_has_a_bounded_length() -> None:
    assert compiled("a" * LENGTH)("b" + "a" * LENGTH)
    with pytest.raises(ValueError, match=f"has {LENGTH + 1} characters; at most {LENGTH}"):
        compiled("a" * (LENGTH + 1))


@pytest.mark.parametrize(
    ("allowed", "refused"),
    [
        ("a{1400}", "a{1500}"),
        ("a{2,1100}", "a{2,1200}"),
        ("a{1200,}", "a{1300,}"),
        ("(a{30}){30}", "(a{100}){100}"),
        (".{800}", ".{900}"),
        (r"\w" * 24, r"\w" * 25),
        ("[ab]" * 24, "[ab]" * 25),
        (r"(?i)\w\w\w\w", r"(?i)" + r"\w" * 13),
    ],
)
def test_repetitions_and_classes_count(allowed: str, refused: str) -> None:
    compiled(allowed)
    with pytest.raises(ValueError, match="repeats too much"):
        compiled(refused)


def test_what_is_wrong_with_an_expression_is_said_in_short() -> None:
    with pytest.raises(ValueError, match=r"^cannot be compiled: [^\n]{1,200}$"):
        compiled("(?P<" + "x" * 240 + ">a")


def test_large_expressions_cost_more_for_each_character() -> None:
    assert (cost("a"), cost("a{400}"), cost(r"\w" * 12)) == (1, 2, 3)
    text = event({"text": "x" * 6400})
    steps = []
    for pattern in ("a", r"\w{5}y"):
        found = filter_(f"data.text.matches(r'{pattern}')")
        found.matches(text)
        steps.append(found.steps)
    assert steps == [100, 200]
