"""Time-outs that end when a test says so."""

import asyncio
from typing import Any


class Timeouts:
    """`asyncio` as one module sees it: its time-outs wait for `expire`."""

    def __init__(self) -> None:
        self._made: list[asyncio.Timeout] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    def timeout(self, seconds: float) -> asyncio.Timeout:
        self._made.append(asyncio.timeout(None))
        return self._made[-1]

    def expire(self) -> None:
        """End the newest."""
        self._made[-1].reschedule(0)
