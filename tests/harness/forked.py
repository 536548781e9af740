"""Servers as forks of one process that has imported everything: three hundred times the same
imports took more than the tests.

That process ends with the one that tests, even by kill -9, and each of its forks ends with it.
"""

import ctypes
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path
from unittest.mock import patch

DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG, of Linux."""

_libc = ctypes.CDLL(None)
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__, "tests.harness.warm"])


class Forked:
    """A process as `subprocess.Popen` gives it, that runs `python -m` what `command` says, its
    output appended to a file.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], output: Path
    ) -> None:
        self.args = command
        self._process = _context.Process(
            target=_run, args=(list(command), dict(environment), output)
        )
        with patch.object(sys.modules["__main__"], "__file__", None, create=True):
            self._process.start()  # otherwise each process would import pytest, as this one's main
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """A negative one is a signal's number."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _run(command: list[str], environment: dict[str, str], output: Path) -> None:
    _end_with_the_tester()
    os.environ.clear()
    os.environ.update(environment)
    with output.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    sys.argv = command
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)


def _end_with_the_tester() -> None:
    """The process that forks ends when all others have closed the pipe that it holds."""
    pipe: int = forkserver._forkserver._forkserver_alive_fd  # type: ignore[attr-defined]
    os.close(pipe)
    _libc.prctl(DIE_WITH_PARENT, signal.SIGKILL)
    tester = multiprocessing.parent_process()
    assert tester is not None
    assert tester.is_alive(), "it ended before this was said"
