"""A bounded buffer of outgoing messages, for transports whose `send` is awaited.

Streams and ASGI WebSockets write into it; one sender takes from it.
"""

import asyncio
from collections.abc import Callable

import orjson

from eventhub.delivery.cursor_encoding import CursorForm
from eventhub.delivery.encoding import LINES, SIGNAL, Encoding, event_id
from eventhub.delivery.signals import SIGNAL_SHARE
from eventhub.errors import EventHubError

CHUNK_BYTES = 64 * 1024
"""`take` returns at most this many bytes, and the rest of the last message."""
CLOSE_SECONDS = 5.0
"""After `close`, the sender has this long for the rest of the buffer."""


class Outbox:
    """A writer for feeds. Above `bound` bytes it is `full`, until a quarter of them is left.

    `on_full` and `on_drained` are called by the event loop, never from inside `write`.
    """

    __slots__ = (
        "_bound",
        "_chunks",
        "_close_timer",
        "_closed",
        "_loop",
        "_on_drained",
        "_on_full",
        "_wake",
        "_wake_due",
        "encoding",
        "error",
        "full",
        "on_fail",
        "on_timeout",
        "size",
    )

    def __init__(
        self,
        encoding: Encoding,
        bound: int,
        on_full: Callable[[], None],
        on_drained: Callable[[], None],
    ) -> None:
        self.encoding = encoding
        self.full = False
        self.size = 0
        """Bytes in the buffer."""
        self.error: EventHubError | None = None
        self.on_fail: Callable[[], None] = lambda: None
        """Called by the first `fail`. The connection then makes no more subscriptions."""
        self.on_timeout: Callable[[], None] = lambda: None
        """Called when the buffer could not be sent within CLOSE_SECONDS, or by `abort`."""
        self._bound = bound
        self._chunks: list[bytes] = []
        self._closed = False
        self._close_timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._wake_due = False
        self._on_full = on_full
        self._on_drained = on_drained

    def write(self, data: bytes) -> None:
        """Queue whole messages. They are dropped after `close`."""
        if self._closed:
            return
        self._chunks.append(data)
        self.size += len(data)
        self._wake.set()
        if self.size > self._bound and not self.full:
            self.full = True
            self._loop.call_soon(self._on_full)

    def takes_signal(self, size: int) -> bool:
        """Whether a signal of this size leaves enough room for events."""
        return self.size + size <= self._bound // SIGNAL_SHARE

    def fail(self, error: EventHubError) -> None:
        """Close for this error. `error` keeps only the first one."""
        self.error = self.error or error.without_traceback()
        if not self._closed:
            self.close()
            self.on_fail()

    def close(self) -> None:
        """Accept no more. `take` returns the rest for CLOSE_SECONDS at most, then None."""
        if not self._closed:
            self._closed = True
            self._wake.set()
            self._close_timer = self._loop.call_later(CLOSE_SECONDS, self._time_out)

    def abort(self) -> None:
        """Drop the rest and cut the connection off."""
        self._time_out()

    def discard(self) -> None:
        """Drop the rest, because no sender takes it any more."""
        self._closed = True
        self._chunks.clear()
        self.size = 0
        self._wake.set()
        if self._close_timer is not None:
            self._close_timer.cancel()

    def renew_cursor(self) -> None:
        """Called once in each heartbeat: give the client a new cursor if its own will expire."""

    def wake_sender(self) -> None:
        """Make `take` return at once, even if it returns b""."""
        self._wake_due = True
        self._wake.set()

    async def take(self, timeout: float) -> bytes | None:
        """The next messages, joined; b"" if none came in `timeout` seconds; None at the end."""
        if not self._chunks and not self._closed and not self._wake_due:
            self._wake.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
            except TimeoutError:
                return b""
        if self._chunks:
            return self._take_chunks()
        self._wake_due = False
        return None if self._closed else b""

    def _take_chunks(self) -> bytes:
        taken, size = 0, 0
        while taken < len(self._chunks) and size < CHUNK_BYTES:
            size += len(self._chunks[taken])
            taken += 1
        data = b"".join(self._chunks[:taken])
        del self._chunks[:taken]
        self.size -= size
        if self.full and self.size <= self._bound // 4:
            self.full = False
            self._loop.call_soon(self._on_drained)
        return data

    def _time_out(self) -> None:
        self.discard()
        self.on_timeout()


class CursorOutbox(Outbox):
    """For an SSE stream of several channels.

    The id of each of its events is a cursor: the reader's position in every channel. It differs
    between connections, so it is added here.
    """

    __slots__ = ("_cursor", "_form")

    def __init__(
        self,
        form: CursorForm,
        cursor: dict[str, str],
        bound: int,
        on_full: Callable[[], None],
        on_drained: Callable[[], None],
    ) -> None:
        super().__init__(LINES, bound, on_full, on_drained)
        self._form = form
        self._cursor = cursor  # with the reader's old positions in channels that have not begun

    def write(self, data: bytes) -> None:
        """Queue JSON lines as Server-Sent Events."""
        super().write(b"".join(map(self._server_sent_event, data.splitlines())))

    def _server_sent_event(self, line: bytes) -> bytes:
        if line.startswith(b'{"type":"event"'):
            self._cursor[line.split(b'"', 8)[7].decode()] = event_id(line)
            return self._form.event(line, self._encoded_cursor())
        if line.startswith(SIGNAL):
            return self._form.signal(line)
        message = orjson.loads(line)
        if "position" in message:
            self._cursor[message["channel"]] = message["position"]
        return self._form.message(message, self._encoded_cursor() or None)

    def _encoded_cursor(self) -> str:
        return ",".join(f"{channel}@{position}" for channel, position in self._cursor.items())
