"""filters/functions.py: conversions at their bounds, letters, and what texts cost."""

import pytest

from eventhub.filters.event_filter import FilterFailed
from tests.unit.filters.filtering import event, filter_, matches


@pytest.mark.parametrize(
    "text",
    [
        'bool("false") == false && bool("true") && bool(false) == false',
        'int(timestamp("1969-12-31T23:59:59.5Z")) == -1',
        'int(timestamp("1970-01-01T00:00:01.9Z")) == 1',
        'int(timestamp("9999-12-31T23:59:59.999999Z")) == 253402300799',
        "'@AZ[`az{'.lowerAscii() == '@az[`az{'",
        "'@AZ[`az{'.upperAscii() == '@AZ[`AZ{'",
        f"int('{'0' * 63}7') == 7 && uint('{'0' * 63}7') == 7u && double('{'0' * 63}7') == 7.0",
        "string('a') == 'a' && string(duration('90s')) == '90s'",
        "double('1e3') == 1000.0 && double('-.5') == -0.5 && double('2.') == 2.0",
        "uint(2.9) == 2u && uint(5) == 5u && int(5u) == 5",
    ],
)
def test_a_conversion(text: str) -> None:
    assert matches(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"int('{'0' * 64}7') == 7", "int does not take the string"),
        (f"double('{'0' * 64}7') == 7.0", "double does not take the string"),
        ("uint(true) == 1u", "uint does not take the bool (column 1)"),
        ("uint('x') == 1u", "uint does not take the string 'x' (column 1)"),
        ("double(true) == 1.0", "double does not take the bool (column 1)"),
        ("bool(1)", "bool does not take the int (column 1)"),
        ("data.count.upperAscii() == ''", "upperAscii does not take int (column 12)"),
        ("data.count.startsWith('a')", "startsWith does not take int and string (column 12)"),
        ("data.text.endsWith(1)", "endsWith does not take string and int (column 11)"),
        ("int(double('1e999')) == 1", "int does not take the double"),
    ],
)
def test_what_a_conversion_does_not_take(text: str, reason: str) -> None:
    with pytest.raises(FilterFailed) as raised:
        matches(text)
    assert str(raised.value).startswith(reason)


def test_methods_are_no_functions_and_functions_no_methods() -> None:
    assert matches("size(data.text) == data.text.size()")
    for text in ("startsWith(data.text, 'Z')", "data.count.string() == '5'"):
        with pytest.raises(Exception, match="unknown"):
            matches(text)


@pytest.mark.parametrize(
    ("method", "steps"),
    [
        ("contains('y')", 10),
        ("startsWith('y')", 10),
        ("endsWith('y')", 10),
        ("lowerAscii() == 'y'", 160),
        ("upperAscii() == 'y'", 160),
    ],
)
def test_a_method_of_a_long_text_costs_more(method: str, steps: int) -> None:
    found = filter_(f"data.text.{method}")
    found.matches(event({"text": "x" * 16}))
    short = found.steps
    found.matches(event({"text": "x" * 2560}))
    assert found.steps - 2 * short == steps - (1 if "Ascii" in method else 0)
