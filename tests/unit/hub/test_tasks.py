"""Work that a hub runs: its errors are contained, and none is left behind at the end."""

import asyncio
import inspect
from collections.abc import Coroutine
from typing import Any

import pytest

from eventhub.common.faults import Faults
from eventhub.errors import EventHubError
from eventhub.hub.tasks import Tasks
from tests.harness.virtual_time import in_virtual_time


class Work:
    """Coroutines that say how far they came, and the errors that were reported for them."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.faults = Faults()
        self.tasks = Tasks(self.faults)
        self.begun = False
        self.failed: list[str] = []
        self.fault = fault
        self.coroutine: Coroutine[Any, Any, None] = self._run()

    @property
    def closed(self) -> bool:
        return inspect.getcoroutinestate(self.coroutine) == inspect.CORO_CLOSED

    def spawn(self) -> None:
        self.tasks.spawn(self.coroutine, "place", self._failed)

    def _failed(self, error: EventHubError) -> None:
        self.failed.append(error.code)

    async def _run(self) -> None:
        self.begun = True
        await asyncio.sleep(1)
        if self.fault is not None:
            raise self.fault


@in_virtual_time
async def test_work_runs_to_its_end() -> None:
    work = Work()
    async with asyncio.TaskGroup() as group:
        work.tasks.group = group
        work.spawn()
        assert not work.begun, "never from inside the call"
    assert work.begun
    assert work.closed
    assert work.failed == []


@in_virtual_time
async def test_an_error_is_counted_and_reported_and_ends_no_other_work() -> None:
    broken = Work(ZeroDivisionError("a fault of ours"))
    async with asyncio.TaskGroup() as group:
        broken.tasks.group = group
        broken.spawn()
        other = group.create_task(asyncio.sleep(2, "done"))
    assert other.result() == "done"
    assert broken.failed == ["internal"]
    assert broken.faults.counts == {"place": 1}


@in_virtual_time
async def test_work_that_is_cancelled_before_it_began_is_closed() -> None:
    work = Work()
    async with asyncio.TaskGroup() as group:
        work.tasks.group = group
        work.spawn()
        group._abort()  # type: ignore[attr-defined]  # as an error in the group does
    assert (work.begun, work.closed, work.failed) == (False, True, [])


@in_virtual_time
async def test_work_is_closed_unbegun_while_the_group_is_being_cancelled() -> None:
    work = Work()

    async def late() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            work.spawn()

    async with asyncio.TaskGroup() as group:
        work.tasks.group = group
        group.create_task(late())
        await asyncio.sleep(0)
        group._abort()  # type: ignore[attr-defined]  # as an error in the group does
    assert (work.begun, work.closed, work.failed) == (False, True, [])


def test_work_is_closed_unbegun_after_the_end() -> None:
    work = Work()
    work.tasks.ended = True
    work.spawn()
    assert (work.begun, work.closed, work.failed) == (False, True, [])


def test_nothing_can_be_spawned_before_the_hub_runs() -> None:
    work = Work()
    with pytest.raises(AssertionError, match=r"Hub\.run is not running"):
        work.spawn()
    assert work.closed
