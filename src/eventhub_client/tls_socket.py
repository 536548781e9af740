"""A TLS connection that one thread reads while another writes.

OpenSSL allows one call at a time on a connection. A write that comes while another thread reads a
session ticket is lost: the request of a WebSocket never leaves, and the server answers 408.
"""

import selectors
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar, cast

from websockets.sync.client import ClientConnection

A = TypeVar("A")
T = TypeVar("T")
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
Selector: type[selectors.BaseSelector] = getattr(
    selectors, "PollSelector", selectors.SelectSelector
)
"""Unlike epoll, poll ends when another thread shuts the socket down and closes it."""


class TlsSocket:
    """What `websockets` asks of a socket. No call blocks while it holds the lock."""

    def __init__(self, tls: ssl.SSLSocket) -> None:
        self._tls = tls
        self._timeout = tls.gettimeout()
        self._lock = threading.Lock()
        tls.setblocking(False)  # noqa: FBT003  # the standard library's

    def recv(self, size: int) -> bytes:
        return self._alone(self._tls.recv, size)

    def sendall(self, data: bytes) -> None:
        sent = 0
        while sent < len(data):
            sent += self._alone(self._tls.send, data[sent:])

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = seconds

    def shutdown(self, how: int) -> None:
        """Of the TCP connection: what has arrived can still be decrypted."""
        with self._lock:
            socket.socket.shutdown(self._tls, how)

    def close(self) -> None:
        with self._lock:
            with suppress(OSError):  # closed before, or the peer has gone
                socket.socket.shutdown(self._tls, socket.SHUT_RDWR)  # wakes a thread that waits
            self._tls.close()

    def fileno(self) -> int:
        return self._tls.fileno()

    def getsockname(self) -> Any:
        return self._tls.getsockname()

    def getpeername(self) -> Any:
        return self._tls.getpeername()

    def _alone(self, call: Callable[[A], T], argument: A) -> T:
        while True:
            with self._lock:
                try:
                    return call(argument)
                except ssl.SSLWantReadError:
                    needed = READ
                except ssl.SSLWantWriteError:
                    needed = WRITE
            self._wait(needed)

    def _wait(self, needed: int) -> None:
        with Selector() as selector:
            selector.register(self._tls, needed)
            if not selector.select(self._timeout):
                raise TimeoutError("timed out")


class SafeConnection(ClientConnection):
    """A WebSocket, also over TLS."""

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        if isinstance(sock, ssl.SSLSocket):
            sock = cast(socket.socket, TlsSocket(sock))
        super().__init__(sock, *arguments, **options)
