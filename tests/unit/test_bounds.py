"""docs/bounds.md gives the same figures as the constants in the code."""

import re
from functools import reduce
from operator import mul
from pathlib import Path
from pkgutil import resolve_name

import pytest

from tests.unit.figures import FIGURES, Factor

PAGE = Path(__file__).resolve().parents[2] / "docs" / "bounds.md"
ROWS = dict(re.findall(r"^\| (.+?) \| (.+?) \| .+ \|$", PAGE.read_text(encoding="utf-8"), re.M))
"""The second column by the first."""
WORDS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "ten": 10, "eleven": 11}
UNITS = {
    "KiB": 1024,
    "MiB": 1024**2,
    "ms": 0.001,
    "millisecond": 0.001,
    "second": 1,
    "seconds": 1,
    "minutes": 60,
    "hours": 3600,
}
OTHERS = {
    "memory and SQLite: idempotency keys": "100,000 is the default of two arguments (`max_keys`)",
    "Redis: keys of a channel": "11 minutes is the sum of KEY_AGE and SLACK",
}
"""Rows with figures that are no product of constants."""
CASES = [(row, figure) for row, figures in FIGURES.items() for figure in figures]


def first_column(begin: str) -> str:
    """The first column of the one row that begins so."""
    matching = [begin] if begin in ROWS else [first for first in ROWS if first.startswith(begin)]
    assert len(matching) == 1, f"{len(matching)} rows of docs/bounds.md begin with {begin!r}"
    return matching[0]


def value(figure: str) -> float:
    """A figure as a number: seconds, bytes or a count."""
    number, _, unit = figure.partition(" ")
    amount = WORDS[number] if number in WORDS else float(number.replace(",", ""))
    return amount * UNITS.get(unit, 1)


def constant(factor: Factor) -> float:
    return float(resolve_name(f"eventhub.{factor}")) if isinstance(factor, str) else factor


@pytest.mark.parametrize(("row", "figure"), CASES)
def test_a_figure_of_the_page_is_that_of_the_code(row: str, figure: str) -> None:
    assert figure in ROWS[first_column(row)]
    assert value(figure) == pytest.approx(reduce(mul, map(constant, FIGURES[row][figure])))


def test_every_number_of_the_page_is_compared() -> None:
    compared = {first_column(row): numbers(" ".join(FIGURES[row])) for row in FIGURES}
    exempt = {first_column(row) for row in OTHERS}
    missing = {
        first: left
        for first, text in ROWS.items()
        if first not in exempt and (left := numbers(text) - compared.get(first, set()))
    }
    assert not missing, f"add these figures to FIGURES: {missing}"


def numbers(text: str) -> set[str]:
    return set(re.findall(r"\d+(?:[,.]\d+)*", text))
