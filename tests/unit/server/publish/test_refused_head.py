"""server/publish/refused_head.py: what has arrived of a body when its head is refused."""

import asyncio
import gzip
import zlib
from collections.abc import Callable

import pytest
from starlette.types import Message

from eventhub.server.publish.refused_head import arrived

BODY = b'{"value":4}'
GZIP = {b"content-encoding": b"gzip"}


def taken(body: bytes, headers: dict[bytes, bytes], *, more: bool = False) -> tuple[bytes, bool]:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": more}

    return arrived(headers, receive)


@pytest.mark.parametrize("more", [False, True])
def test_what_has_arrived_is_taken_and_it_may_be_a_part(*, more: bool) -> None:
    assert taken(BODY, {}, more=more) == (BODY, more)


@pytest.mark.parametrize(
    ("coding", "packing"), [(b"gzip", gzip.compress), (b"deflate", zlib.compress)]
)
def test_a_compressed_body_is_unpacked(coding: bytes, packing: Callable[[bytes], bytes]) -> None:
    packed, headers = packing(BODY), {b"content-encoding": coding}
    assert taken(packed, headers) == (BODY, False)
    assert taken(packed, headers, more=True) == (BODY, True)
    assert taken(packed[:-2], headers) == (BODY, True)
    assert taken(packed + packed, headers) == (BODY, True)


def test_of_a_body_that_is_much_when_it_is_unpacked_the_beginning_is_taken() -> None:
    found, cut = taken(gzip.compress(b" " * 1_000_000), GZIP)
    assert (found, cut) == (b" " * 65_536, True)


@pytest.mark.parametrize("headers", [GZIP, {b"content-encoding": b"br"}])
def test_what_cannot_be_unpacked_is_not_taken(headers: dict[bytes, bytes]) -> None:
    assert taken(BODY, headers) == (b"", True)


def test_nothing_is_waited_for() -> None:
    async def receive() -> Message:
        await asyncio.get_running_loop().create_future()
        raise AssertionError("not reached")

    async def scenario() -> tuple[bytes, bool]:
        return arrived({}, receive)

    assert asyncio.run(scenario()) == (b"", True)
    assert taken(BODY, {b"expect": b"100-continue"}) == (b"", True)
