"""server/process/supervisor.py: a worker's process, from the fork to its exit status."""

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from eventhub.server.process.supervisor import (
    HEARTBEAT,
    READY,
    WorkerSlot,
)
from tests.unit.server.process.system import OWN_PID, System


class Left(Exception):
    """A process leaves by `os._exit`."""


def works(one: System, work: Callable[[WorkerSlot], None], monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit status of the first worker's process."""
    statuses: list[int] = []

    def leave(status: int) -> None:
        statuses.append(status)
        raise Left

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(os, "close", one.closed.append)
    monkeypatch.setattr(one, "fork", lambda: 0)
    monkeypatch.setattr(os, "fork", one.fork)
    one.work = work
    with pytest.raises(Left):
        one.supervisor.run()
    return statuses[0]


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (None, 0),
        (SystemExit(3), 3),
        (SystemExit("why"), 1),
        (ZeroDivisionError(), 1),
        (KeyboardInterrupt(), 1),
    ],
)
def test_a_workers_process_ends_with_its_status(
    system: Callable[..., System],
    monkeypatch: pytest.MonkeyPatch,
    end: BaseException | None,
    status: int,
) -> None:
    def work(slot: WorkerSlot) -> None:
        if end is not None:
            raise end

    assert works(system(), work, monkeypatch) == status


def test_a_worker_has_only_its_own_sockets_and_takes_no_stop_before_it_serves(
    system: Callable[..., System], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = system(2)
    slots: list[WorkerSlot] = []
    works(one, slots.append, monkeypatch)
    assert [(slot.number, len(slot.mailboxes)) for slot in slots] == [(0, 2)]
    assert one.closed == [one.supervisor._alive], "only the supervisor's end is its life"
    assert [sock.closed for own in one.sockets for sock in own] == [False, True]
    how, unblocked = one.masks[-1]
    assert how == signal.SIG_UNBLOCK
    assert unblocked == {signal.SIGCHLD, READY, HEARTBEAT}


@pytest.mark.parametrize("parent", [OWN_PID, 1], ids=["supervised", "orphaned"])
def test_a_worker_tells_only_its_supervisor_that_it_lives(
    monkeypatch: pytest.MonkeyPatch, parent: int
) -> None:
    sent: list[tuple[int, int]] = []
    masks: list[Any] = []
    monkeypatch.setattr(os, "getppid", lambda: parent)
    monkeypatch.setattr(os, "kill", lambda *signals: sent.append(signals))
    monkeypatch.setattr(signal, "pthread_sigmask", lambda *mask: masks.append(mask))
    slot = WorkerSlot(0, [], [], OWN_PID, -1)
    slot.serving()
    slot.heartbeat()
    assert sent == ([(OWN_PID, READY), (OWN_PID, HEARTBEAT)] if parent == OWN_PID else [])
    assert masks == [(signal.SIG_UNBLOCK, {signal.SIGTERM})]
