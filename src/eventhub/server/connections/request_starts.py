"""Decides how many requests start in one turn of the event loop.

Without it, requests that many connections send at once would make one long turn, in which nothing
else is served. On a quiet loop, a request starts at once; that costs only a counter.
"""

import asyncio
from collections.abc import Callable
from time import thread_time

from eventhub.server.connections.fair_queue import TURN_SECONDS, FairQueue

AT_ONCE = 16
"""Requests that may have started without having run yet. They run in the next turn."""
ANSWERED_AT_ONCE = 64
"""Requests that may be answered within the turn that reads them. They take some 20 µs each. One
with a body of several ANSWER_BYTES counts as as many.
"""
ANSWER_BYTES = 16 * 1024
ANSWER_SECONDS = 2 * TURN_SECONDS
"""CPU time that they may take together, looked at whenever LOOK_EVERY more were answered."""
LOOK_EVERY = 8
REQUEST_SECONDS = TURN_SECONDS / AT_ONCE
"""CPU time that is counted for a request that waited, so AT_ONCE of them start in one turn."""


class RequestStarts:
    """Spreads the starts of requests on one event loop."""

    __slots__ = ("_answered", "_fair_queue", "_look_at", "_loop", "_since", "_started")

    def __init__(self, fair_queue: FairQueue, loop: asyncio.AbstractEventLoop) -> None:
        self._fair_queue = fair_queue
        self._loop = loop
        self._answered = 0  # requests that were answered within this turn
        self._since = 0.0  # CPU time at the first of them
        self._look_at = LOOK_EVERY  # when so many were answered, the clock is read
        self._started = 0  # requests that have not run yet

    def start(self, run: Callable[[], None]) -> None:
        """Start a request with `run`, now or later. It calls `note_running` when it runs."""
        if self._started < AT_ONCE:
            self._started += 1
            run()
        else:
            self._fair_queue.later(lambda: self._start_later(run))

    def at_once(self, size: int = 0) -> bool:
        """Whether one more request may be answered within this turn. Counts it.

        `size`: the bytes of its body.
        """
        if not self._answered:
            self._loop.call_soon(self._end_turn)
            self._since = thread_time()
            self._look_at = LOOK_EVERY
        elif self._answered >= ANSWERED_AT_ONCE:
            return False
        elif self._answered >= self._look_at:
            self._look_at += LOOK_EVERY
            if thread_time() - self._since >= ANSWER_SECONDS:
                self._answered = ANSWERED_AT_ONCE
                return False
        self._answered += 1 + size // ANSWER_BYTES
        return True

    def note_running(self) -> None:
        """Note that a started request has begun to run."""
        self._started -= 1

    def _end_turn(self) -> None:
        self._answered = 0

    def _start_later(self, run: Callable[[], None]) -> None:
        self._fair_queue.spend(REQUEST_SECONDS)
        self._started += 1
        run()
