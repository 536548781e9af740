"""common/concurrency.py: the first half to end ends the other, and nothing waits longer than it
may.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from eventhub.common.concurrency import race, within


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(10):
            await scenario()
        assert asyncio.all_tasks() == {asyncio.current_task()}, "nothing is left running"

    asyncio.run(main())


class Half:
    """Runs until it is let go, or is cancelled and cleans up."""

    def __init__(
        self, error: BaseException | None = None, cleanup: BaseException | None = None
    ) -> None:
        self.go = asyncio.Event()
        self.started = asyncio.Event()
        self.error = error
        self.cleanup = cleanup
        self.log: list[str] = []

    async def run(self) -> None:
        self.started.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # cleaning up takes a while
            self.log.append("cancelled")
            if self.cleanup is not None:
                raise self.cleanup from None
            raise
        self.log.append("ended")
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("winner", [0, 1])
def test_when_one_ends_the_other_is_cancelled_and_waited_for(winner: int) -> None:
    async def scenario() -> None:
        halves = [Half(), Half()]
        halves[winner].go.set()
        await race(halves[0].run(), halves[1].run())
        assert halves[winner].log == ["ended"]
        assert halves[1 - winner].log == ["cancelled"]

    run(scenario)


@pytest.mark.parametrize("loser", [0, 1])
def test_an_exception_ends_the_other_and_is_raised(loser: int) -> None:
    async def scenario() -> None:
        halves = [Half(), Half()]
        halves[loser].error = ConnectionResetError("gone")
        halves[loser].go.set()
        with pytest.raises(ConnectionResetError, match="gone"):
            await race(halves[0].run(), halves[1].run())
        assert halves[1 - loser].log == ["cancelled"]

    run(scenario)


def test_when_both_fail_at_once_the_first_is_raised_and_neither_is_forgotten() -> None:
    async def scenario() -> None:
        one, other = Half(ValueError("one")), Half(ValueError("other"))
        one.go.set()
        other.go.set()
        with pytest.raises(ValueError, match="one"):
            await race(one.run(), other.run())

    run(scenario)


def test_a_failure_while_being_cancelled_is_raised() -> None:
    async def scenario() -> None:
        one, other = Half(), Half(cleanup=OSError("cleanup"))
        starting = asyncio.create_task(race(one.run(), other.run()))
        await other.started.wait()
        one.go.set()
        with pytest.raises(OSError, match="cleanup"):
            await starting

    run(scenario)


def test_both_ending_at_once_is_an_end() -> None:
    async def scenario() -> None:
        one, other = Half(), Half()
        one.go.set()
        other.go.set()
        await race(one.run(), other.run())
        assert (one.log, other.log) == (["ended"], ["ended"])

    run(scenario)


def test_being_cancelled_cancels_both_and_waits_for_them() -> None:
    async def scenario() -> None:
        one, other = Half(), Half()
        racing = asyncio.create_task(race(one.run(), other.run()))
        await one.started.wait()
        await other.started.wait()
        racing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await racing
        assert (one.log, other.log) == (["cancelled"], ["cancelled"])

    run(scenario)


def test_more_than_two_may_race() -> None:
    async def scenario() -> None:
        halves = [Half() for _ in range(4)]
        halves[2].go.set()
        await race(*(half.run() for half in halves))
        assert [half.log for half in halves] == [
            ["cancelled"],
            ["cancelled"],
            ["ended"],
            ["cancelled"],
        ]

    run(scenario)


async def settled(steps: int, outcome: str | Exception = "done") -> str:
    """Something that waits a few times."""
    for _ in range(steps):
        await asyncio.sleep(0)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_what_comes_in_time_is_the_result(steps: int) -> None:
    async def scenario() -> None:
        assert await within(10, settled(steps)) == "done"
        assert await within(10, asyncio.ensure_future(settled(steps))) == "done"

    run(scenario)


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_its_exception_is_raised(steps: int) -> None:
    async def scenario() -> None:
        with pytest.raises(KeyError):
            await within(10, settled(steps, KeyError("it")))

    run(scenario)


def test_what_comes_too_late_is_cancelled() -> None:
    async def scenario() -> None:
        half = Half()
        with pytest.raises(TimeoutError):
            await within(0.01, half.run())
        assert half.log == ["cancelled"]

    run(scenario)


def test_whoever_waits_may_be_cancelled() -> None:
    async def scenario() -> None:
        half = Half()
        task = asyncio.create_task(within(10, half.run()))
        await half.started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert half.log == ["cancelled"]

    run(scenario)
