"""server/process/loop_lag.py: by how much a timer was late."""

import asyncio

import pytest

from eventhub.server.process import loop_lag
from eventhub.server.process.loop_lag import PERIOD_SECONDS, measure_loop_lag
from tests.harness.virtual_time import VirtualTimeLoop, in_virtual_time


@in_virtual_time
async def test_a_loop_that_is_busy_is_late_and_one_that_is_not_is_on_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    busy = [0.0]
    monkeypatch.setattr(loop_lag.time, "perf_counter", lambda: loop.time() + busy[0])  # type: ignore[attr-defined]
    seen: list[float] = []
    measuring = asyncio.create_task(measure_loop_lag(seen.append))
    await asyncio.sleep(2.5 * PERIOD_SECONDS)
    assert seen == pytest.approx([0, 0], abs=1e-6)
    busy[0] += 0.4
    await asyncio.sleep(PERIOD_SECONDS)
    assert seen[2:] == pytest.approx([0.4], abs=1e-6)
    busy[0] -= 0.2  # a clock that is less exact than the loop's
    await asyncio.sleep(PERIOD_SECONDS)
    assert seen[3:] == [0.0], "never less than none"
    measuring.cancel()
