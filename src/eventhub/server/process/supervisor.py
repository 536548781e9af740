"""Several workers on one machine: starts them, replaces those that die, passes signals on, and ends when they have ended.

Workers are forked, so a replacement is there in a moment and shares its memory with the others; that is sound because there is nothing here
that a fork would break: no thread, no event loop, no signal handler. All that happens arrives as a signal, and is waited for in one place.
A worker keeps SIGINT and SIGHUP blocked: a terminal sends them to all, and the supervisor alone says when to stop.
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
"""So often in a row may a worker end before it was ready. Then nothing but a new configuration will
help.
"""
STEADY_SECONDS = 30
"""After so long a life the pauses begin anew."""
PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.1, 5.0
"""Between a death and the replacement, doubled each time. Connections to that worker wait
meanwhile, so it is never long.
"""
MARGIN_SECONDS = 5
"""Beyond what a drain takes, for a worker to end."""
READY: int = getattr(signal, "SIGRTMIN", signal.SIGUSR1)
"""From a worker that serves. A real-time signal: two that come together stay two. Without them
(macOS) there can be one worker only.
"""
BEAT: int = getattr(signal, "SIGRTMIN", signal.SIGUSR1) + 1
"""From a worker whose event loop turns, every BEAT_SECONDS."""
BEAT_SECONDS = 1.0
HANG_SECONDS = 10.0
"""A worker that has been silent for so long serves nobody, and keeps those who connect to it
waiting.
"""
STOP = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
SIGNALS = {signal.SIGCHLD, READY, BEAT, *STOP}
FOREVER = 1e6
"""Seconds, for a wait that wants a number."""

log = structlog.get_logger("eventhub.supervisor")


@dataclass(frozen=True, slots=True)
class WorkerSlot:
    """What a worker is given, and its replacement after it. The supervisor keeps it open, so that what waits in it is not lost."""

    number: int
    sockets: Sequence[socket.socket]
    """It accepts connections from these."""
    mailboxes: Sequence[WorkerSocket]
    """All workers', by number."""
    supervisor: int
    """Its process id."""
    lifeline: int
    """A pipe that ends when the supervisor does."""

    def taken(self) -> None:
        """The worker serves, and takes SIGTERM from now on."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        if os.getppid() == self.supervisor:
            os.kill(self.supervisor, READY)

    def beat(self) -> None:
        """The worker is alive: said from what serves, so that it is true."""
        if os.getppid() == self.supervisor:
            os.kill(self.supervisor, BEAT)

    def close(self) -> None:
        """Accept nothing any more."""
        for sock in self.sockets:
            sock.close()


class Worker:
    """A seat, and how those who sat there fared."""

    def __init__(self, slot: WorkerSlot) -> None:
        self.slot = slot
        self.due: float | None = 0.0
        """When to start it."""
        self.ready = False
        self.attempts = 0
        self.heard = 0.0
        """When it last said that it was alive."""
        self._deaths = 0
        self._started = 0.0

    def starts(self, now: float) -> None:
        """Note it."""
        self.due, self.ready, self._started = None, False, now

    def hangs(self, now: float) -> bool:
        """It serves, and is not heard of any more."""
        return self.ready and now - self.heard >= HANG_SECONDS

    def died(self, now: float, jitter: float) -> float:
        """Note it; the pause before the next."""
        self.attempts = 0 if self.ready else self.attempts + 1
        self._deaths = 1 if now - self._started >= STEADY_SECONDS else self._deaths + 1
        pause: float = jitter * min(
            MAX_PAUSE_SECONDS, PAUSE_SECONDS * 2.0 ** min(self._deaths - 1, 10)
        )
        self.due = now + pause
        return pause


class Supervisor:
    """The workers, one for each list of listening sockets. `work` serves from a seat, in a process of its own.

    `drain_seconds`: how long a drain of theirs may take.
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
        """Until all workers have ended; whether they did so in good order."""
        signal.signal(
            signal.SIGCHLD, signal.SIG_DFL
        )  # whoever started this may have ignored it, and then it would not come
        signals = SIGNALS
        if (
            signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        ):  # nohup; once blocked, even what is ignored would come
            signals = SIGNALS - {signal.SIGHUP}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        # what is here now is shared with all workers as long as nobody writes to it, as a
        # collection would
        gc.freeze()
        while self._deadline is None or self._running:
            caught = signal.sigtimedwait(signals, self._patience())
            if caught is None:
                self._on_time()
            elif caught.si_signo == signal.SIGCHLD:
                self._reap()
            elif caught.si_signo == READY:
                self._ready(caught.si_pid)
            elif caught.si_signo == BEAT:
                self._beats(caught.si_pid)
            elif self._deadline is None:
                self._stop()
            elif (
                caught.si_signo != signal.SIGHUP
            ):  # the second; a terminal that closes may send that one several times
                self._kill()
            self._look()
        return self._orderly

    def _patience(self) -> float:
        moments = [worker.due for worker in self._workers if worker.due is not None]
        if self._deadline is not None:
            moments = [self._deadline]
        return min(BEAT_SECONDS, max(0.0, min(moments, default=FOREVER) - time.monotonic()))

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
            os._exit(code)  # what is above on the stack belongs to the supervisor

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

    def _beats(self, pid: int) -> None:
        if (worker := self._running.get(pid)) is not None:
            worker.heard = time.monotonic()

    def _look(self) -> None:
        """Kill who hangs: that it is replaced follows."""
        now = time.monotonic()
        if (
            now - self._looked > 2 * BEAT_SECONDS
        ):  # it was us who slept: Ctrl-Z stops everybody, and we may go on first
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
                worker.heard = now  # once is enough
                os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        """All that have ended: signals of one kind that come together are one. As process 1 of a container it inherits strangers."""
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
            worker.slot.close()  # here, too: nobody would serve what the kernel still accepted
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
