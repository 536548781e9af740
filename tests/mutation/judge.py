"""Runs within pytest: judges each mutant by the tests that pytest has collected.

A mutant of code that runs in a call is judged by a fork of this process (`swap.py`), one of code
that runs on import by a fork of a process that has imported nothing of ours (`cold.py`), and so is
a survivor whose line runs in both.
"""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.mutation.baseline import MULTIPLE, PATIENCE, Baseline, Outcomes
from tests.mutation.children import Child, Children, fork, processor_time
from tests.mutation.cold import ColdServer
from tests.mutation.mutants import Mutant
from tests.mutation.settings import ROOT, Determined
from tests.mutation.swap import Functions, ImportTime, compiled

LONGEST = 20.0
"""Seconds of the processor: the tests that one mutant gets, the fastest ones. Seconds by the clock
would leave out more tests on a busy machine.
"""
COLLECTING = 20.0
"""Seconds of the processor that a process may take to import tests."""
FIRST = 2
"""Test files that a mutant of what runs on import meets first: most are noticed at once."""


@dataclass
class Verdict:
    """What became of a mutant."""

    mutant: Mutant
    verdict: str
    """killed, survived, untested (no test runs it), failed (of the tool), or left (no time)."""
    by: str = ""
    seconds: float = 0

    def __str__(self) -> str:
        by = f" ({self.by}, {self.seconds:.1f} s)" if self.by else ""
        place = f"{self.mutant.file}:{self.mutant.line}"
        return f"{place}: {self.verdict}{by} in {self.mutant}"


@dataclass
class Limits:
    """What a run may take, and what it tells."""

    minutes: float
    jobs: int
    all: bool


@dataclass
class Judge(Determined):
    """The plugin."""

    mutants: Sequence[Mutant]
    limits: Limits
    baseline: Baseline
    cold: ColdServer
    say: Callable[[str], None]
    verdicts: list[Verdict] = field(default_factory=list)
    tests: int = 0

    def __post_init__(self) -> None:
        self._outcomes = Outcomes()
        self._items: dict[str, pytest.Item] = {}

    def pytest_configure(self, config: pytest.Config) -> None:
        config.pluginmanager.register(self._outcomes)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of running the tests once."""
        self.baseline.collected()
        self.tests = len(session.items)
        self._items = {item.nodeid: item for item in session.items}
        session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]  # one for all forks
        self.cold.prepare()
        began = time.monotonic()
        self.baseline.measure(session.items, self._outcomes)
        self.say(f"{self.tests} tests in {time.monotonic() - began:.0f} s, twice")
        for test in sorted(self.baseline.failed):
            self.say(f"left out, it fails without a mutant: {test}")
        self._judge_all()
        return True

    def _judge_all(self) -> None:
        files = {str(ROOT / each.file) for each in self.mutants}
        self._functions = Functions(frozenset(files))
        self._originals = {
            path: compiled((ROOT / path).read_text(encoding="utf-8"), path) for path in files
        }
        self._children = Children(self.limits.jobs)
        end = time.monotonic() + self.limits.minutes * 60
        gc.collect()
        gc.freeze()
        self._later: list[tuple[Mutant, list[str]]] = []
        for mutant in self.mutants:
            if time.monotonic() > end:
                self._decide(Verdict(mutant, "left"))
                continue
            self._judge(mutant)
            self._judge_cold(end)
        self._children.wait(1)
        self._judge_cold(end)
        self._children.wait(1)

    def _decide(self, verdict: Verdict) -> None:
        self.verdicts.append(verdict)
        if self.limits.all or verdict.verdict not in ("killed", "left"):
            self.say(str(verdict))

    def _judge(self, mutant: Mutant) -> None:
        tests = self._bounded(self.baseline.order(mutant.file, mutant.statement))
        runs_on_import = not self.baseline.on_import[mutant.file].isdisjoint(mutant.statement)
        if not tests and not runs_on_import:
            self._decide(Verdict(mutant, "untested"))
            return
        self._children.wait()

        def then(found: dict[str, Any]) -> None:
            if found["verdict"] == "import" or (found["verdict"] == "survived" and runs_on_import):
                self._later.append((mutant, self._cold_tests(mutant, tests)))
            else:
                self._decide(Verdict(mutant, **found))

        pipe = fork(lambda: self._run(mutant, tests))
        self._children.add(Child(pipe, self._patience(tests), then))

    def _run(self, mutant: Mutant, tests: Sequence[str]) -> dict[str, Any]:
        """In a fork."""
        path = str(ROOT / mutant.file)
        try:
            self._functions.swap(self._originals[path], compiled(mutant.mutated, path))
        except ImportTime:
            return {"verdict": "import"}
        items = [self._items[each] for each in tests]
        for index, item in enumerate(items):
            following = items[index + 1] if index + 1 < len(items) else None
            used = self.baseline.times[item.nodeid].processor
            with processor_time(PATIENCE + MULTIPLE * used):
                if not self._outcomes.run(item, following):
                    item.session._setupstate.teardown_exact(None)
                    return {"verdict": "killed", "by": item.nodeid}
        return {"verdict": "survived", "by": f"{len(items)} tests"}

    # What runs on import

    def _cold_tests(self, mutant: Mutant, tests: list[str]) -> list[str]:
        """Those that run the line, those of the file's own test file, which may only look at a
        value, those that run anything of the file, then all: what a class of settings says may be
        seen by a test that runs no line of it.
        """
        others = self.baseline.order(mutant.file, self.baseline.all_lines(mutant.file))
        beside = self.baseline.beside([*tests, *others], mutant.file)
        return self._bounded(list(dict.fromkeys([*tests, *beside, *others, *self.baseline.all()])))

    def _judge_cold(self, end: float) -> None:
        while self._later:
            mutant, tests = self._later.pop(0)
            if time.monotonic() > end:
                self._decide(Verdict(mutant, "left"))
            elif not tests:
                self._decide(Verdict(mutant, "untested"))
            else:
                first = dict.fromkeys(each.partition("::")[0] for each in tests)
                early = set(list(first)[:FIRST])
                now = [each for each in tests if each.partition("::")[0] in early]
                self._try_cold(mutant, now, [each for each in tests if each not in set(now)])

    def _try_cold(self, mutant: Mutant, tests: list[str], others: list[str]) -> None:
        self._children.wait()

        def then(found: dict[str, Any]) -> None:
            if found["verdict"] == "survived" and others:
                self._later.append((mutant, others))
            else:
                self._decide(Verdict(mutant, **found))

        used = sum(self.baseline.times[each].processor for each in tests)
        pipe = self.cold.judge(mutant.file, mutant.mutated, tests, COLLECTING + MULTIPLE * used)
        self._children.add(Child(pipe, self._patience(tests), then))

    # Bounds

    def _bounded(self, tests: list[str]) -> list[str]:
        total = 0.0
        found: list[str] = []
        for test in tests:
            total += self.baseline.times[test].processor
            if found and total > LONGEST:
                break
            found.append(test)
        return found

    def _patience(self, tests: Sequence[str]) -> float:
        longest = max((self.baseline.times[each].wall for each in tests), default=0)
        return PATIENCE + MULTIPLE * longest
