"""Measures how late the event loop is: it shows a saturated process, whatever the cause."""

import asyncio
import time
from collections.abc import Callable

PERIOD_SECONDS = 0.1
"""Between two measurements."""


async def measure_loop_lag(observe: Callable[[float], None]) -> None:
    """Report, until cancelled, by how many seconds each timer was late.

    uvloop's timers are exact to a millisecond.
    """
    while True:
        due = time.perf_counter() + PERIOD_SECONDS
        await asyncio.sleep(PERIOD_SECONDS)
        observe(max(0.0, time.perf_counter() - due))
