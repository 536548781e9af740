"""Processes that judge one mutant each, and how they are bounded.

A process says its verdict on a pipe. One that says nothing has crashed, ran out of its processor
time (a timer that the kernel keeps for it, so that a busy machine is no fault), or slept for much
longer than its tests do: then the mutant is noticed, too.
"""

import ctypes
import json
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1
"""Linux: the signal that a process gets when its parent ends."""
TICK = 0.1
"""Seconds between two looks at those that sleep."""


@dataclass
class Child:
    """A process and what it will say."""

    pipe: int
    patience: float
    """Seconds that it may sleep at a stretch."""
    then: Callable[[dict[str, Any]], None]
    pid: int = 0
    said: bytes = b""
    used: int = 0
    slept: float = 0
    seen: float = field(default_factory=time.monotonic)

    def read(self) -> bool:
        """Take what it says. False when that was all."""
        data = os.read(self.pipe, 65536)
        self.said += data
        if not self.pid and b"\n" in self.said:
            first, _, self.said = self.said.partition(b"\n")
            self.pid = int(first)
        return data != b""

    def verdict(self) -> dict[str, Any]:
        with suppress(ValueError):
            found: dict[str, Any] = json.loads(self.said)
            return found
        return {"verdict": "killed", "by": "it crashed or ran on", "seconds": self.used / 100}

    def look(self) -> None:
        """Kill it when it has slept for too long."""
        now = time.monotonic()
        elapsed, self.seen = min(now - self.seen, 2 * TICK), now
        with suppress(OSError, IndexError):
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            used = int(fields[11]) + int(fields[12])
            asleep = fields[0] == "S" and used == self.used
            self.used, self.slept = used, self.slept + elapsed if asleep else 0
        if self.slept > self.patience and self.pid:
            end(self.pid)


class Children:
    """So many at a time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._selector = selectors.DefaultSelector()
        self._looked = time.monotonic()

    def add(self, child: Child) -> None:
        self._selector.register(child.pipe, selectors.EVENT_READ, child)

    def wait(self, left: int | None = None) -> None:
        """Until fewer than `left` run."""
        while len(self._selector.get_map()) >= (self._most if left is None else left):
            for key, _ in self._selector.select(TICK):
                child: Child = key.data
                if not child.read():
                    self._ended(child)
            if time.monotonic() - self._looked >= TICK:
                self._looked = time.monotonic()
                for key in list(self._selector.get_map().values()):
                    key.data.look()

    def _ended(self, child: Child) -> None:
        self._selector.unregister(child.pipe)
        os.close(child.pipe)
        if child.pid:
            end(child.pid)
            with suppress(ChildProcessError):  # one of the server's
                os.waitpid(child.pid, 0)
        child.then(child.verdict())


def end(group: int) -> None:
    """End a process and those that it started."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def fork(judge: Callable[[], dict[str, Any]]) -> int:
    """Let a process judge; the end of the pipe that tells of it."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        answer(writing, judge)
    os.close(writing)
    return reading


def answer(pipe: int, judge: Callable[[], dict[str, Any]]) -> NoReturn:
    """Say who this process is and what it finds, then end."""
    try:
        os.setpgid(0, 0)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.write(pipe, b"%d\n" % os.getpid())
        found = judge()
        found["seconds"] = time.process_time()
        os.write(pipe, json.dumps(found).encode())
    except BaseException as error:
        with suppress(OSError):
            os.write(pipe, json.dumps({"verdict": "failed", "by": repr(error)}).encode())
    finally:
        os._exit(0)


@contextmanager
def processor_time(seconds: float) -> Iterator[None]:
    """The process is ended if it uses more."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def muted() -> int:
    """Let whatever is printed go nowhere; the way to print all the same."""
    sys.stdout.flush()
    screen = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    return screen
