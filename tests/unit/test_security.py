"""SECURITY.md names the tests that show what it promises: they are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS = [
    row
    for row in (ROOT / "SECURITY.md").read_text(encoding="utf-8").splitlines()
    if row.startswith("| ") and "`" in row
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:40])
def test_each_promise_names_tests_that_exist(row: str) -> None:
    shown = row.rstrip("| ").rpartition(" | ")[2]
    file, found = Path(), 0
    for name, test in re.findall(r"`([\w/]+\.py)?(?:::(\w+))?`", shown):
        file = ROOT / "tests" / name if name else file
        assert file.is_file(), name
        assert not test or f"def {test}(" in file.read_text(encoding="utf-8"), test
        found += 1
    assert found
