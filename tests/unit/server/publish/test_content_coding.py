"""server/publish/content_coding.py: compressed bodies, in pieces, and their bounds."""

import asyncio
import gzip
import json
import random
import sys
import zlib
from collections.abc import Callable

import pytest
from starlette.types import Message

from eventhub.errors import InvalidRequest, PayloadTooLarge, UnsupportedMediaType
from eventhub.server.connections.fair_queue import FairQueue
from eventhub.server.publish.content_coding import (
    CODINGS,
    FREE_BYTES,
    FREE_PARTS,
    MOST_RATIO,
    PART_BYTES,
    PIECE_BYTES,
    Unpacker,
    coding_of,
    unpacked,
)
from tests.harness.loop import in_loop

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Pack = Callable[[bytes], bytes]


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKERS: dict[str, tuple[str, Pack]] = {
    "gzip": ("gzip", gzip.compress),
    "gzip by its old name": ("x-gzip", gzip.compress),
    "deflate with the header of zlib": ("deflate", zlib.compress),
    "deflate without it": ("deflate", raw_deflate),
    "zstd": ("zstd", zstd.compress),
}
EVENTS = json.dumps([{"message": f"é{number}"} for number in range(20_000)]).encode()
each_packer = pytest.mark.parametrize(("coding", "pack"), PACKERS.values(), ids=PACKERS)


def unpack(coding: str, body: bytes, size: int = 1 << 20) -> bytes:
    """The whole body, which arrives in chunks of this size."""
    unpacker, found = Unpacker(coding), b""
    for begin in range(0, len(body), size):
        unpacker.feed(body[begin : begin + size])
        while not unpacker.is_hungry:
            piece = unpacker.unpack()
            assert len(piece) <= PIECE_BYTES
            found += piece
    unpacker.end()
    return found


@each_packer
@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
def test_a_body_is_unpacked_however_it_is_cut(coding: str, pack: Pack, size: int) -> None:
    data = EVENTS if size > 7 else EVENTS[:3000]
    assert unpack(coding, pack(data), size) == data


@each_packer
def test_a_body_may_have_several_members(coding: str, pack: Pack) -> None:
    parts = [b"[1,", b"", b"2", b"]"]
    assert unpack(coding, b"".join(map(pack, parts))) == b"[1,2]"


@each_packer
def test_a_body_without_bytes_stays_empty(coding: str, pack: Pack) -> None:
    assert unpack(coding, b"") == unpack(coding, pack(b"")) == b""


@each_packer
def test_a_body_that_ends_too_early_is_refused(coding: str, pack: Pack) -> None:
    body = pack(random.Random(1).randbytes(1000))
    for length in (1, 5, 500, len(body) - 1):
        with pytest.raises(InvalidRequest, match=f"ends within its {coding} data, after {length}"):
            unpack(coding, body[:length])


@pytest.mark.parametrize("coding", CODINGS)
def test_another_body_than_its_coding_says_is_refused(coding: str) -> None:
    with pytest.raises(InvalidRequest, match=f"the body is no valid {coding}, which its Content-"):
        unpack(coding, b'{"message":"not compressed"}' * 10)


@each_packer
def test_bytes_behind_the_end_are_refused(coding: str, pack: Pack) -> None:
    with pytest.raises(InvalidRequest):
        unpack(coding, pack(EVENTS) + b"garbage")


def test_a_checksum_that_differs_is_refused() -> None:
    body = bytearray(gzip.compress(EVENTS))
    body[-6] ^= 1
    with pytest.raises(InvalidRequest, match="no valid gzip"):
        unpack("gzip", bytes(body))


@each_packer
def test_a_body_that_unpacks_to_far_more_is_refused_before_it_is_unpacked(
    coding: str, pack: Pack
) -> None:
    body, unpacker, found = pack(bytes(4_000_000)), Unpacker(coding), 0
    unpacker.feed(body)
    with pytest.raises(PayloadTooLarge, match=rf"expected at most {MOST_RATIO} times as many"):  # noqa: PT012  # what came before counts
        while not unpacker.is_hungry:
            found += len(unpacker.unpack())
    assert FREE_BYTES <= found <= FREE_BYTES + MOST_RATIO * len(body)


@each_packer
def test_a_small_body_may_have_any_ratio(coding: str, pack: Pack) -> None:
    data = b" " * FREE_BYTES
    assert unpack(coding, pack(data)) == data


