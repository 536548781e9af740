"""A connection's way out, for HTTP: an answer's head and body are one write, and a connection is closed so that its answer arrives."""

import asyncio
from typing import Any

from eventhub.server.connections.rejected_connection import LINGER_SECONDS


class CoalescingTransport:
    """A transport for HTTP: a response's head waits for what follows in the same turn of the loop, so that both are one write.

    uvicorn writes them apart and uvloop sends each at once, which is a system call and a wake-up of the client too many.

    Closed while a body is `unread` it lingers (RFC 9112, 9.6): bytes that nobody has read would make the kernel reset the connection, and
    the client would not see the answer.
    """

    __slots__ = ("_head", "_lingers", "_loop", "raw", "unread")

    def __init__(self, raw: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.raw = raw
        self.unread = False
        """A request's body is under way."""
        self._loop = loop
        self._head = b""
        self._lingers = False

    def write(self, data: bytes) -> None:
        if self._lingers:
            return  # its end has been sent
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 ") and data.endswith(b"\r\n\r\n"):
            self._head = data
            self._loop.call_soon(self._flush)
            return
        self.raw.write(data)

    def close(self) -> None:
        self._flush()
        if self.unread and not self.is_closing():
            self._lingers = True
            if self.raw.can_write_eof():
                self.raw.write_eof()
            self._loop.call_later(LINGER_SECONDS, self.raw.close)
        elif not self._lingers:
            self.raw.close()

    def is_closing(self) -> bool:
        return self._lingers or self.raw.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            if not self.is_closing():
                self.raw.write(head)
