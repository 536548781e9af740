"""How many requests are begun in one turn of the event loop.

Requests of many connections that are ready at once would otherwise make one long turn, in which
nothing else is served. A request on a quiet loop starts at once, and costs a counter.
"""

from collections.abc import Callable

from eventhub.server.connections.turns import TURN_SECONDS, LoopTurns

AT_ONCE = 16
"""Requests that may have been started and not have run yet: these run in the next turn of the loop."""
REQUEST_SECONDS = TURN_SECONDS / AT_ONCE
"""Of CPU time that is counted for a request that waited: as many as that start in one of the turns."""


class RequestStarts:
    """Of one event loop."""

    __slots__ = ("_started", "_turns")

    def __init__(self, turns: LoopTurns) -> None:
        self._turns = turns
        self._started = 0  # requests that have not run yet

    def start(self, run: Callable[[], None]) -> None:
        """Call this, which starts a request: now, or in a turn to come. The request calls `ran` when it runs."""
        if self._started < AT_ONCE:
            self._started += 1
            run()
        else:
            self._turns.later(lambda: self._start_later(run))

    def ran(self) -> None:
        """A request that was started runs."""
        self._started -= 1

    def _start_later(self, run: Callable[[], None]) -> None:
        self._turns.spend(REQUEST_SECONDS)
        self._started += 1
        run()
