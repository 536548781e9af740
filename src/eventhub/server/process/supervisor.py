"""Starts several workers, replaces those that die, passes signals on, and ends after them.

Workers are forked, so a replacement starts quickly and shares memory with the others. Forking is
safe because the supervisor has no thread, no event loop and no signal handler. Everything arrives
as a signal, and one place waits for signals. A worker keeps SIGINT and SIGHUP blocked: a terminal
sends them to all processes, but only the supervisor decides when to stop.
"""

import gc
import os
import random
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

import structlog

from eventhub.server.process.worker_metrics import WorkerSocket

ATTEMPTS = 5
"""After this many attempts in a row that end before the worker is ready, the supervisor gives up.
"""
STEADY_SECONDS = 30
"""After a life of this length, the pauses start from the shortest again."""
PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.1, 5.0
"""Pause between a death and the replacement, doubled each time. It stays short, because connections
to that worker wait.
"""
MARGIN_SECONDS = 5
"""Seconds for a worker to end after its drain."""
READY: int = getattr(signal, "SIGRTMIN", signal.SIGUSR1)
"""Sent by a worker that serves. Real-time signals are queued, so none is lost. macOS has none, and
can run one worker only.
"""
HEARTBEAT: int = getattr(signal, "SIGRTMIN", signal.SIGUSR1) + 1
"""Sent by a worker every HEARTBEAT_SECONDS while its event loop runs."""
HEARTBEAT_SECONDS = 1.0
HANG_SECONDS = 10.0
"""A worker that has been silent for this long is killed: connections to it would only wait."""
STOP = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
SIGNALS = {signal.SIGCHLD, READY, HEARTBEAT, *STOP}
FOREVER = 1e6
"""Seconds, for a wait without an end."""

log = structlog.get_logger("eventhub.supervisor")


