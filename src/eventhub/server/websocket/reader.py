"""The reading side of a WebSocket connection.

It serves frames within limits, and pauses reading when a limit is reached.

It decides when frames are served. `protocol.py` decides what a frame does.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from time import thread_time
from typing import Protocol

from eventhub.server.connections.connection import SessionConnection
from eventhub.server.connections.fair_queue import BURST, SLICE_SECONDS
from eventhub.server.connections.limit_errors import no_first_message, too_large, too_slow
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.websocket.frame_parser import FrameParser, MessageTooLong, ProtocolViolation
from eventhub.server.websocket.message_timer import MessageTimer
from eventhub.server.websocket.read_throttle import Frames, ReadThrottle


class FrameReceiver(SessionConnection, Protocol):
    """The connection whose frames are read."""

    full: bool
    """The outgoing buffer is full."""

    @property
    def accepts_commands(self) -> bool:
        """There is room for the answers to more commands."""
        ...

    def receive(self, opcode: int, payload: bytes) -> None:
        """Serve one frame."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Send a close frame."""
        ...

    def stop_parsing(self) -> None:
        """The rest of the client's bytes cannot be parsed."""
        ...


class FrameReader:
    """The frames of one connection, from `start` to `stop`. Before and after, bytes are dropped.

    Most connections are silent most of the time. So what holds the state of a message under way, or
    of a limit, is made when it is needed and dropped when it says nothing any more.
    """

    __slots__ = (
        "_connection", "_deflate", "_loop", "_manager", "_parser", "_started", "_throttle",
        "_timer", "_transport", "_waiting_bytes", "heard",
    )  # fmt: skip

    def __init__(
        self,
        manager: ConnectionManager,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        connection: FrameReceiver,
    ) -> None:
        self._manager = manager
        self._transport = transport
        self._loop = loop
        self._connection = connection
        self._started = self._deflate = False
        self._parser: FrameParser | None = None  # while a message or frames are under way
        self._throttle: ReadThrottle | None = None  # while the client's limit is not at rest
        self._timer: MessageTimer | None = None  # while a message is due
        self._waiting_bytes = 0  # of the frames that were read and not served, if not compressed
        self.heard = False
        """True if bytes came since the last heartbeat, or if the socket was not read, so that
        silence proves nothing.
        """

    def start(self, *, deflate: bool = False) -> None:
        """Parse bytes from now on."""
        self._started, self._deflate = True, deflate

    def stop(self) -> None:
        """Drop bytes from now on."""
        self._started, self._parser = False, None

    def discard(self) -> None:
        """The connection has closed."""
        self.stop()
        if self._throttle is not None:
            self._throttle.stop()
        if self._timer is not None:
            self._timer.stop()
        del self._connection  # break the reference cycle, so that both are freed at once

    # Input

    def feed(self, data: bytes) -> None:
        """Serve bytes from the client, now or in a later turn."""
        self.heard = True
        if not self._started:
            return
        if (parser := self._parser) is None:
            limit = self._manager.session_limits.message_bytes
            parser = self._parser = FrameParser(limit, deflate=self._deflate)
        frames = parser.feed(data)
        if self._throttle is not None and self._throttle.frames is not None:
            self._waiting_bytes += len(data)
            self._throttle.hold(frames)
            return
        self._waiting_bytes = len(data)
        if self._manager.fair_queue.over:
            self._wait_for_turn(frames)
        else:
            self._serve(parser, frames)

    def expect_first_message(self) -> None:
        """End the connection unless a message comes within `limits.first_frame_seconds`."""
        seconds = self._manager.settings.limits.first_frame_seconds
        late = self._contained("deadline", self._first_message_is_late)
        self._timer = self._new_timer()
        self._timer.expect_first(seconds, late)

    def message_received(self) -> None:
        """A message is complete. The next one, which may have begun, has its own time."""
        if self._timer is not None:
            self._timer.message_received()
            self._timer = None

    def forgive(self, payload: bytes) -> None:
        """Do not charge for the frame with this payload, which is being served."""
        assert self._parser is not None  # it parsed the frame
        self._parser.frames -= 1
        self._parser.size -= len(payload)

    def rest(self) -> None:
        """Keep no state of a limit that a silent client has left behind."""
        if self._throttle is not None and self._throttle.at_rest(self._loop.time()):
            self._throttle = None

    @property
    def paused(self) -> bool:
        """The socket is not to be read: frames wait, or there is no room for answers."""
        return self._holds or not self._connection.accepts_commands

    def pause_or_resume(self) -> None:
        """Stop or go on reading the socket, as `paused` says."""
        if self._transport.is_closing():
            return
        if self.paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # Private: frames

    @property
    def _holds(self) -> bool:
        """Frames wait."""
        return self._throttle is not None and self._throttle.frames is not None

    def _charge(self, parser: FrameParser, cpu_seconds: float) -> float:
        if not parser.frames:
            return 0.0
        return self._own_throttle().charge(parser, cpu_seconds, self._loop.time())

    def _own_throttle(self) -> ReadThrottle:
        if self._throttle is None:
            self._throttle = ReadThrottle(self._manager.command_bucket())
        return self._throttle

    def _serve(self, parser: FrameParser, frames: Frames) -> None:
        """Serve frames until the client has used its share of this turn, or is over its limit."""
        receive = self._connection.receive
        begin = now = thread_time()
        try:
            for opcode, payload in frames:
                receive(opcode, payload)
                self._waiting_bytes -= len(payload)
                if self._parser is None:
                    return
                before, now = now, thread_time()
                if wait := self._charge(parser, now - before):
                    self._pause(frames, wait)
                    return
                if now - begin >= SLICE_SECONDS:
                    self._own_throttle().served(self._manager.fair_queue, now - begin)
                    self._wait_for_turn(frames)
                    return
            if wait := self._charge(parser, 0):
                self._pause(frames, wait)  # fragments of a message that is not complete
            else:
                self._track_message(parser.pending)
        except ProtocolViolation as violation:
            self._connection.close(violation.code, violation.reason)
            self._connection.stop_parsing()
        except MessageTooLong:
            limit = self._manager.session_limits.message_bytes
            self._connection.fail(too_large("the message is larger", "event_bytes", limit))
            self._connection.stop_parsing()
        finally:
            self._manager.fair_queue.spend(now - begin)

    def _pause(self, frames: Frames, seconds: float) -> None:
        """The client is over `limits.commands`."""
        throttle = self._own_throttle()
        throttle.hold(frames)
        throttle.pause(seconds, self._loop, self._contained("pace", self._pause_is_over))
        self._manager.hub.delayed("commands")
        self.pause_or_resume()

    def _pause_is_over(self) -> None:
        if self._manager.fair_queue.over:
            self._queue_for_turn(BURST)
        else:
            self._go_on()

    def _wait_for_turn(self, frames: Frames) -> None:
        self._own_throttle().hold(frames)
        # compressed messages are longer than what was read: their rest counts as a burst
        self._queue_for_turn(self._waiting_bytes if self._waiting_bytes > 0 else BURST)
        self.pause_or_resume()

    def _queue_for_turn(self, size: int) -> None:
        go_on = self._contained("pace", self._go_on)
        self._own_throttle().queue(self._manager.fair_queue, go_on, size)

    def _go_on(self) -> None:
        """Serve the frames that waited, then read the socket again."""
        frames = self._own_throttle().release()
        if self._parser is None or frames is None:
            return
        self.heard = True  # the client may have sent more, which was not read
        self._serve(self._parser, frames)
        if not self._holds:
            self.pause_or_resume()

    # Private: deadlines

    def _track_message(self, pending: int | None) -> None:
        """Start the timer of an incomplete message, or stop it when the message is complete.

        `pending`: bytes of the incomplete message. Without one, the parser has no state to keep.
        """
        if pending is None:
            self._parser = None
            if self._timer is not None and self._timer.complete():
                self._timer = None
            return
        if self._timer is None:
            self._timer = self._new_timer()
        check = self._contained("deadline", self._check_message)
        self._timer.begin(self._loop.time(), check)

    def _new_timer(self) -> MessageTimer:
        return MessageTimer(self._manager.deadlines, self._manager.settings.limits.body_seconds)

    def _check_message(self) -> None:
        """A message that has begun may be late."""
        assert self._timer is not None  # whose deadline it is
        late = self._timer.expired(
            self._parser.pending if self._parser is not None else None,
            self._loop.time(),
            self._contained("deadline", self._check_message),
            throttled=self._holds or self._connection.full,
        )
        if late:
            seconds = self._manager.settings.limits.body_seconds
            self._connection.fail(too_slow("the message", seconds))

    def _first_message_is_late(self) -> None:
        assert self._timer is not None  # whose deadline it is
        self._timer.first_received()
        self._connection.fail(no_first_message(self._manager.settings.limits.first_frame_seconds))

    def _contained(self, where: str, act: Callable[[], None]) -> Callable[[], None]:
        """A callback for later: a fault in it ends this connection only."""
        return partial(self._manager.contained, self._connection, where, act)
