"""Writes queued events to live subscribers, in turns of the event loop that others share."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

from eventhub.delivery.feed import Feed
from eventhub.events.event import Event

TICK_WRITES = 1000
"""Writes in one turn of the loop: about three milliseconds. The rest follows in the next turn,
after everything else had its turn.
"""
SLICE_WRITES = 250
"""Writes of one channel before the next channel has its turn."""


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

    def add(self, feed: Feed) -> None:
        """Write in two ticks, so that events that arrive together are written together."""
        self._dirty.setdefault(feed, self._clock())
        if not self._scheduled:
            self._scheduled = True
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._flush)

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
            asyncio.get_running_loop().call_soon(self._flush)
