"""How fast a stopping node sends its clients away, and when they may come back.

Knows nothing of connections or of messages.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

LEAST_PACE = 100
"""Clients that leave per second, at least. Other nodes can accept this many."""
STEP_SECONDS = 0.02
"""Seconds between two steps. A busy event loop is not more precise."""
BURST_SECONDS = 0.1
"""The part of a stall for which clients leave at once. The rest of the stall makes the drain late.

Unless the drain is LATE_SECONDS late, at most a tenth more clients than planned leave in a second.
"""
LATE_SECONDS = 2.0
"""If the drain is this late, all remaining clients leave at once, because the process may be killed
soon.
"""
RETURN_PACE = 2000
"""Clients per second that come back to a restarted node. One core accepts two and a half times as
many.
"""
LEAST_AWAY, MOST_AWAY, UNKNOWN_AWAY = 0.3, 10.0, 1.0
"""Expected duration of the next start in seconds: at least, at most, and if nothing is known."""
MARGIN_SECONDS = 0.3
"""Seconds from the last goodbye until the process has ended and the next one has begun."""
SLICE = 250
"""Clients sent away in one turn of the loop, when all leave at once."""

Client = TypeVar("Client")


class DrainPace:
    """Sends away an equal share of `clients` in each of `spread` seconds, and LEAST_PACE at least.

    `now` is in seconds.
    """

    def __init__(self, clients: int, spread: float, now: float) -> None:
        self._clients = clients
        self._per_second = max(LEAST_PACE, clients / spread) if spread else float("inf")
        self._end = now + clients / self._per_second + LATE_SECONDS
        self._due = 0.0
        self._last = now - STEP_SECONDS

    def due(self, now: float) -> int:
        """Return how many clients must have left by now."""
        if now >= self._end:
            return self._clients
        elapsed = min(now - self._last, BURST_SECONDS)
        self._due = min(self._clients, self._due + self._per_second * elapsed)
        self._last = now
        return int(self._due)


async def at_a_pace(
    clients: Sequence[Client], send_away: Callable[[Client], None], spread: float
) -> None:
    """Send all away within `spread` seconds."""
    clock = asyncio.get_running_loop().time
    pace, gone = DrainPace(len(clients), spread, clock()), 0
    while gone < len(clients):
        due = pace.due(clock())
        for client in clients[gone:due]:
            send_away(client)
        gone = due
        await asyncio.sleep(STEP_SECONDS if gone < len(clients) else 0)


async def all_at_once(clients: Sequence[Client], send_away: Callable[[Client, int], None]) -> None:
    """Send all away now, each with its number in the order in which they may come back."""
    for number, client in enumerate(clients):
        send_away(client, number)
        if number % SLICE == SLICE - 1:
            await asyncio.sleep(0)  # let the loop do other work


def reconnect_delay(number: int, start_seconds: float | None, chance: float) -> float:
    """Return after how many seconds client `number` may come back to a restarted node.

    `start_seconds` is how long this start took, if known. `chance` is from 0 to 1.
    """
    away = UNKNOWN_AWAY if start_seconds is None else start_seconds
    return min(max(away, LEAST_AWAY), MOST_AWAY) + MARGIN_SECONDS + (number + chance) / RETURN_PACE
