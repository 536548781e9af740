"""A supervisor among processes that are made up."""

import gc
import os
import signal
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from eventhub.server.process import supervisor
from tests.unit.server.process.system import System


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., System]]:
    made: list[System] = []

    def make(workers: int = 1) -> System:
        found = System(workers)
        made.append(found)
        replaced(monkeypatch, found)
        return found

    yield make
    for each in made:
        for worker in each.supervisor._workers[:1]:
            os.close(worker.slot.lifeline)
            for mailbox in worker.slot.mailboxes:
                mailbox.put.close()
                mailbox.take.close()
        os.close(each.supervisor._alive)


def replaced(monkeypatch: pytest.MonkeyPatch, system: System) -> None:
    """Let the supervisor see this system."""
    for name in ("fork", "kill", "waitpid"):
        monkeypatch.setattr(os, name, getattr(system, name))
    monkeypatch.setattr(signal, "sigtimedwait", system.sigtimedwait)
    monkeypatch.setattr(signal, "pthread_sigmask", lambda *mask: system.masks.append(mask))
    monkeypatch.setattr(signal, "signal", system.handlers.__setitem__)
    monkeypatch.setattr(supervisor, "time", SimpleNamespace(monotonic=lambda: system.now))
    monkeypatch.setattr(gc, "freeze", system.freeze)
    monkeypatch.setattr(supervisor, "random", SimpleNamespace(uniform=system.uniform))
    system.supervisor._looked = system.now
