"""Writes queued events to live subscribers, in turns of the event loop that others share."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from typing import Generic, Protocol, TypeVar

from eventhub.delivery.fanout import Fanout
from eventhub.events.event import Event
from eventhub.hub.join_wait import JoinWait
from eventhub.hub.shared_writers import SharedWriters

TICK_WRITES = 1000
"""Writes in one turn of the loop: about three milliseconds. The rest follows in the next turn,
after everything else had its turn.
"""
SLICE_WRITES = 250
"""Writes of one channel before the next channel has its turn."""


SMALL_AUDIENCE = 100
"""Up to this many readers, a second tick would cost more than the writes that it may save."""
ENOUGH_EVENTS = 16
"""So many events do not wait for more: each write is cheap for an event then."""


class Source(Protocol):
    """A feed, or the audience of a pattern."""

    @property
    def channel(self) -> str:
        """Its name in logs."""
        ...

    @property
    def live(self) -> Fanout:
        """What writes to its live subscribers."""
        ...

    def flushed(self) -> None:
        """Called after each part."""
        ...


S = TypeVar("S", bound=Source)


class FanoutSchedule(Generic[S]):
    """The feeds with something to write, in the order in which they are served.

    `wrote` gets the events that have reached everybody, and the seconds that took. `progressed` is
    called after each part. `failed` gets an error of one feed; the other feeds are not affected.
    """

    def __init__(
        self,
        wrote: Callable[[S, list[Event], float], None],
        progressed: Callable[[S], None],
        failed: Callable[[str, Exception], None],
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._clock = clock
        self._wrote = wrote
        self._progressed = progressed
        self._failed = failed
        self._dirty: OrderedDict[S, float] = OrderedDict()  # and since when
        self._scheduled = False
        self._join_wait = JoinWait()
        self._began: float | None = None  # when the flush for a large audience did

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        """Kept: on Python 3.11 each look for the running loop is a system call."""
        return asyncio.get_running_loop()

    def add(self, feed: S) -> None:
        """Write soon, so that events that arrive together are written together.

        A large audience is written to in two ticks, which joins more events, and a little later if
        publishers are as fast as the fan-out (`JoinWait`).
        """
        now = self._clock()
        self._dirty.setdefault(feed, now)
        if self._scheduled:
            return
        self._scheduled = True
        if len(feed.live) <= SMALL_AUDIENCE:
            self._loop.call_soon(self._flush)
        elif (until := self._join_wait.begin(now)) > now:
            self._loop.call_soon(self._loop.call_soon, self._wait, feed, until)
        else:
            self._loop.call_soon(self._loop.call_soon, self._begin)

    def _wait(self, feed: S, until: float) -> None:
        """Give the loop turns, in which it reads more events."""
        pending = feed.live.pending
        if pending < ENOUGH_EVENTS and self._clock() < until:
            self._loop.call_soon(self._wait, feed, until)
        else:
            self._join_wait.waited(joined=pending > 1)
            self._begin()

    def _begin(self) -> None:
        self._began = self._clock()
        self._flush()

    def _flush(self) -> None:
        if len(self._dirty) == 1:
            self._advance()
        else:
            shared = SharedWriters(self._dirty, TICK_WRITES)
            try:
                self._advance()
            finally:
                shared.release()
        if self._dirty:
            self._loop.call_soon(self._flush)
        else:
            self._scheduled = False
            if self._began is not None:
                self._join_wait.flushed(self._began, self._clock())
                self._began = None

    def _advance(self) -> None:
        """Write the part of a tick."""
        room = TICK_WRITES
        while self._dirty and room > 0:
            feed, begin = self._dirty.popitem(last=False)
            try:
                room -= feed.live.advance(min(room, SLICE_WRITES))
                if events := feed.live.written:
                    feed.live.written = []
                    self._wrote(feed, events, self._clock() - begin)
                if feed.live.due:
                    self._dirty[feed] = begin  # last: every other channel has its turn first
                feed.flushed()
                self._progressed(feed)
            except Exception as error:
                self._failed(feed.channel, error)
