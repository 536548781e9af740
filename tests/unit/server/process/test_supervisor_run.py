"""server/process/supervisor.py: what it does with processes and signals."""

import signal
from collections.abc import Callable

import pytest

from eventhub.server.process.supervisor import (
    ATTEMPTS,
    HANG_SECONDS,
    HEARTBEAT,
    HEARTBEAT_SECONDS,
    MARGIN_SECONDS,
    PAUSE_SECONDS,
    READY,
)
from tests.unit.server.process.system import DRAIN_SECONDS, FOREIGN_PID, KILLED, System


def test_each_worker_is_started_once_and_all_that_serve_are_announced_once(
    system: Callable[..., System],
) -> None:
    one = system(3)
    one.pass_time(HEARTBEAT_SECONDS)
    one.then(lambda: (READY, 101), lambda: (READY, 102))
    one.then(lambda: None if one.announced == 0 else pytest.fail("one does not serve yet"))
    one.then(lambda: (READY, 103), lambda: (READY, 103))
    assert one.run()
    assert (one.forks, one.announced) == (3, 1)


def test_all_that_died_are_replaced_though_one_signal_told_of_them(
    system: Callable[..., System],
) -> None:
    one = system(3)
    one.pass_time(HEARTBEAT_SECONDS)
    one.ready()
    one.then(one.all_die)
    one.pass_time(1)
    assert one.run()
    assert one.forks == 6


def test_the_end_of_a_foreign_process_changes_nothing(system: Callable[..., System]) -> None:
    one = system()
    one.pass_time(HEARTBEAT_SECONDS)
    one.ready()
    one.then(lambda: one.dies(FOREIGN_PID, 0))
    one.pass_time(1)
    assert one.run()
    assert one.forks == 1


def test_a_replacement_waits_for_its_pause(system: Callable[..., System]) -> None:
    one = system()
    one.pass_time(HEARTBEAT_SECONDS)
    one.ready()
    died: list[float] = []
    one.then(one.all_die)
    one.then(lambda: died.append(one.now))
    one.pass_time(1)
    assert one.run()
    assert one.forks == 2
    assert one.started[1] - died[0] == pytest.approx(PAUSE_SECONDS, abs=0.01)
    assert one.jitter == {(0.5, 1)}, "workers that died together do not start together"


def test_it_gives_up_when_a_worker_never_serves(system: Callable[..., System]) -> None:
    one = system(2)
    one.pass_time(HEARTBEAT_SECONDS)
    one.then(lambda: (READY, 102))
    for _ in range(ATTEMPTS):
        one.pass_time(10)
        one.then(lambda: one.die(first_of(one), 256))
    assert one.supervisor.run() is False
    assert one.forks == 1 + ATTEMPTS
    assert one.sent == [(102, signal.SIGTERM)]


def first_of(system: System) -> int:
    """The process of the first worker."""
    return next(pid for pid in system.running if pid != 102)


def test_a_stop_closes_the_sockets_and_ends_after_the_workers(
    system: Callable[..., System],
) -> None:
    one = system(2)
    one.pass_time(HEARTBEAT_SECONDS)
    one.ready()
    assert one.run() is True
    assert one.sent == [(101, signal.SIGTERM), (102, signal.SIGTERM)]
    assert all(sock.closed for own in one.sockets for sock in own)
    assert one.forks == 2, "those that end now are not replaced"


@pytest.mark.parametrize(("status", "orderly"), [(0, True), (256, False), (KILLED, False)])
def test_an_end_is_orderly_if_all_workers_say_so(
    system: Callable[..., System], status: int, *, orderly: bool
) -> None:
    one = system(2)
    one.ends = lambda _: status
    one.pass_time(HEARTBEAT_SECONDS)
    one.ready()
    assert one.run() is orderly


def test_a_worker_that_does_not_end_is_killed_after_the_drain(
    system: Callable[..., System],
) -> None:
    one = system(2)
    one.ends = lambda number: KILLED if number == signal.SIGKILL else None
    one.pass_time(HEARTBEAT_SECONDS)
    one.ready()
    one.signal(signal.SIGTERM)
    one.pass_time(DRAIN_SECONDS + MARGIN_SECONDS - 2)
    one.then(lambda: None if len(one.sent) == 2 else pytest.fail("too early"))
    assert one.supervisor.run() is False
    moment = one.sent_at[2] - one.sent_at[0]
    assert moment == pytest.approx(DRAIN_SECONDS + MARGIN_SECONDS, abs=1.1)
    killed = [pid for pid, number in one.sent if number == signal.SIGKILL]
    assert killed == [101, 102]


