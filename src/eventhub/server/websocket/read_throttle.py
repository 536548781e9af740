"""Holds received frames that must wait, and charges the client for the frames that were served."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import chain

from eventhub.common.token_bucket import TokenBucket, commands
from eventhub.server.connections.fair_queue import BURST, FairQueue
from eventhub.server.websocket.frame_parser import FrameParser

MIN_PAUSE_SECONDS = 0.1
"""The shortest pause of a client over the limit. Waking up for each single frame would cost more
than the frame.
"""

Frames = Iterator[tuple[int, bytes]]
"""Opcode and payload of each."""


class ReadThrottle:
    """Makes one client wait if it is over `limits.commands`, or until its turn.

    While frames are held here, the caller must not read the socket. Further bytes then wait in the
    kernel, and when it is full, at the client. Nothing is lost.
    """

    __slots__ = ("_bucket", "_served", "_timer", "frames")

    def __init__(self, bucket: TokenBucket) -> None:
        self._bucket = bucket
        self.frames: Frames | None = None
        """The frames that wait. While there are any, the socket must not be read."""
        self._served = 0.0  # the client's place among those that wait for a turn
        self._timer: asyncio.TimerHandle | None = None

    def charge(self, parser: FrameParser, cpu_seconds: float, now: float) -> float:
        """Charge for the frames parsed since the last charge. Returns the seconds to pause, or 0.0.

        `now`: seconds on the loop's clock.
        """
        count = commands(parser.frames, parser.size, cpu_seconds)
        parser.frames = parser.size = 0
        return self._bucket.charge(count, now * 1000)

    def hold(self, frames: Frames) -> None:
        """Keep frames, behind those that wait already: TLS may have decrypted several reads."""
        self.frames = frames if self.frames is None else chain(self.frames, frames)

    def release(self) -> Frames | None:
        """The frames that waited."""
        frames, self.frames = self.frames, None
        return frames

    def pause(
        self, seconds: float, loop: asyncio.AbstractEventLoop, then: Callable[[], None]
    ) -> None:
        """Call `then` after the pause."""
        self._timer = loop.call_later(max(seconds, MIN_PAUSE_SECONDS), then)

    def queue(self, fair_queue: FairQueue, then: Callable[[], None], size: int = BURST) -> None:
        """Call `then` in a later turn. `size`: bytes that wait."""
        fair_queue.later(then, self._served, size)

    def served(self, fair_queue: FairQueue, cpu_seconds: float) -> None:
        """The client used this much of its turn."""
        self._served = fair_queue.advanced_position(self._served, cpu_seconds)

    def at_rest(self, now: float) -> bool:
        """Nothing waits, and the client owes nothing: a new one would do the same."""
        return self.frames is None and self._bucket.idle(now * 1000)

    def stop(self) -> None:
        """The connection has closed: drop what waits."""
        self.frames = None
        if self._timer is not None:
            self._timer.cancel()
