"""Writes queued events to live subscribers, in turns of the event loop that others share."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property

from eventhub.delivery.feed import Feed
from eventhub.events.event import Event

TICK_WRITES = 1000
"""Writes in one turn of the loop: about three milliseconds. The rest follows in the next turn,
after everything else had its turn.
"""
SLICE_WRITES = 250
"""Writes of one channel before the next channel has its turn."""


SMALL_AUDIENCE = 100
"""Up to this many readers, a second tick would cost more than the writes that it may save."""


class FanoutSchedule:
    """The feeds with something to write, in the order in which they are served.

    `wrote` gets the events that have reached everybody, and the seconds that took. `progressed` is
    called after each part. `failed` gets an error of one feed; the other feeds are not affected.
    """

    def __init__(
        self,
        wrote: Callable[[Feed, list[Event], float], None],
        progressed: Callable[[Feed], None],
        failed: Callable[[str, Exception], None],
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._clock = clock
        self._wrote = wrote
        self._progressed = progressed
        self._failed = failed
        self._dirty: OrderedDict[Feed, float] = OrderedDict()  # and since when
        self._scheduled = False

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        """Kept: on Python 3.11 each look for the running loop is a system call."""
        return asyncio.get_running_loop()

    def add(self, feed: Feed) -> None:
        """Write soon, so that events that arrive together are written together.

        A large audience is written to in two ticks, which joins more events.
        """
        self._dirty.setdefault(feed, self._clock())
        if self._scheduled:
            return
        self._scheduled = True
        if len(feed.live) > SMALL_AUDIENCE:
            self._loop.call_soon(self._loop.call_soon, self._flush)
        else:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
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
        self._scheduled = bool(self._dirty)
        if self._scheduled:
            self._loop.call_soon(self._flush)