def test_the_workers_are_killed_once(system: Callable[..., System]) -> None:
    one = system()
    one.ends = lambda _: None  # it waits for a disk
    one.pass_time(HEARTBEAT_SECONDS)
    one.ready()
    one.signal(signal.SIGTERM)
    one.pass_time(DRAIN_SECONDS + MARGIN_SECONDS + 60)
    one.then(lambda: one.die(101, KILLED))
    one.supervisor.run()
    assert [number for _, number in one.sent] == [signal.SIGTERM, signal.SIGKILL]


@pytest.mark.parametrize(
    ("second", "killed"),
    [(signal.SIGTERM, True), (signal.SIGINT, True), (signal.SIGHUP, False)],
)
def test_a_second_signal_kills_but_for_that_of_a_closing_terminal(
    system: Callable[..., System], second: int, *, killed: bool
) -> None:
    one = system()
    one.ends = lambda _: None
    one.pass_time(HEARTBEAT_SECONDS)
    one.ready()
    one.signal(signal.SIGHUP)
    one.signal(second)
    one.then(lambda: one.die(101, 0))
    one.supervisor.run()
    assert ((101, signal.SIGKILL) in one.sent) is killed


def test_a_worker_that_is_silent_is_killed_once_and_replaced(
    system: Callable[..., System],
) -> None:
    one = system(2)
    one.pass_time(HEARTBEAT_SECONDS)
    one.ready()
    one.then(lambda: one.silent.add(101))
    one.ends = lambda number: None if number == signal.SIGKILL else 0
    one.pass_time(HANG_SECONDS + 3)
    one.signal(HEARTBEAT, FOREIGN_PID)
    one.then(lambda: one.die(101, KILLED))
    one.pass_time(1)
    assert one.run()
    assert [sent for sent in one.sent if sent[1] == signal.SIGKILL] == [(101, signal.SIGKILL)]
    assert one.forks == 3


def test_a_supervisor_that_was_stopped_itself_gives_workers_time(
    system: Callable[..., System],
) -> None:
    one = system()
    one.pass_time(HEARTBEAT_SECONDS)
    one.ready()

    def continued() -> tuple[int, int]:
        one.now += 100  # Ctrl-Z, and later fg: all processes were stopped
        return (READY, FOREIGN_PID)

    one.then(continued)
    one.pass_time(HANG_SECONDS)
    assert one.run()
    assert (101, signal.SIGKILL) not in one.sent


def test_a_failed_fork_is_tried_again(system: Callable[..., System]) -> None:
    one = system()
    one.fork_error = BlockingIOError(11, "no processes left")
    one.then(lambda: None, lambda: None)
    one.then(lambda: setattr(one, "fork_error", None))
    one.pass_time(1)
    one.ready()
    assert one.run()
    assert (len(one.supervisor._running), one.announced) == (0, 1)


@pytest.mark.parametrize("ignored", [True, False])
def test_nohup_stays_in_force(
    system: Callable[..., System], monkeypatch: pytest.MonkeyPatch, *, ignored: bool
) -> None:
    one = system()
    handler = signal.SIG_IGN if ignored else signal.SIG_DFL
    monkeypatch.setattr(signal, "getsignal", lambda _: handler)
    assert one.run()
    ((how, mask),) = one.masks
    assert how == signal.SIG_BLOCK
    assert (signal.SIGHUP in mask) is not ignored
    assert {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, READY, HEARTBEAT} <= mask


def test_the_supervisor_hears_of_ends_and_workers_share_its_memory(
    system: Callable[..., System],
) -> None:
    one = system(2)
    one.pass_time(HEARTBEAT_SECONDS)
    one.ready()
    assert one.run()
    assert one.handlers == {signal.SIGCHLD: signal.SIG_DFL}, "its parent may ignore it"
    assert one.frozen_after == [0]
    assert one.masks[0][0] == signal.SIG_BLOCK


def test_it_looks_for_workers_that_hang_once_a_heartbeat_at_least(
    system: Callable[..., System],
) -> None:
    one = system()
    one.pass_time(HEARTBEAT_SECONDS)
    one.ready()
    one.pass_time(5)
    assert one.run()
    assert one.waits[0] == 0, "the first worker is due"
    assert max(one.waits) == HEARTBEAT_SECONDS


def test_workers_that_serve_only_after_the_stop_are_not_announced(
    system: Callable[..., System],
) -> None:
    one = system()
    one.ends = lambda _: None
    one.pass_time(HEARTBEAT_SECONDS)
    one.signal(signal.SIGTERM)
    one.ready()
    one.then(lambda: one.die(101, 0))
    assert one.supervisor.run()
    assert one.announced == 0
