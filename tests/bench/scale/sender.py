"""Publishes an exact number of requests over one connection, to see what memory they leave."""

import socket
from collections.abc import Sequence
from typing import BinaryIO

PIPELINE = 16
"""A server lets so many requests wait on one connection."""


def send(port: int, paths: Sequence[str], body: bytes) -> None:
    """POST the body to each path. Raises AssertionError if one is refused."""
    with (
        socket.create_connection(("127.0.0.1", port)) as connection,
        connection.makefile("rb") as answers,
    ):
        for begin in range(0, len(paths), PIPELINE):
            group = paths[begin : begin + PIPELINE]
            connection.sendall(b"".join(_request(path, body) for path in group))
            for path in group:
                status = _answer(answers)
                assert status in (b"200", b"201"), f"{path} was answered {status.decode()}"


def _request(path: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _answer(answers: BinaryIO) -> bytes:
    """Read one answer; its status."""
    status, length = answers.readline().split()[1], 0
    while (line := answers.readline()) != b"\r\n":
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    answers.read(length)
    return status
