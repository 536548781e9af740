"""The pace at which a node that is about to stop sends its clients away. Knows neither connections nor what they are told."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

LEAST_PACE = 100
"""Clients a second: a crowd that other nodes take in one breath need not wait."""
STEP_SECONDS = 0.02
"""Between two slices: about as fine as a busy loop keeps time."""
BURST_SECONDS = 0.1
"""So much of what a stall held up is made up for; the rest makes it late.

Until LATE_SECONDS, no more than a tenth more than shall be is told in any second.
"""
LATE_SECONDS = 2.0
"""It may be so late. Whoever is left then is told at once: the process may be killed before the next slice."""

Client = TypeVar("Client")


class Pace:
    """Of so many clients, the same share in each second of `spread`, and LEAST_PACE at least. `now` is in seconds."""

    def __init__(self, clients: int, spread: float, now: float) -> None:
        self._clients = clients
        self._per_second = max(LEAST_PACE, clients / spread) if spread else float("inf")
        self._end = now + clients / self._per_second + LATE_SECONDS
        self._due = 0.0
        self._last = now - STEP_SECONDS

    def due(self, now: float) -> int:
        """How many are to have been told by now."""
        if now >= self._end:
            return self._clients
        self._due = min(self._clients, self._due + self._per_second * min(now - self._last, BURST_SECONDS))
        self._last = now
        return int(self._due)


async def in_turn(clients: Sequence[Client], tell: Callable[[Client], None], spread: float) -> None:
    """Tell all, at a pace."""
    clock = asyncio.get_running_loop().time
    pace, told = Pace(len(clients), spread, clock()), 0
    while told < len(clients):
        due = pace.due(clock())
        for client in clients[told:due]:
            tell(client)
        told = due
        await asyncio.sleep(STEP_SECONDS if told < len(clients) else 0)
