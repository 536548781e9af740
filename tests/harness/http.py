"""HTTP/1.1 as bytes on a connection: what libraries would tidy up."""

import socket
from collections.abc import Iterable
from http.client import HTTPResponse
from io import BytesIO
from typing import Any, cast

from tests.harness.clients import raw

END = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
"""A last request: the server closes behind its answer, so that nothing has to wait for a time."""


class _Got(BytesIO):
    """What was received, for a parser that closes what it reads."""

    def makefile(self, mode: str) -> "_Got":
        return self

    def close(self) -> None:
        """Read on."""


class Answer:
    """One response."""

    def __init__(self, got: _Got) -> None:
        response = HTTPResponse(cast(socket.socket, got))
        response.begin()
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    def __repr__(self) -> str:
        return f"{self.status} {self.headers} {self.body!r}"


def answers(got: bytes) -> list[Answer]:
    """All responses of a connection, which must be whole."""
    rest, found = _Got(got), []
    while rest.tell() < len(got):
        found.append(Answer(rest))
    return found


def everything(sock: socket.socket) -> bytes:
    """All that comes to the connection's end, which must be no reset."""
    got = b""
    while part := sock.recv(65536):
        got += part
    return got


def said(port: int, *parts: bytes, half_close: bool = False, **options: Any) -> bytes:
    """All that the server says to these parts, each in a packet of its own, until it closes."""
    with raw(port, **options) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            sock.sendall(part)
        if half_close:
            sock.shutdown(socket.SHUT_WR)
        return everything(sock)


def asked(port: int, *parts: bytes, half_close: bool = False, **options: Any) -> list[Answer]:
    """As `said`, understood."""
    return answers(said(port, *parts, half_close=half_close, **options))


def head(method: str, path: str, *fields: str, version: str = "1.1") -> bytes:
    """A request's head."""
    return "\r\n".join(
        (f"{method} {path} HTTP/{version}", "Host: localhost", *fields, "", "")
    ).encode("latin-1")


def post(path: str, body: bytes, *fields: str, version: str = "1.1") -> bytes:
    """A request with a body of known length."""
    return head("POST", path, f"Content-Length: {len(body)}", *fields, version=version) + body


def chunked(path: str, chunks: Iterable[bytes], *fields: str, trailer: bytes = b"") -> bytes:
    """A request whose body comes in chunks."""
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return (
        head("POST", path, "Transfer-Encoding: chunked", *fields)
        + body
        + b"0\r\n"
        + trailer
        + b"\r\n"
    )
