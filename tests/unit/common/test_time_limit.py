"""common/time_limit.py: when calls expire, and that one timer serves all of them."""

import asyncio

from eventhub.common.time_limit import TimeLimit
from tests.harness.virtual_time import VirtualTimeLoop, in_virtual_time


@in_virtual_time
async def test_a_call_expires_when_its_time_is_over_and_one_that_ended_does_not() -> None:
    loop = asyncio.get_running_loop()
    begin, expired = loop.time(), list[tuple[str, float]]()
    limit = TimeLimit[str](5.0, lambda call: expired.append((call, loop.time() - begin)))
    limit.begin("a")
    limit.begin("ended")
    await asyncio.sleep(2)
    limit.begin("b")
    limit.end("ended")
    await asyncio.sleep(20)
    limit.begin("c")
    limit.end("unknown")
    await asyncio.sleep(20)
    assert expired == [("a", 5.0), ("b", 7.0), ("c", 27.0)]


@in_virtual_time
async def test_a_call_may_end_another_that_is_due_too() -> None:
    expired: list[str] = []

    def end_both(call: str) -> None:
        expired.append(call)
        limit.end("b")

    limit = TimeLimit[str](5.0, end_both)
    limit.begin("a")
    limit.begin("b")
    await asyncio.sleep(20)
    assert expired == ["a"]


def test_after_a_call_whose_end_raises_the_others_end() -> None:
    expired: list[str] = []

    def fail_first(call: str) -> None:
        expired.append(call)
        if call == "a":
            raise ZeroDivisionError

    async def late() -> None:
        limit = TimeLimit[str](5.0, fail_first)
        for call in "abc":
            limit.begin(call)
        await asyncio.sleep(20)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(late())
        loop = runner.get_loop()
        assert isinstance(loop, VirtualTimeLoop)
        assert len(loop.errors) == 1
    assert expired == ["a", "b", "c"]


@in_virtual_time
async def test_many_calls_that_end_in_time_leave_one_timer() -> None:
    loop = asyncio.get_running_loop()
    limit = TimeLimit[int](5.0, lambda call: None)
    for call in range(100):
        limit.begin(call)
        limit.end(call)
    timers = len(loop._scheduled)  # type: ignore[attr-defined]  # the loop's timers, to count them
    assert timers == 1
    await asyncio.sleep(6)
    assert not loop._scheduled  # type: ignore[attr-defined]  # as above
