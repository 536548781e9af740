"""The pace at which a node that is about to stop sends its clients away, and lets them come back.

Knows neither connections nor what they are told.
"""

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
"""It may be so late. Whoever is left then is told at once: the process may be killed before the
next slice.
"""
RETURN_PACE = 2000
"""Clients a second that come back to a node that starts again: two fifths of what one core takes."""
LEAST_AWAY, MOST_AWAY, UNKNOWN_AWAY = 0.3, 10.0, 1.0
"""Seconds that a start is taken to last: what this one took, within bounds; the last where it is
not known.
"""
MARGIN_SECONDS = 0.3
"""From the last goodbye to the end of the process, and from there to the next start."""
SLICE = 250
"""Clients told in one turn of the loop where all are told together."""

Client = TypeVar("Client")


class DrainPace:
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
        self._due = min(
            self._clients, self._due + self._per_second * min(now - self._last, BURST_SECONDS)
        )
        self._last = now
        return int(self._due)


async def in_turn(clients: Sequence[Client], tell: Callable[[Client], None], spread: float) -> None:
    """Tell all, at a pace."""
    clock = asyncio.get_running_loop().time
    pace, told = DrainPace(len(clients), spread, clock()), 0
    while told < len(clients):
        due = pace.due(clock())
        for client in clients[told:due]:
            tell(client)
        told = due
        await asyncio.sleep(STEP_SECONDS if told < len(clients) else 0)


async def together(clients: Sequence[Client], tell: Callable[[Client, int], None]) -> None:
    """Tell all now, each with its number in the order in which they may come back."""
    for number, client in enumerate(clients):
        tell(client, number)
        if number % SLICE == SLICE - 1:
            await asyncio.sleep(0)  # others have their turn


def comeback(number: int, start_seconds: float | None, chance: float) -> float:
    """Seconds after which a client may find the node started again: each number has its own moment.

    `start_seconds`: how long this start took. `chance` is from 0 to 1.
    """
    away = UNKNOWN_AWAY if start_seconds is None else start_seconds
    return min(max(away, LEAST_AWAY), MOST_AWAY) + MARGIN_SECONDS + (number + chance) / RETURN_PACE
