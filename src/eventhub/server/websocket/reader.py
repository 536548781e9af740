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
    """The frames of one connection, from `start` to `stop`. Before and after, bytes are dropped."""

    __slots__ = (
        "_connection", "_loop", "_manager", "_parser", "_throttle", "_transport",
        "_waiting_bytes", "heard", "message_timer",
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
        self._parser: FrameParser | None = None
        self._throttle = ReadThrottle(manager.command_bucket())
        self._waiting_bytes = 0  # of the frames that were read and not served, if not compressed
        self.message_timer = MessageTimer(manager.deadlines, manager.settings.limits.body_seconds)
        self.heard = False
        """True if bytes came since the last heartbeat, or if the socket was not read, so that
        silence proves nothing.
        """

    def start(self, *, deflate: bool = False) -> None:
        """Parse bytes from now on."""
        self._parser = FrameParser(self._manager.session_limits.message_bytes, deflate=deflate)

    def stop(self) -> None:
        """Drop bytes from now on."""
        self._parser = None

    def discard(self) -> None:
        """The connection has closed."""
        self._parser = None
        self._throttle.stop()
        self.message_timer.stop()
        del self._connection  # break the reference cycle, so that both are freed at once

    # Input

    def feed(self, data: bytes) -> None:
        """Serve bytes from the client, now or in a later turn."""
        self.heard = True
        if self._parser is None:
            return
        frames = self._parser.feed(data)
        if self._throttle.frames is not None:
            self._waiting_bytes += len(data)
            self._throttle.hold(frames)
            return
        self._waiting_bytes = len(data)
        if self._manager.fair_queue.over:
            self._wait_for_turn(frames)
        else:
            self._serve(self._parser, frames)

    def expect_first_message(self) -> None:
        """End the connection unless a message comes within `limits.first_frame_seconds`."""
        seconds = self._manager.settings.limits.first_frame_seconds
        self.message_timer.expect_first(
            seconds, self._contained("deadline", self._first_message_is_late)
        )

    @property
    def paused(self) -> bool:
        """The socket is not to be read: frames wait, or there is no room for answers."""
        return self._throttle.frames is not None or not self._connection.accepts_commands

    def pause_or_resume(self) -> None:
        """Stop or go on reading the socket, as `paused` says."""
        if self._transport.is_closing():
            return
        if self.paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # Private: frames

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
                if wait := self._throttle.charge(parser, now - before, self._loop.time()):
                    self._pause(frames, wait)
                    return
                if now - begin >= SLICE_SECONDS:
                    self._throttle.served(self._manager.fair_queue, now - begin)
                    self._wait_for_turn(frames)
                    return
            if parser.frames and (wait := self._throttle.charge(parser, 0, self._loop.time())):
                self._pause(frames, wait)  # fragments of a message that is not complete
            elif (parser.pending is not None) != bool(self.message_timer.started):
                self._track_message(parser)
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
        self._throttle.hold(frames)
        self._throttle.pause(seconds, self._loop, self._contained("pace", self._pause_is_over))
        self._manager.hub.delayed("commands")
        self.pause_or_resume()

    def _pause_is_over(self) -> None:
        if self._manager.fair_queue.over:
            self._queue_for_turn(BURST)
        else:
            self._go_on()

    def _wait_for_turn(self, frames: Frames) -> None:
        self._throttle.hold(frames)
        # compressed messages are longer than what was read: their rest counts as a burst
        self._queue_for_turn(self._waiting_bytes if self._waiting_bytes > 0 else BURST)
        self.pause_or_resume()

    def _queue_for_turn(self, size: int) -> None:
        self._throttle.queue(self._manager.fair_queue, self._contained("pace", self._go_on), size)

    def _go_on(self) -> None:
        """Serve the frames that waited, then read the socket again."""
        frames = self._throttle.release()
        if self._parser is None or frames is None:
            return
        self.heard = True  # the client may have sent more, which was not read
        self._serve(self._parser, frames)
        if self._throttle.frames is None:
            self.pause_or_resume()

    # Private: deadlines

    def _track_message(self, parser: FrameParser) -> None:
        """Start the timer of an incomplete message, or stop it when the message is complete."""
        check = self._contained("deadline", self._check_message)
        self.message_timer.track(parser.pending, self._loop.time(), check)

    def _check_message(self) -> None:
        """A message that has begun may be late."""
        late = self.message_timer.expired(
            self._parser.pending if self._parser is not None else None,
            self._loop.time(),
            self._contained("deadline", self._check_message),
            throttled=self._throttle.frames is not None or self._connection.full,
        )
        if late:
            seconds = self._manager.settings.limits.body_seconds
            self._connection.fail(too_slow("the message", seconds))

    def _first_message_is_late(self) -> None:
        self.message_timer.first_received()
        self._connection.fail(no_first_message(self._manager.settings.limits.first_frame_seconds))

    def _contained(self, where: str, act: Callable[[], None]) -> Callable[[], None]:
        """A callback for later: a fault in it ends this connection only."""
        return partial(self._manager.contained, self._connection, where, act)
