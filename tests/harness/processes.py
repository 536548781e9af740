"""`pytest -n 6` runs the tests in six processes, which are forked once the tests are collected.

So all of them share what was imported and collected: seven seconds of CPU time, which each process
of pytest-xdist takes again. A process runs one file after the other, so that a file's servers are
started once. It asks for its next file when it begins the last test of one, because pytest decides
then which fixtures end. When a process dies, the test that it ran fails, and another process takes
the rest of its files.
"""

import atexit
import io
import os
import random
import signal
import sys
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any

import pytest

NUMBER = "PYTEST_PROCESS"
"""The variable that tells a process of `-n` from the others: 0, 1, …"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("processes")._addoption(  # pytest reserves short options, as for pytest-xdist
        "-n", dest="processes", type=int, default=1, metavar="N", help="Run files in N processes"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    options = session.config.option
    if options.processes < 2 or options.collectonly or session.testsfailed:
        return None  # pytest's own loop
    _Distribution(session).run(options.processes)
    return True


@dataclass
class _Process:
    """One that runs tests: the tests that it has been given, and the one that it runs."""

    pid: int
    pipe: Connection
    given: deque[int] = field(default_factory=deque)
    running: int | None = None


class _Distribution:
    """What the process does that was started: it hands out files and prints what it is told."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._hook = session.config.hook
        numbered = groupby(range(len(session.items)), lambda index: session.items[index].path)
        self._files = deque(list(file) for _, file in numbered)
        self._processes: dict[Connection, _Process] = {}
        self._started = 0

    def run(self, count: int) -> None:
        if reporter := self._session.config.pluginmanager.get_plugin("terminalreporter"):
            reporter.showfspath = False  # tests of several files are printed in turn
        self._session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
        try:
            for _ in range(min(count, len(self._files))):
                self._start()
            while self._processes:
                for pipe in wait(list(self._processes)):
                    assert isinstance(pipe, Connection)
                    self._hear(self._processes[pipe])
        finally:
            self._interrupt()

    def _start(self) -> None:
        ours, theirs = Pipe()
        number, self._started = self._started, self._started + 1
        pid = os.fork()
        if pid == 0:
            for inherited in (ours, *self._processes):
                inherited.close()
            _run(self._session, theirs, number)
        theirs.close()
        self._processes[ours] = _Process(pid, ours)

    def _hear(self, process: _Process) -> None:
        word: str = "ended"
        value: Any = None
        with suppress(EOFError):
            word, value = process.pipe.recv()
        match word:
            case "next":
                file = self._files.popleft() if self._files else []
                process.given.extend(file)
                process.pipe.send(file)
            case "begins":
                process.running = process.given.popleft()
            case "report":
                self._report(
                    self._hook.pytest_report_from_serializable(
                        config=self._session.config, data=value
                    )
                )
            case "ends":
                item = self._session.items[value]
                process.running = None
                self._hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
            case "ended":
                self._end(process)

    def _report(self, report: pytest.TestReport) -> None:
        self._hook.pytest_runtest_logreport(report=report)
        if self._session.shouldfail:
            raise self._session.Failed(self._session.shouldfail)

    def _end(self, process: _Process) -> None:
        """It has no more tests, or it died."""
        del self._processes[process.pipe]
        process.pipe.close()
        _, status = os.waitpid(process.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if process.running is not None:
            item = self._session.items[process.running]
            reason = f"the process that ran this test ended with exit code {code}"
            failed = pytest.TestReport(item.nodeid, item.location, {}, "failed", reason, "call")
            self._report(failed)
        elif code:
            raise RuntimeError(f"a process ended with exit code {code}, but ran no test")
        if process.given:
            self._files.appendleft(list(process.given))
            self._start()

    def _interrupt(self) -> None:
        """Ends those that still run: their fixtures end, too."""
        for process in self._processes.values():
            os.kill(process.pid, signal.SIGINT)
        for process in self._processes.values():
            process.pipe.close()
            os.waitpid(process.pid, 0)


def _run(session: pytest.Session, pipe: Connection, number: int) -> None:
    """A process from its fork to its end."""
    code = 1
    try:
        _make_own(session.config, number)
        session.config.pluginmanager.register(_Reporter(session.config, pipe))
        _run_tests(session, pipe)
        code = 0
    except (KeyboardInterrupt, EOFError, BrokenPipeError):  # the first process ends, or has ended
        session._setupstate.teardown_exact(None)
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        atexit._run_exitfuncs()
        os._exit(code)


def _make_own(config: pytest.Config, number: int) -> None:
    """What processes must not share: files that are written to, directories, chance."""
    os.environ[NUMBER] = str(number)
    random.seed()
    manager: Any = config.pluginmanager
    if capture := manager.get_plugin("capturemanager"):
        capture.stop_global_capturing()
        capture.start_global_capturing()
    if reporter := manager.get_plugin("terminalreporter"):
        reporter._tw._file = io.StringIO()
    factory: Any = config._tmp_path_factory  # type: ignore[attr-defined]
    factory._basetemp = factory.getbasetemp() / f"process-{number}"
    factory._basetemp.mkdir()


def _run_tests(session: pytest.Session, pipe: Connection) -> None:
    given = _given(pipe)
    index = next(given, None)
    while index is not None:
        pipe.send(("begins", index))
        following = next(given, None)
        item = session.items[index]
        item.config.hook.pytest_runtest_protocol(
            item=item, nextitem=None if following is None else session.items[following]
        )
        pipe.send(("ends", index))
        index = following


def _given(pipe: Connection) -> Iterator[int]:
    """The tests of one file after the other."""
    while True:
        pipe.send(("next", None))
        file = pipe.recv()
        if not file:
            return
        yield from file


class _Reporter:
    """Sends each report to the process that prints them."""

    def __init__(self, config: pytest.Config, pipe: Connection) -> None:
        self._config = config
        self._pipe = pipe

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        hook = self._config.hook
        data = hook.pytest_report_to_serializable(config=self._config, report=report)
        self._pipe.send(("report", data))
