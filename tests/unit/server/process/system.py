"""The processes, signals and time of a supervisor, without any of them."""

import os
import signal
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from eventhub.server.process.supervisor import HEARTBEAT, READY, Supervisor, WorkerSlot

DRAIN_SECONDS = 20.0
OWN_PID = 10
FOREIGN_PID = 7
KILLED = int(signal.SIGKILL)


class Socket:
    """A listening socket."""

    closed = False

    def close(self) -> None:
        self.closed = True


class System:
    """Processes, signals and time. The script is what arrives; behind it, time passes.

    `ends`: how a process answers a signal; None if it does not. `silent`: those that hang.
    """

    def __init__(self, workers: int = 1) -> None:
        self.now = 1000.0
        self.script: deque[Callable[[], tuple[int, int] | None]] = deque()
        self.running: list[int] = []
        self.dead: deque[tuple[int, int]] = deque()
        self.child_signal = False
        """A SIGCHLD is on its way. Of several, as of the kernel's, only one arrives."""
        self.sent: list[tuple[int, int]] = []
        self.sent_at: list[float] = []
        self.announced = 0
        self.masks: list[Any] = []
        self.handlers: dict[int, Any] = {}
        self.frozen_after: list[int] = []
        """How many processes there were when the memory was frozen."""
        self.jitter: set[tuple[float, float]] = set()
        self.closed: list[int] = []
        """Descriptors that a worker's process has closed."""
        self.forks = 0
        self.started: list[float] = []
        self.fork_error: OSError | None = None
        self.waits: list[float] = []
        self.ends: Callable[[int], int | None] = lambda _: 0
        self.silent: set[int] = set()
        self.patience = 1000
        self.sockets = [[Socket()] for _ in range(workers)]
        listening: Any = self.sockets
        self.work: Callable[[WorkerSlot], None] = lambda _: None
        self.supervisor = Supervisor(
            listening, lambda slot: self.work(slot), self._announce, DRAIN_SECONDS
        )

    # What the supervisor calls

    def fork(self) -> int:
        self.forks += 1
        if self.fork_error is not None:
            raise self.fork_error
        pid = 100 + self.forks
        self.running.append(pid)
        self.started.append(self.now)
        return pid

    def kill(self, pid: int, number: int) -> None:
        zombies = [each for each, _ in self.dead]
        assert pid in self.running or pid in zombies, "it is gone, and the number may be another's"
        self.sent.append((pid, number))
        self.sent_at.append(self.now)
        status = self.ends(number)
        if status is not None and pid in self.running:
            self.die(pid, status)

    def freeze(self) -> None:
        self.frozen_after.append(self.forks)

    def uniform(self, low: float, high: float) -> float:
        self.jitter.add((low, high))
        return high

    def waitpid(self, pid: int, options: int) -> tuple[int, int]:
        assert (pid, options) == (-1, os.WNOHANG)
        if self.dead:
            return self.dead.popleft()
        if not self.running:
            raise ChildProcessError
        return 0, 0

    def sigtimedwait(self, signals: set[int], seconds: float) -> Any:
        self.patience -= 1
        assert self.patience > 0, "it runs for ever"
        self.waits.append(seconds)
        found = self.script.popleft()() if self.script else None
        if found is None:
            if not self.child_signal:
                self.now += seconds
                self._heartbeats()
                return None
            self.child_signal = False
            found = (signal.SIGCHLD, 0)
        assert found[0] in signals
        return SimpleNamespace(si_signo=found[0], si_pid=found[1])

    def _heartbeats(self) -> None:
        for pid in self.running:
            if pid not in self.silent:
                self.script.appendleft(lambda pid=pid: (HEARTBEAT, pid))  # type: ignore[misc]

    def _announce(self) -> None:
        self.announced += 1

    # What a test lets happen

    def die(self, pid: int, status: int) -> None:
        """A process ends; its signal comes later."""
        self.running.remove(pid)
        self.dies(pid, status)

    def dies(self, pid: int, status: int) -> None:
        """A process ends, which may be a foreign one."""
        self.dead.append((pid, status))
        self.child_signal = True

    def all_die(self) -> None:
        """A signal ends all workers at once."""
        for pid in list(self.running):
            self.die(pid, KILLED)

    def then(self, *steps: Callable[[], tuple[int, int] | None]) -> None:
        self.script.extend(steps)

    def pass_time(self, seconds: float) -> None:
        """Nothing arrives for so long."""

        def step() -> tuple[int, int] | None:
            end = self.now + seconds

            def again() -> tuple[int, int] | None:
                if self.now < end:
                    self.script.appendleft(again)
                return None

            return again()

        self.then(step)

    def signal(self, number: int, pid: int = 0) -> None:
        self.then(lambda: (number, pid))

    def ready(self) -> None:
        """All workers that run say that they serve."""
        for index in range(len(self.sockets)):
            self.then(lambda index=index: (READY, self.running[index]))  # type: ignore[misc]

    def run(self) -> bool:
        """Until all workers have ended; a SIGTERM comes behind the script."""
        self.signal(signal.SIGTERM)
        return self.supervisor.run()
