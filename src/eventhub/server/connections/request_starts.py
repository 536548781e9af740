"""Decides how many requests start in one turn of the event loop.

Without it, requests that many connections send at once would make one long turn, in which nothing
else is served. On a quiet loop, a request starts at once; that costs only a counter.
"""

from collections.abc import Callable

from eventhub.server.connections.turns import TURN_SECONDS, LoopTurns

AT_ONCE = 16
"""Requests that may have started without having run yet. They run in the next turn."""
REQUEST_SECONDS = TURN_SECONDS / AT_ONCE
"""CPU time that is counted for a request that waited, so AT_ONCE of them start in one turn."""


class RequestStarts:
    """Spreads the starts of requests on one event loop."""

    __slots__ = ("_started", "_turns")

    def __init__(self, turns: LoopTurns) -> None:
        self._turns = turns
        self._started = 0  # requests that have not run yet

    def start(self, run: Callable[[], None]) -> None:
        """Start a request with `run`, now or later. It calls `note_running` when it runs."""
        if self._started < AT_ONCE:
            self._started += 1
            run()
        else:
            self._turns.later(lambda: self._start_later(run))

    def note_running(self) -> None:
        """Note that a started request has begun to run."""
        self._started -= 1

    def _start_later(self, run: Callable[[], None]) -> None:
        self._turns.spend(REQUEST_SECONDS)
        self._started += 1
        run()
