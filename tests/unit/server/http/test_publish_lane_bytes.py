"""server/http/publish_lane.py: requests whose bytes are known, which are not parsed."""

import asyncio

import pytest

from eventhub.server.http.reader import RequestReader
from tests.harness.loop import in_loop
from tests.unit.server.http.lane_node import CONFIG, EVENT, post, primed, running


@pytest.mark.parametrize(
    "first",
    [
        post(version="1.0"),
        post("raw.a", EVENT, "Connection: close"),
        post().replace(b"POST /", b"POST  /"),
        post().replace(b"\r\n", b"\n", 1),
        post("raw.a", EVENT, "A: 1\r\n 2"),
    ],
    ids=["HTTP/1.0", "the last request", "two spaces", "a bare line feed", "a folded header"],
)
@in_loop
async def test_the_bytes_of_one_head_are_never_those_of_the_next(first: bytes) -> None:
    """Two requests in one read: the lane knows the second, and must not learn the first as it."""
    async with running() as node:
        connection = await primed(node, post())
        connection.send(first + post())
        await asyncio.sleep(0)
        known = [key[0] for key in connection.protocol.fast_path._heads if key[0] != "POST"]
        assert first[: -len(EVENT)] not in known
        assert set(known) <= {post()[: -len(EVENT)]}


@in_loop
async def test_a_known_head_is_known_with_this_length_only() -> None:
    async with running() as node:
        connection = await primed(node, post())
        for body in (EVENT, b"1", EVENT, b"23", b"4", EVENT + b" "):
            assert connection.send(post(body=body)).count(b"HTTP/1.1 201") == 1
        stored = [EVENT, EVENT, b"1", EVENT, b"23", b"4", EVENT]
        assert await node.stored("raw.a") == stored


@in_loop
async def test_bytes_that_are_known_are_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []
    feed = RequestReader.feed

    def note(reader: RequestReader, data: bytes) -> None:
        parsed.append(data)
        feed(reader, data)

    async with running() as node:
        connection = await primed(node, post())
        connection.send(post())
        monkeypatch.setattr(RequestReader, "feed", note)
        assert connection.send(post() * 3).count(b"HTTP/1.1 201") == 3
        assert parsed == []
        livez = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
        assert b"200 OK" in await connection.ask(post() + livez)
        assert parsed == [livez]


@in_loop
async def test_bytes_that_are_known_wait_while_the_client_does_not_read() -> None:
    async with running() as node:
        connection = await primed(node, post())
        connection.send(post())
        connection.protocol.pause_writing()
        assert connection.send(post()) == b""
        connection.protocol.resume_writing()
        await connection.created(3)


@in_loop
async def test_an_array_with_a_known_head_is_answered_at_once_unless_an_event_is_refused() -> None:
    async with running() as node:
        connection = await primed(node, post("chat.a"))
        array, mixed = b"[%b,%b]" % (EVENT, EVENT), b"[%b,1]" % EVENT
        for body in (array, array, array):  # the last one with bytes that are known
            assert connection.send(post("chat.a", body)).startswith(b"HTTP/1.1 201")
        assert connection.send(post("chat.a", mixed)) == b""
        assert b"HTTP/1.1 207" in await connection.ask()
        assert await node.stored("chat.a") == [EVENT] * 8


@in_loop
async def test_an_idle_connection_whose_bytes_were_known_is_the_youngest() -> None:
    async with running() as node:
        first, second = await primed(node, post()), await primed(node, post())
        for connection in (first, second, first):
            assert connection.send(post()).startswith(b"HTTP/1.1 201")
        node.manager.connection_limits.idle.make_room()
        assert second.transport.ended or second.transport.closed
        assert not first.transport.closed


@in_loop
async def test_a_client_that_expects_the_end_of_the_connection_does_not_take_the_lane() -> None:
    async with running() as node:
        connection = await primed(node, post())
        assert connection.send(post(version="1.0")) == b""
        await connection.created(2)
        assert connection.transport.closed or connection.transport.ended


@in_loop
async def test_a_body_beyond_its_limit_is_refused_though_its_head_is_known() -> None:
    async with running({**CONFIG, "limits": {"body_bytes": 65536}}) as node:
        connection = await primed(node, post("raw.a", b"1"))
        fits, over = (b"[%b]" % b",".join([b'"%b"' % (b"x" * 997)] * count) for count in (65, 66))
        assert b"HTTP/1.1 201" in await connection.ask(post("raw.a", fits))
        assert b"HTTP/1.1 413" in await connection.ask(post("raw.a", over))
        assert len(await node.stored("raw.a")) == 1 + 65