@dataclass(frozen=True, slots=True)
class WorkerSlot:
    """The things that a worker gets, and later its replacement.

    The supervisor keeps the sockets open, so waiting connections are not lost.
    """

    number: int
    sockets: Sequence[socket.socket]
    """The listening sockets of this worker."""
    mailboxes: Sequence[WorkerSocket]
    """The mailboxes of all workers, by number."""
    supervisor: int
    """The process id of the supervisor."""
    lifeline: int
    """A pipe that ends when the supervisor does."""

    def serving(self) -> None:
        """Tell the supervisor that the worker serves, and accept SIGTERM from now on."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        if os.getppid() == self.supervisor:
            os.kill(self.supervisor, READY)

    def heartbeat(self) -> None:
        """Tell the supervisor that the worker is alive. Call it on the event loop that serves."""
        if os.getppid() == self.supervisor:
            os.kill(self.supervisor, HEARTBEAT)

    def close(self) -> None:
        """Stop accepting connections."""
        for sock in self.sockets:
            sock.close()


class Worker:
    """A slot and the history of the processes that had it."""

    def __init__(self, slot: WorkerSlot) -> None:
        self.slot = slot
        self.due: float | None = 0.0
        """When to start the next process; None while one runs."""
        self.ready = False
        self.attempts = 0
        self.heard = 0.0
        """When the process last reported that it is alive."""
        self._deaths = 0
        self._started = 0.0

    def starts(self, now: float) -> None:
        """Note that a process starts now."""
        self.due, self.ready, self._started = None, False, now

    def hangs(self, now: float) -> bool:
        """Return whether the process has served and is now silent."""
        return self.ready and now - self.heard >= HANG_SECONDS

    def died(self, now: float, jitter: float) -> float:
        """Note that the process has died, and return the pause before the next one."""
        self.attempts = 0 if self.ready else self.attempts + 1
        self._deaths = 1 if now - self._started >= STEADY_SECONDS else self._deaths + 1
        pause: float = jitter * min(
            MAX_PAUSE_SECONDS, PAUSE_SECONDS * 2.0 ** min(self._deaths - 1, 10)
        )
        self.due = now + pause
        return pause


class Supervisor:
    """Runs one worker for each list of listening sockets.

    `work` serves in a process of its own. `announce` is called once all workers serve.
    `drain_seconds` is how long a drain of a worker may take.
    """

    def __init__(
        self,
        listening: Sequence[Sequence[socket.socket]],
        work: Callable[[WorkerSlot], None],
        announce: Callable[[], None],
        drain_seconds: float,
    ) -> None:
        lifeline, self._alive = os.pipe()
        mailboxes = [WorkerSocket.open() for _ in listening]
        self._workers = [
            Worker(WorkerSlot(number, own, mailboxes, os.getpid(), lifeline))
            for number, own in enumerate(listening)
        ]
        self._running: dict[int, Worker] = {}  # by process id
        self._work = work
        self._announce = announce
        self._announced = False
        self._drain_seconds = drain_seconds
        self._deadline: float | None = None  # once it stops
        self._orderly = True
        self._looked = time.monotonic()

    def run(self) -> bool:
        """Run until all workers have ended, and return whether they ended in good order."""
        # The parent process may ignore SIGCHLD, and then it would not arrive.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signals = SIGNALS
        # nohup ignores SIGHUP. A blocked signal would arrive although it is ignored.
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
            signals = SIGNALS - {signal.SIGHUP}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        # Workers share this memory as long as nothing writes to it, as a collection would.
        gc.freeze()
        while self._deadline is None or self._running:
            caught = signal.sigtimedwait(signals, self._wait_seconds())
            if caught is None:
                self._on_time()
            elif caught.si_signo == signal.SIGCHLD:
                self._reap()
            elif caught.si_signo == READY:
                self._ready(caught.si_pid)
            elif caught.si_signo == HEARTBEAT:
                self._on_heartbeat(caught.si_pid)
            elif self._deadline is None:
                self._stop()
            elif caught.si_signo != signal.SIGHUP:  # a closing terminal may send several SIGHUP
                self._kill()
            self._kill_hanging()
        return self._orderly

    def _wait_seconds(self) -> float:
        moments = [worker.due for worker in self._workers if worker.due is not None]
        if self._deadline is not None:
            moments = [self._deadline]
        return min(HEARTBEAT_SECONDS, max(0.0, min(moments, default=FOREVER) - time.monotonic()))

    def _on_time(self) -> None:
        now = time.monotonic()
        if self._deadline is not None and now >= self._deadline:
            self._kill()
        for worker in self._workers:
            if worker.due is not None and worker.due <= now and self._deadline is None:
                self._start(worker)

    def _start(self, worker: Worker) -> None:
        worker.starts(time.monotonic())
        try:
            pid = os.fork()
        except OSError as error:
            self._replace(worker, reason=f"cannot fork: {error.strerror}")
            return
        if pid == 0:
            self._become(worker)
        self._running[pid] = worker

    def _become(self, worker: Worker) -> NoReturn:
        code = 1
        try:
            os.close(self._alive)
            for other in self._workers:
                if other is not worker:
                    other.slot.close()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS - STOP)
            self._work(worker.slot)
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except BaseException:
            log.exception("worker_failed", worker=worker.slot.number)
        finally:
            os._exit(code)  # the frames above on the stack belong to the supervisor

    def _ready(self, pid: int) -> None:
        if (worker := self._running.get(pid)) is None:
            return
        worker.ready, worker.heard = True, time.monotonic()
        log.info("worker_started", worker=worker.slot.number, pid=pid)
        if (
            not self._announced
            and self._deadline is None
            and all(one.ready for one in self._workers)
        ):
            self._announced = True
            self._announce()

    def _on_heartbeat(self, pid: int) -> None:
        if (worker := self._running.get(pid)) is not None:
            worker.heard = time.monotonic()

    def _kill_hanging(self) -> None:
        """Kill workers that hang. They are then replaced like any that died."""
        now = time.monotonic()
        # After Ctrl-Z, which stops all processes, the supervisor may go on before its workers.
        if now - self._looked > 2 * HEARTBEAT_SECONDS:
            for worker in self._running.values():
                worker.heard = now
        self._looked = now
        for pid, worker in self._running.items():
            if worker.hangs(now):
                log.error(
                    "worker_hangs",
                    worker=worker.slot.number,
                    pid=pid,
                    silent_for=round(now - worker.heard, 1),
                )
                worker.heard = now  # one signal is enough
                os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        """Collect all processes that have ended, since several SIGCHLD may arrive as one.

        As process 1 of a container, the supervisor also inherits foreign processes.
        """
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                if (worker := self._running.pop(found[0], None)) is not None:
                    self._ended(worker, found[0], os.waitstatus_to_exitcode(found[1]))

    def _ended(self, worker: Worker, pid: int, code: int) -> None:
        how = (
            {"pid": pid, "signal": signal.strsignal(-code)}
            if code < 0
            else {"pid": pid, "exit_code": code}
        )
        if self._deadline is None:
            self._replace(worker, **how)
        elif code != 0:
            self._orderly = False
            log.error("worker_ended", worker=worker.slot.number, **how)

    def _replace(self, worker: Worker, **how: object) -> None:
        pause = worker.died(time.monotonic(), random.uniform(0.5, 1))
        log.error("worker_ended", worker=worker.slot.number, restart_in=round(pause, 3), **how)
        if worker.attempts >= ATTEMPTS:
            log.critical("gave_up", worker=worker.slot.number, attempts=worker.attempts)
            self._orderly = False
            self._stop()

    def _stop(self) -> None:
        self._deadline = time.monotonic() + self._drain_seconds + MARGIN_SECONDS
        for worker in self._workers:
            worker.slot.close()  # else the kernel would accept connections
        for pid in self._running:
            os.kill(pid, signal.SIGTERM)

    def _kill(self) -> None:
        log.error(
            "workers_killed",
            workers=sorted(worker.slot.number for worker in self._running.values()),
        )
        self._deadline = time.monotonic() + FOREVER
        for pid in self._running:
            os.kill(pid, signal.SIGKILL)
