"""Which tests run which lines, how long each takes, and which may be asked at all."""

import json
import os
import select
import signal
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import coverage
import pytest

from tests.mutation.settings import ROOT

PATIENCE = 3.0
"""Seconds that a test may sleep, or calculate, beyond a multiple of its own."""
MULTIPLE = 5
ALL = 600
"""Seconds for all tests of an area."""
BUCKETS = (0.01, 0.03, 0.1, 0.3, 1, 3)
"""Seconds: tests in one bucket are equally fast, so that their order is the same in each run."""


@dataclass(frozen=True)
class Times:
    """Seconds of one test, by the clock and of the processor."""

    wall: float
    processor: float

    @property
    def bucket(self) -> int:
        return sum(self.wall > each for each in BUCKETS)


class Outcomes:
    """Runs tests within pytest, and remembers which of them failed."""

    def __init__(self) -> None:
        self.failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.add(report.nodeid)

    def run(self, item: pytest.Item, following: pytest.Item | None) -> bool:
        """Whether it passed."""
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        return item.nodeid not in self.failed


class Baseline:
    """Facts about the tests without any mutant."""

    def __init__(self, files: Sequence[str]) -> None:
        self._files = {str(ROOT / each): each for each in files}
        self._tracer = coverage.Coverage(
            data_file=None, config_file=False, include=list(self._files), messages=False
        )
        self.on_import: dict[str, set[int]] = {}
        self.times: dict[str, Times] = {}
        self.tests: dict[str, dict[int, set[str]]] = {}
        """By file and line."""
        self.failed: set[str] = set()

    def start(self) -> None:
        """Trace what is run on import, before anything is imported."""
        self._tracer.start()

    def collected(self) -> None:
        """All is imported."""
        self._tracer.stop()
        data = self._tracer.get_data()
        self.on_import = {name: set(data.lines(path) or ()) for path, name in self._files.items()}

    def measure(self, items: Sequence[pytest.Item], outcomes: Outcomes) -> None:
        """Run all tests twice, each time in a process of its own: with a tracer; then without, the
        fastest first, as mutants meet them.
        """
        found = _elsewhere(lambda: self._traced(items, outcomes))
        self._take(found)
        ordered = sorted(items, key=lambda item: self._speed(item.nodeid))
        self._take(_elsewhere(lambda: _timed(ordered, outcomes)))

    def order(self, file: str, lines: Iterable[int]) -> list[str]:
        """Tests that run any of these lines, the fastest first; of equally fast ones those in the
        file's own test file.
        """
        covered = self.tests.get(file, {})
        found = set().union(*(covered.get(line, set()) for line in lines)) - self.failed
        own = f"test_{Path(file).stem}.py::"
        return sorted(found, key=lambda test: (self.times[test].bucket, own not in test, test))

    def beside(self, tests: Iterable[str], file: str) -> list[str]:
        """The tests in the file's own test files."""
        stem = f"/test_{Path(file).stem}"
        folders = {each.rpartition("/")[0] for each in tests}
        found = [
            test
            for test in self.times
            if stem in test and test.rpartition("/")[0] in folders and test not in self.failed
        ]
        return sorted(found, key=lambda test: (self.times[test].bucket, test))

    def all(self) -> list[str]:
        """All tests, the fastest first."""
        return sorted(self.times.keys() - self.failed, key=self._speed)

    def all_lines(self, file: str) -> list[int]:
        return sorted(self.tests.get(file, {}))

    def _speed(self, test: str) -> tuple[int, str]:
        return (self.times[test].bucket if test in self.times else len(BUCKETS), test)

    def _take(self, found: dict[str, object]) -> None:
        self.failed |= set(found["failed"])  # type: ignore[call-overload]
        times: dict[str, list[float]] = found["times"]  # type: ignore[assignment]
        self.times |= {test: Times(*each) for test, each in times.items()}
        lines: dict[str, dict[str, list[str]]] = found.get("lines", {})  # type: ignore[assignment]
        for file, tests in lines.items():
            self.tests[file] = {int(line): set(each) for line, each in tests.items()}

    def _traced(self, items: Sequence[pytest.Item], outcomes: Outcomes) -> dict[str, object]:
        self._tracer.erase()
        self._tracer.start()
        found = _timed(items, outcomes, self._tracer.switch_context)
        self._tracer.stop()
        data = self._tracer.get_data()
        found["lines"] = {
            name: {
                line: [each for each in tests if each]
                for line, tests in data.contexts_by_lineno(path).items()
            }
            for path, name in self._files.items()
        }
        return found


def _timed(
    items: Sequence[pytest.Item],
    outcomes: Outcomes,
    begin: Callable[[str], object] = lambda test: None,
) -> dict[str, object]:
    times: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    for index, item in enumerate(items):
        wall, processor = time.perf_counter(), time.process_time()
        begin(item.nodeid)
        outcomes.run(item, items[index + 1] if index + 1 < len(items) else None)
        times[item.nodeid] = time.perf_counter() - wall, time.process_time() - processor
    return {"times": times, "failed": sorted(outcomes.failed)}


def _elsewhere(measure: Callable[[], dict[str, object]]) -> dict[str, object]:
    """What a process of its own finds."""
    with tempfile.NamedTemporaryFile("w+") as file:
        pid = os.fork()
        if pid == 0:
            try:
                json.dump(measure(), file)
                file.flush()
                os._exit(0)
            finally:
                os._exit(1)
        if status := _awaited(pid):
            raise RuntimeError(f"the tests ended their process, or took too long: {status}")
        file.seek(0)
        found: dict[str, object] = json.load(file)
        return found


def _awaited(pid: int) -> int:
    """How a process ends, which it does in bounded time."""
    watch = os.pidfd_open(pid)
    try:
        if not select.select([watch], [], [], ALL)[0]:
            os.kill(pid, signal.SIGKILL)
        return os.waitpid(pid, 0)[1]
    finally:
        os.close(watch)
