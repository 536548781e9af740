"""The tool that judges the tests: which mutants there are, and that each is judged by its code."""

import ast
import gc
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.mutation.areas import AREAS, area_of
from tests.mutation.equivalents import equivalents
from tests.mutation.settings import ROOT
from tests.mutation.swap import Functions, ImportTime, compiled

Changes = Callable[[str], set[tuple[str, str]]]


@pytest.fixture
def changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Changes:
    """What is changed in a text: lines before and after."""
    from tests.mutation import mutants  # here, because each process that collects would wait for it

    monkeypatch.setattr(mutants, "ROOT", tmp_path)

    def changes(text: str) -> set[tuple[str, str]]:
        path = tmp_path / "sample.py"
        path.write_text(dedent(text))
        return {(each.before, each.after) for each in mutants.mutants_of(path)}

    return changes


@pytest.mark.parametrize(
    ("line", "mutant"),
    [
        ("self.waiting -= size", "self.waiting += size"),
        ("self.waiting -= size", "self.waiting = size"),
        ("self.waiting -= size", "pass"),
        ("transport.resume_reading()", "pass"),
        ("raise TooLong", "pass"),
        ("del found[key]", "pass"),
        ("total = min(size, bound)", "total = max(size, bound)"),
        ("total = min(size, bound)", "total = min(size, None)"),
        ("found = read(since, most=3)", "found = read(since)"),
        ("found = read(since, most=3)", "found = read(since, most=4)"),
        ("found = kind == 'text'", "found = kind != 'text'"),
        ("found = kind == 'text'", "found = kind == 'XXtextXX'"),
        ("data = b'a bytes line'", "data = b'XXa bytes lineXX'"),
    ],
)
def test_a_line_is_changed(changes: Changes, line: str, mutant: str) -> None:
    assert (line, mutant) in changes(line + "\n")


def test_a_condition_is_turned_round_once(changes: Changes) -> None:
    assert ("if full:", "if not (full):") in changes("if full:\n    pass\n")
    assert changes("if not full:\n    pass\n") == {("if not full:", "if full:")}


@pytest.mark.parametrize(
    ("caught", "others"),
    [
        ("except Exception:", ["except ValueError:"]),
        ("except Gone as error:", ["except () as error:", "except Exception as error:"]),
        ("except (A, B):", ["except (A,):", "except (B,):", "except Exception:"]),
    ],
)
def test_an_except_is_for_more_or_for_fewer_errors(
    changes: Changes, caught: str, others: list[str]
) -> None:
    text = f"def read():\n    try:\n        pass\n    {caught}\n        pass\n"
    assert changes(text) == {(caught, each) for each in others}


def test_suppress_is_for_every_error(changes: Changes) -> None:
    assert ("with suppress(Gone):", "with suppress(Exception):") in changes(
        "with suppress(Gone):\n    pass\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        '"""A docstring."""\n',
        'log.warning("publish_failed", seconds=3)\n',
        "assert found is not None, 3\n",
        "names: dict[str, int]\n",
        '__slots__ = ("a", "b")\n',
        "if TYPE_CHECKING:\n    from os import path as p\n",
        "Items = dict[str, int]\n",
        "OPEN = auto()\n",
        "class A:\n    def __repr__(self) -> str:\n        return 'A'\n",
        "class A(Protocol):\n    def read(self, size: int = 3) -> None:\n        ...\n",
    ],
)
def test_a_line_that_says_nothing_about_the_tests_is_left_alone(
    changes: Changes, text: str
) -> None:
    assert changes(text) == set()


def test_the_text_of_an_error_is_free(changes: Changes) -> None:
    assert changes('raise ValueError(f"expected two words, got {len(a)}", 3)\n') == {
        ('raise ValueError(f"expected two words, got {len(a)}", 3)', "pass"),
        (
            'raise ValueError(f"expected two words, got {len(a)}", 3)',
            'raise ValueError(f"expected two words, got {len(a)}", 4)',
        ),
        (
            'raise ValueError(f"expected two words, got {len(a)}", 3)',
            'raise ValueError(f"expected two words, got {len(a)}", None)',
        ),
    }


def test_functions_with_decorators_are_mutated(changes: Changes) -> None:
    text = "class A:\n    @property\n    def full(self) -> bool:\n        return True\n"
    assert changes(text) == {("return True", "return False")}


ORIGINAL = """\
LIMIT = 3
def double(number):
    return number * 2
def adder(by):
    def add(number):
        return number + by
    return add
"""


@pytest.mark.parametrize(
    ("was", "now", "doubled", "added"),
    [("number * 2", "number / 2", 4, 9), ("number + by", "number - by", 16, 7)],
)
def test_a_function_that_exists_gets_the_mutants_code(
    was: str, now: str, doubled: int, added: int
) -> None:
    space: dict[str, Any] = {}
    original = compiled(ORIGINAL, "swapped.py")
    exec(original, space)
    add = space["adder"](1)
    functions = Functions(frozenset({"swapped.py"}))
    functions.swap(original, compiled(ORIGINAL.replace(was, now), "swapped.py"))
    assert space["double"](8) == doubled
    assert add(8) == added


def test_a_function_is_found_although_it_is_frozen() -> None:
    space: dict[str, Any] = {}
    original = compiled(ORIGINAL, "swapped.py")
    exec(original, space)
    gc.freeze()
    mutant = compiled(ORIGINAL.replace("number * 2", "number"), "swapped.py")
    Functions(frozenset({"swapped.py"})).swap(original, mutant)
    assert space["double"](8) == 8


def test_what_runs_on_import_is_not_swapped() -> None:
    original = compiled(ORIGINAL, "swapped.py")
    space: dict[str, object] = {}
    exec(original, space)
    mutant = compiled(ORIGINAL.replace("LIMIT = 3", "LIMIT = 4"), "swapped.py")
    with pytest.raises(ImportTime):
        Functions(frozenset({"swapped.py"})).swap(original, mutant)


def test_each_source_file_is_in_an_area() -> None:
    assert all(
        area_of(str(path.relative_to(ROOT)))
        for path in (ROOT / "src").rglob("*.py")
        if not path.name.startswith("__")
    )


@pytest.mark.parametrize("area", AREAS)
def test_each_area_has_sources_and_tests(area: str) -> None:
    assert AREAS[area].files()
    assert len(AREAS[area].test_paths()) >= len(AREAS[area].tests)


def test_each_equivalent_mutant_says_where_and_why() -> None:
    for each in equivalents():
        text = (ROOT / each.file).read_text(encoding="utf-8")
        tree = ast.walk(ast.parse(text))
        names = {"<module>"} | {getattr(node, "name", "") for node in tree}
        joined = " ".join(line.strip() for line in text.splitlines())
        assert each.before in joined, f"stale: {each}"
        assert names.issuperset(each.function.split(".")), f"stale: {each}"
        assert " " in each.reason, f"no reason: {each}"
