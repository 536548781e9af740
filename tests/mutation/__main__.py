"""`python -m tests.mutation`: put faults into the code of areas or of files, one at a time.

It lists those that no test notices; see README.md beside this file.
"""

import argparse
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.mutation.areas import AREAS, area_of
from tests.mutation.baseline import Baseline
from tests.mutation.children import muted
from tests.mutation.cold import ColdServer
from tests.mutation.equivalents import equivalents, stale
from tests.mutation.judge import Judge, Limits
from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.report import summary
from tests.mutation.settings import ENVIRONMENT, ROOT, arguments


def main() -> int:
    """Run it; 1 if equivalent.toml does not fit the code."""
    options = _options()
    if len(options.what) > 1 and not options.tests:
        return max(_apart(each) for each in options.what)
    if any(os.environ.get(name) != value for name, value in ENVIRONMENT.items()):
        command = [sys.executable, "-m", "tests.mutation", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **ENVIRONMENT})
    return _judge(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    areas = ", ".join(AREAS)
    parser.add_argument("what", nargs="*", default=list(AREAS), help=f"files, or areas: {areas}")
    parser.add_argument("--tests", nargs="+", help="test files or folders; else the area's")
    parser.add_argument("--lines", help="only these, such as 10-25 or 17")
    parser.add_argument("--sample", type=int, help="so many mutants, drawn by chance")
    parser.add_argument("--seed", type=int, default=1, help="another sample")
    parser.add_argument("--minutes", type=float, default=60, help="begin no mutant after")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at a time")
    parser.add_argument("--all", action="store_true", help="list those that are killed, too")
    return parser.parse_args()


def _apart(what: str) -> int:
    """One area or file, with the same options, in a process of its own."""
    others = [each for each in sys.argv[1:] if each not in AREAS and not each.endswith(".py")]
    command = [sys.executable, "-m", "tests.mutation", what, *others]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _judge(options: argparse.Namespace) -> int:
    files, tests, left_out = _chosen(options)
    mutants = [each for file in files for each in mutants_of(ROOT / file)]
    entries = stale(mutants, files)
    known = {each.name for each in equivalents()}
    screen = os.fdopen(muted(), "w")
    sys.stderr = screen

    def say(line: str) -> None:
        print(line, file=screen, flush=True)

    chosen = _sample([each for each in mutants if each.name not in known], options)
    what = " ".join(options.what)
    say(f"{what}: {len(files)} files, {len(mutants)} mutants, {len(chosen)} of them tried")
    cold, baseline = ColdServer(), Baseline(files)
    judge = Judge(chosen, Limits(options.minutes, options.jobs, options.all), baseline, cold, say)
    baseline.start()
    code = pytest.main(arguments(tests, *left_out), plugins=[judge])
    cold.close()
    say(summary(judge.verdicts))
    for entry in entries:
        say(f"stale in equivalent.toml: {entry}")
    if code:
        say(f"pytest ended: {code}")
    return int(bool(entries or code))


def _chosen(options: argparse.Namespace) -> tuple[list[str], list[str], list[str]]:
    """Files, their tests, and what pytest leaves out of these."""
    files, areas = [], []
    for each in options.what:
        if each in AREAS:
            areas.append(AREAS[each])
            files += AREAS[each].files()
        else:
            file = str(Path(each).resolve().relative_to(ROOT))
            files.append(file)
            areas.append(AREAS[area_of(file)])
    if options.tests:
        return files, options.tests, []
    tests = [path for area in areas for path in area.test_paths()]
    deselected = [area.deselect for area in areas if area.deselect]
    return files, tests, ["-k", f"not ({deselected[0]})"] if deselected else []


def _sample(mutants: Sequence[Mutant], options: argparse.Namespace) -> list[Mutant]:
    """In the order of the code."""
    if options.lines:
        first, _, last = options.lines.partition("-")
        lines = range(int(first), int(last or first) + 1)
        mutants = [each for each in mutants if each.line in lines]
    if options.sample and options.sample < len(mutants):
        chosen = random.Random(options.seed).sample(range(len(mutants)), options.sample)
        mutants = [mutants[index] for index in sorted(chosen)]
    return list(mutants)


if __name__ == "__main__":
    sys.exit(main())
