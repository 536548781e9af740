"""Which mutants are tried, by which tests."""

import random
from argparse import Namespace
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.areas import AREAS, area_of
from tests.mutation.changed import changed_lines
from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.settings import ROOT


def grouped(what: Iterable[str]) -> list[list[str]]:
    """Areas, each alone, and files, those of an area together."""
    groups: dict[str, list[str]] = {}
    for each in what:
        if each in AREAS:
            groups[f"all of {each}"] = [each]
        else:
            file = str(Path(each).resolve().relative_to(ROOT))
            groups.setdefault(area_of(file), []).append(file)
    return list(groups.values())


@dataclass(frozen=True)
class Selection:
    """Source files and the tests that must notice."""

    files: Sequence[str]
    tests: Sequence[str]
    left_out: Sequence[str]
    """Arguments of pytest."""

    @classmethod
    def of(cls, group: Sequence[str], tests: Sequence[str] | None) -> "Selection":
        """Of one area, or of files of one area."""
        area = AREAS[group[0] if group[0] in AREAS else area_of(group[0])]
        files = area.files() if group[0] in AREAS else group
        if tests:
            return cls(files, tests, ())
        left_out = ("-k", f"not ({area.deselect})") if area.deselect else ()
        return cls(files, area.test_paths(), left_out)

    def mutants(self) -> list[Mutant]:
        return [each for file in self.files for each in mutants_of(ROOT / file)]


def chosen(mutants: Sequence[Mutant], options: Namespace) -> Sequence[Mutant]:
    """Those that the options ask for, in the order of the code."""
    if options.lines:
        first, _, last = options.lines.partition("-")
        lines = range(int(first), int(last or first) + 1)
        mutants = [each for each in mutants if each.line in lines]
    if options.since:
        touched = changed_lines(options.since)
        mutants = [
            each for each in mutants if not touched.get(each.file, set()).isdisjoint(each.statement)
        ]
    if options.sample and options.sample < len(mutants):
        drawn = random.Random(options.seed).sample(range(len(mutants)), options.sample)
        mutants = [mutants[index] for index in sorted(drawn)]
    return mutants