@each_packer
def test_members_are_bounded(coding: str, pack: Pack) -> None:
    unpack(coding, pack(b"") * FREE_PARTS)
    body = pack(b"") * (FREE_PARTS + 1 + len(pack(b"")) * FREE_PARTS // PART_BYTES + 1)
    with pytest.raises(PayloadTooLarge, match=f"has more than 1.. {coding} members"):
        unpack(coding, body)


def test_zstd_with_a_larger_window_than_the_standard_allows_is_refused() -> None:
    wide = {int(zstd.CompressionParameter.window_log): 24}
    packer = zstd.ZstdCompressor(options=wide)
    with pytest.raises(InvalidRequest, match="no valid zstd"):
        unpack("zstd", packer.compress(EVENTS) + packer.flush())


@pytest.mark.parametrize(
    ("value", "coding"),
    [
        (b"", None), (b"identity", None), (b"Identity, identity", None), (b"GZIP", "gzip"),
        (b" zstd ", "zstd"), (b"identity, deflate", "deflate"),
    ],
)  # fmt: skip
def test_codings_by_their_names(value: bytes, coding: str | None) -> None:
    assert coding_of({b"content-encoding": value}) == coding
    assert coding_of({}) is None


@pytest.mark.parametrize(
    ("value", "said"), [(b"br", "br"), (b"gzip, gzip", "gzip, gzip"), (b"\xff;q=1", "ÿ;q=1")]
)
def test_other_codings_are_refused_with_those_that_are_accepted(value: bytes, said: str) -> None:
    with pytest.raises(UnsupportedMediaType) as refused:
        coding_of({b"content-encoding": value})
    assert refused.value.message == (
        f"the body's Content-Encoding is {said}; expected one of gzip, deflate, zstd, or none"
    )
    assert refused.value.headers == {"accept-encoding": "gzip, deflate, zstd"}


async def received(
    chunks: list[bytes], *, leaves: bool = False, found: list[Message] | None = None
) -> list[Message]:
    """What an application receives of a gzip body in these chunks."""

    async def receive() -> Message:
        if not chunks:
            return {"type": "http.disconnect"}
        body = chunks.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(chunks) or leaves}

    queue = FairQueue(asyncio.get_running_loop())
    unpacking = unpacked({b"content-encoding": b"gzip"}, receive, queue)
    found = [] if found is None else found
    while not found or found[-1].get("more_body"):
        found.append(await unpacking())
    return found


@in_loop
async def test_an_application_receives_pieces_and_the_end() -> None:
    body = gzip.compress(EVENTS)
    found = await received([body[:100], b"", body[100:], b""])
    assert len(found) > 10
    assert b"".join(message["body"] for message in found) == EVENTS
    assert all(len(message["body"]) <= PIECE_BYTES for message in found)
    assert [message["more_body"] for message in found] == [True] * (len(found) - 1) + [False]


@in_loop
async def test_a_small_body_is_one_piece() -> None:
    assert await received([gzip.compress(b"[1]")]) == [
        {"type": "http.request", "body": b"[1]", "more_body": False}
    ]


@in_loop
async def test_an_application_receives_all_before_it_is_told_that_a_body_ends_too_early() -> None:
    found: list[Message] = []
    with pytest.raises(InvalidRequest, match="ends within"):
        await received([gzip.compress(b"[1]")[:-1]], found=found)
    assert found == [{"type": "http.request", "body": b"[1]", "more_body": True}]


@in_loop
async def test_an_application_sees_a_client_leave() -> None:
    body = gzip.compress(EVENTS)
    assert (await received([body[:100]], leaves=True))[-1] == {"type": "http.disconnect"}


@in_loop
async def test_others_have_their_turn_while_a_large_body_is_unpacked() -> None:
    ticks, done = 0, False

    async def tick() -> None:
        nonlocal ticks
        while not done:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    data = random.Random(1).randbytes(100_000) * 60
    await received([gzip.compress(data, compresslevel=1)])
    done = True
    await ticking
    assert ticks > 10


def test_a_body_without_a_coding_is_received_as_it_is() -> None:
    async def receive() -> Message:
        raise AssertionError

    assert unpacked({}, receive, None) is receive  # type: ignore[arg-type]
