"""A bounded outgoing buffer for transports that send by awaiting: the writer of streams and of ASGI WebSockets."""

import asyncio
from collections.abc import Callable

import orjson

from eventhub.delivery.encoding import LINES, Encoding, event_id, sse_event, sse_message
from eventhub.errors import EventHubError

CHUNK_BYTES = 64 * 1024
CLOSE_SECONDS = 5.0
"""How long what is left may take to be sent once no more is accepted."""


class Outbox:
    """Bytes from feeds, taken in chunks by one sender. `full` beyond `bound` bytes, until a quarter is left.

    `on_full` and `on_drained` are called from the loop, never from inside `write`.
    """

    __slots__ = (
        "_bound",
        "_chunks",
        "_closed",
        "_due",
        "_expiry",
        "_loop",
        "_on_drained",
        "_on_full",
        "_wake",
        "encoding",
        "error",
        "full",
        "on_fail",
        "on_late",
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
        self.error: EventHubError | None = None
        self._bound = bound
        self._chunks: list[bytes] = []
        self._closed = False
        self._due = False  # a beat is
        self.on_fail: Callable[[], None] = lambda: None
        """Called at once when the connection is ended for an error: nothing more is to be
        subscribed for it.
        """
        self.on_late: Callable[[], None] = lambda: None
        """Called when what was left could not be sent in time."""
        self._expiry: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._on_full = on_full
        self._on_drained = on_drained

    def write(self, data: bytes) -> None:
        """Queue whole messages."""
        if self._closed:
            return
        self._chunks.append(data)
        self.size += len(data)
        self._wake.set()
        if self.size > self._bound and not self.full:
            self.full = True
            self._loop.call_soon(self._on_full)

    def fail(self, error: EventHubError) -> None:
        """No more is accepted; `take` gives what is left, then None, and `error` says why."""
        self.error = self.error or error.detached()
        if not self._closed:
            self.close()
            self.on_fail()

    def abort(self) -> None:
        """Give up what is left."""
        self._late()

    def close(self) -> None:
        """No more is accepted; `take` gives what is left, but not for longer than CLOSE_SECONDS, then None."""
        if not self._closed:
            self._closed = True
            self._wake.set()
            self._expiry = self._loop.call_later(CLOSE_SECONDS, self._late)

    def discard(self) -> None:
        """The connection is gone or too late: give the memory back."""
        self._closed = True
        self._chunks.clear()
        self.size = 0
        self._wake.set()
        if self._expiry is not None:
            self._expiry.cancel()

    def _late(self) -> None:
        self.discard()
        self.on_late()

    def beat(self) -> None:
        """Let `take` give something at once, if only b""."""
        self._due = True
        self._wake.set()

    async def take(self, timeout: float) -> bytes | None:
        """The next messages, joined; b"" when none came in `timeout` seconds; None after the end."""
        if not self._chunks and not self._closed and not self._due:
            self._wake.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
            except TimeoutError:
                return b""
        if self._chunks:
            return self._next()
        self._due = False
        return None if self._closed else b""

    def _next(self) -> bytes:
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


class CursorOutbox(Outbox):
    """For an SSE stream of several channels: every block's id is a cursor of all of them, so it differs between connections."""

    __slots__ = ("_cursor",)

    def __init__(
        self,
        cursor: dict[str, str],
        bound: int,
        on_full: Callable[[], None],
        on_drained: Callable[[], None],
    ) -> None:
        super().__init__(LINES, bound, on_full, on_drained)
        self._cursor = cursor  # where the reader stood: kept for channels that have not begun yet

    def write(self, data: bytes) -> None:
        """Queue lines as blocks."""
        super().write(b"".join(map(self._block, data.splitlines())))

    def _block(self, line: bytes) -> bytes:
        if line.startswith(b'{"type":"event"'):
            self._cursor[line.split(b'"', 8)[7].decode()] = event_id(line)
            return sse_event(line, self._text())
        message = orjson.loads(line)
        if "position" in message:
            self._cursor[message["channel"]] = message["position"]
        return sse_message(message, self._text() or None)

    def _text(self) -> str:
        return ",".join(f"{channel}@{position}" for channel, position in self._cursor.items())
