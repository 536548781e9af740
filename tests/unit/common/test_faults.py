"""common/faults.py: faults are counted, logged now and then, and end nothing."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from eventhub.common.faults import QUIET_SECONDS, Faults
from eventhub.errors import Internal
from tests.harness.virtual_time import in_virtual_time


class Clock:
    now = 10.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    with capture_logs() as found:
        yield found


def fail() -> None:
    raise ZeroDivisionError


async def fail_later(error: BaseException) -> None:
    raise error


def test_of_many_faults_at_one_place_one_a_second_is_logged_and_all_are_counted(
    logs: list[Any],
) -> None:
    clock = Clock()
    faults = Faults(clock)
    for _ in range(3):
        faults.note("here", ZeroDivisionError(), channel="chat.a")
    faults.note("there", ZeroDivisionError())
    clock.now += QUIET_SECONDS - 0.01
    faults.note("here", ZeroDivisionError())
    clock.now += 0.01
    for _ in range(2):
        faults.note("here", LookupError())
    assert faults.counts == {"here": 6, "there": 1}
    shown = [(each["where"], each.get("not_logged")) for each in logs]
    assert shown == [("here", None), ("there", None), ("here", 3)]
    assert (logs[0]["event"], logs[0]["channel"]) == ("fault", "chat.a")
    assert isinstance(logs[2]["exc_info"], LookupError)


def test_a_model_that_fails_is_logged_and_is_no_fault(logs: list[Any]) -> None:
    faults = Faults(Clock())
    for channel in ("orders.a", "orders.b", "chat.a"):
        faults.model_failed(channel, ZeroDivisionError())
    assert not faults.counts
    assert [(each["event"], each["type"], each["channel"]) for each in logs] == [
        ("model_failed", "orders", "orders.a"),
        ("model_failed", "chat", "chat.a"),
    ]
    assert "where" not in logs[0]


def test_a_log_that_fails_costs_nothing() -> None:
    def broken() -> float:
        raise OSError

    faults = Faults(broken)
    faults.note("here", ZeroDivisionError())
    faults.model_failed("chat.a", ZeroDivisionError())
    assert faults.counts == {"here": 1}


def test_work_is_contained(logs: list[Any]) -> None:
    faults, done = Faults(), list[int]()
    faults.contain("here", fail)
    faults.contain("here", lambda: done.append(1))
    assert (faults.counts, done) == ({"here": 1}, [1])
    with pytest.raises(KeyboardInterrupt):
        faults.contain("here", lambda: (_ for _ in ()).throw(KeyboardInterrupt))


@pytest.mark.parametrize("error", [ZeroDivisionError(), SystemExit(1), BaseException()], ids=repr)
def test_a_task_reports_its_fault(error: BaseException, logs: list[Any]) -> None:
    @in_virtual_time
    async def scenario() -> None:
        faults, failed = Faults(), list[Internal]()
        await faults.contained("task", fail_later(error), failed.append)
        assert faults.counts == {"task": 1}
        assert [each.code for each in failed] == ["internal"]
        await faults.contained("task", fail_later(ZeroDivisionError()), lambda _: fail())
        assert faults.counts == {"task": 3}, "the report failed, too"

    scenario()


@in_virtual_time
async def test_a_task_that_is_cancelled_has_no_fault() -> None:
    faults, failed = Faults(), list[Internal]()
    with pytest.raises(asyncio.CancelledError):
        await faults.contained("task", fail_later(asyncio.CancelledError()), failed.append)
    assert (dict(faults.counts), failed) == ({}, [])


@in_virtual_time
async def test_work_for_all_begins_again_after_a_pause_until_it_is_done() -> None:
    faults, begun = Faults(), list[float]()
    loop = asyncio.get_running_loop()

    async def work() -> None:
        begun.append(loop.time())
        if len(begun) < 3:
            raise ZeroDivisionError

    begin = loop.time()
    await faults.kept("work", work)
    assert begun == [begin, begin + QUIET_SECONDS, begin + 2 * QUIET_SECONDS]
    assert faults.counts == {"work": 2}


class Loop:
    def __init__(self) -> None:
        self.handled: list[dict[str, Any]] = []
        self.default_exception_handler = self.handled.append


def test_only_an_error_of_a_callback_is_a_fault_of_the_loop(logs: list[Any]) -> None:
    faults, loop = Faults(), Loop()
    others: list[dict[str, Any]] = [
        {"exception": ZeroDivisionError()},
        {"handle": object()},
        {"exception": SystemExit(), "handle": object()},
    ]
    for context in ({"exception": ZeroDivisionError(), "handle": object()}, *others):
        faults.of_loop(loop, context)  # type: ignore[arg-type]  # as much as is used
    assert (dict(faults.counts), loop.handled) == ({"loop": 1}, others)
