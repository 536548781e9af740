"""The transport that HTTP responses are written to: one write for head and body, safe close."""

import asyncio
from typing import Any

from eventhub.server.connections.rejected_connection import LINGER_SECONDS


class ResponseTransport:
    """Holds a response's head until its body follows in the same turn of the event loop.

    uvloop sends each write at once: two would cost a system call and a wake-up of the client more.

    If it is closed while a request's body is `unread`, it ends our half and waits for a moment
    (RFC 9112, 9.6). Otherwise the kernel would reset the connection because of the unread bytes,
    and the client would not see the answer.
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
