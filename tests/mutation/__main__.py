"""`python -m tests.mutation`: put faults into the code of areas or of files, one at a time.

It lists those that no test notices; see README.md beside this file.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterable

import pytest

from tests.mutation import changed
from tests.mutation.areas import AREAS
from tests.mutation.baseline import Baseline
from tests.mutation.children import muted
from tests.mutation.cold import ColdServer
from tests.mutation.equivalents import equivalents, stale
from tests.mutation.judge import Judge, Limits
from tests.mutation.report import summary
from tests.mutation.selection import Selection, chosen, grouped
from tests.mutation.settings import ENVIRONMENT, ROOT, arguments

STALE = 3
"""Exit code: an entry of equivalent.toml fits no mutant."""
EACH = 150
"""Mutants of changed lines that are tried in each area."""
AT_CHANCE = 60
"""Mutants of one area that are tried where git does not know what has changed."""


def main() -> int:
    """Run it. 0 unless an entry of equivalent.toml fits no mutant, or the tool itself failed."""
    options = _options()
    if options.since == "auto":
        return _changed(options)
    groups = grouped(options.what or AREAS)
    if len(groups) > 1:
        return max(_apart(each, options, options.minutes) for each in groups)
    if any(os.environ.get(name) != value for name, value in ENVIRONMENT.items()):
        command = [sys.executable, "-m", "tests.mutation", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **ENVIRONMENT})
    return _judge(groups[0], options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    areas = ", ".join(AREAS)
    parser.add_argument("what", nargs="*", help=f"source files, or areas: {areas}; or else all")
    parser.add_argument("--tests", nargs="+", help="test files or folders; or else the area's")
    parser.add_argument("--lines", help="only these, such as 10-25 or 17")
    parser.add_argument("--since", help="only lines changed since this commit; auto: some commits")
    parser.add_argument("--sample", type=int, help="so many mutants, drawn by chance")
    parser.add_argument("--seed", type=int, default=1, help="another sample")
    parser.add_argument("--minutes", type=float, default=60, help="begin no mutant after")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at a time")
    parser.add_argument("--all", action="store_true", help="list those that are killed, too")
    return parser.parse_args()


def _changed(options: argparse.Namespace) -> int:
    """What the last commits touched, in the time that is given. Survivors are told, and fail
    nothing: whether one matters is for people to say.
    """
    options.since, options.seed = changed.earlier(), changed.seed()
    if options.since is None:
        area = sorted(AREAS)[changed.seed() % len(AREAS)]
        options.sample = AT_CHANCE
        _apart([area], options, options.minutes)
        return 0
    end = time.monotonic() + options.minutes * 60
    groups = grouped(sorted(changed.changed_lines(options.since)))
    options.sample = options.sample or EACH
    for index, group in enumerate(groups):
        minutes = (end - time.monotonic()) / 60
        if minutes > 0:
            _apart(group, options, minutes / (len(groups) - index))
    return 0


def _apart(group: Iterable[str], options: argparse.Namespace, minutes: float) -> int:
    """One area, with the same options, in a process of its own."""
    command = [sys.executable, "-m", "tests.mutation", *group, "--minutes", str(minutes)]
    for name in ("lines", "since", "sample", "seed", "jobs"):
        if (value := getattr(options, name)) is not None:
            command += [f"--{name}", str(value)]
    command += ["--all"] if options.all else []
    command += ["--tests", *options.tests] if options.tests else []
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _judge(group: list[str], options: argparse.Namespace) -> int:
    selection = Selection.of(group, options.tests)
    mutants = selection.mutants()
    entries = stale(mutants, selection.files)
    known = {each.name for each in equivalents()}
    tried = chosen([each for each in mutants if each.name not in known], options)
    screen = os.fdopen(muted(), "w")
    sys.stderr = screen

    def say(line: str) -> None:
        print(line, file=screen, flush=True)

    files = len(selection.files)
    say(f"{' '.join(group)}: {files} files, {len(mutants)} mutants, {len(tried)} of them tried")
    cold, baseline = ColdServer(), Baseline(selection.files)
    judge = Judge(tried, Limits(options.minutes, options.jobs, options.all), baseline, cold, say)
    baseline.start()
    code = pytest.main(arguments(selection.tests, *selection.left_out), plugins=[judge])
    cold.close()
    say(summary(judge.verdicts))
    for entry in entries:
        say(f"stale in equivalent.toml: {entry}")
    if code:
        say(f"pytest ended: {code}")
    return STALE if entries else int(code != 0)


if __name__ == "__main__":
    sys.exit(main())
