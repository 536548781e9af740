"""How late the event loop comes to what is due: the measure of a saturated process, whatever keeps it."""

import asyncio
import time
from collections.abc import Callable

PERIOD = 0.1
"""Seconds between two looks."""


async def pulse(delayed: Callable[[float], None]) -> None:
    """Tell, until cancelled, how many seconds late each look was. uvloop's timers are exact to a millisecond."""
    while True:
        due = time.perf_counter() + PERIOD
        await asyncio.sleep(PERIOD)
        delayed(max(0.0, time.perf_counter() - due))
