"""Mutants that change nothing that anyone could notice: `equivalent.toml`, with a reason each."""

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.mutation.mutants import Mutant

FILE = Path(__file__).with_name("equivalent.toml")


@dataclass(frozen=True)
class Equivalent:
    """By content, so that it outlives lines that move."""

    file: str
    function: str
    before: str
    after: str
    reason: str

    @property
    def name(self) -> tuple[str, str, str, str]:
        return self.file, self.function, self.before, self.after


def equivalents() -> list[Equivalent]:
    text = FILE.read_text(encoding="utf-8")
    return [Equivalent(**each) for each in tomllib.loads(text).get("mutant", [])]


def stale(mutants: Sequence["Mutant"], files: Iterable[str]) -> list[Equivalent]:
    """Entries for these files that no mutant of them bears out."""
    names, files = {each.name for each in mutants}, set(files)
    return [each for each in equivalents() if each.file in files and each.name not in names]
