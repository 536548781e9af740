"""server/publish/body.py: a body is read whole, or refused for its size or its time."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.types import Message

from eventhub.errors import PayloadTooLarge, RequestTimeout
from eventhub.server.publish.body import read_body

LIMIT = 10


class Registry:
    """Notes how many requests are counted among the connections."""

    def __init__(self) -> None:
        self.now = self.most = 0

    @contextmanager
    def counted(self, principal: object) -> Iterator[None]:
        self.now += 1
        self.most = max(self.most, self.now)
        yield
        self.now -= 1


def chunk(body: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def read(
    *messages: Message, registry: Registry | None = None, length: bytes | None = None
) -> bytes:
    """The body that these messages make; nothing more arrives after them."""
    headers = {} if length is None else {b"content-length": length}
    limits = SimpleNamespace(body_bytes=LIMIT, body_seconds=0.01)
    request: Any = SimpleNamespace(limits=limits, headers=headers, principal=None)
    waiting = list(messages)

    async def receive() -> Message:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    manager: Any = SimpleNamespace(registry=registry or Registry(), fair_queue=None)
    return asyncio.run(read_body(manager, request, receive))


def test_chunks_are_joined_and_counted_while_more_are_to_come() -> None:
    registry = Registry()
    assert read(chunk(b"12", more=True), chunk(b"3", more=False), registry=registry) == b"123"
    assert (registry.most, registry.now) == (1, 0)


def test_a_body_in_one_chunk_is_not_counted() -> None:
    registry = Registry()
    assert read(chunk(b"123", more=False), registry=registry) == b"123"
    assert registry.most == 0


def test_the_limit_is_checked_before_the_body_arrives_and_while_it_does() -> None:
    with pytest.raises(PayloadTooLarge, match="has 11 bytes"):
        read(length=b"11")
    with pytest.raises(PayloadTooLarge, match="has 12 bytes or more"):
        read(chunk(b"123456", more=True), chunk(b"123456", more=True))


def test_a_body_that_does_not_arrive_in_time_is_refused() -> None:
    with pytest.raises(RequestTimeout) as caught:
        read(chunk(b"1", more=True))
    assert caught.value.limit == "body_seconds"


def test_a_client_that_leaves_ends_the_request() -> None:
    with pytest.raises(ConnectionResetError):
        read(chunk(b"1", more=True), {"type": "http.disconnect"})
