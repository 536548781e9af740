"""brokers/redis/link.py: commands and replies, without a server."""

import asyncio
from typing import Any

import pytest

from eventhub.brokers.redis.link import ErrorReply, LinkLost, RedisLink
from eventhub.brokers.redis.url import ServerAddress
from tests.harness.transport import RecordedTransport
from tests.unit.brokers.redis.links import on_a_link


def test_commands_of_a_tick_are_written_together_and_answered_in_order() -> None:
    async def scenario(link: RedisLink, wire: RecordedTransport, pushed: list[Any]) -> None:
        calls = asyncio.gather(link.call("A"), link.call("B", 1), return_exceptions=True)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert wire.written == b"*1\r\n$1\r\nA\r\n*2\r\n$1\r\nB\r\n$1\r\n1\r\n"
        link.data_received(b"+one\r\n>2\r\n+hello\r\n:1\r\n-MOVED 12 ")
        link.data_received(b"10.0.0.1:7000\r\n")
        first, second = await calls
        assert (first, pushed) == (b"one", [[b"hello", 1]])
        assert isinstance(second, ErrorReply)
        assert (second.code, second.redirect) == ("MOVED", ServerAddress("10.0.0.1", 7000))

    on_a_link(scenario)


def test_what_was_not_answered_is_lost_with_the_connection() -> None:
    async def scenario(link: RedisLink, wire: RecordedTransport, pushed: list[Any]) -> None:
        call = asyncio.ensure_future(link.call("A"))
        await asyncio.sleep(0)
        link.connection_lost(None)
        for lost in (call, link.call("B")):
            with pytest.raises(LinkLost, match="closed"):
                await lost
        assert link.lost.done()

    on_a_link(scenario)


def test_what_is_not_redis_ends_the_link_and_an_answer_nobody_can_take_costs_no_other() -> None:
    async def scenario(link: RedisLink, wire: RecordedTransport, pushed: list[Any]) -> None:
        link.data_received(b"HTTP/1.1 400 Bad Request\r\n")
        assert wire.aborted
        assert isinstance(link.lost.result(), LinkLost)
        broken = RedisLink(lambda push: int(push))  # type: ignore[call-overload]
        broken.connection_made(wire)
        replies: list[Any] = []
        for done in (replies.append, lambda reply: int([]), replies.append):  # type: ignore[call-overload]  # that is the point
            broken.send(b"", done)
        broken.data_received(b">1\r\n+x\r\n:1\r\n:2\r\n:3\r\n")
        assert replies == [1, 3]
        assert not broken.lost.done()

    on_a_link(scenario)


def test_an_error_that_answers_no_command_is_pushed() -> None:
    async def scenario(link: RedisLink, wire: RecordedTransport, pushed: list[Any]) -> None:
        link.data_received(b"-NOPERM not you, hush\r\n")
        assert pushed == [[b"refused", "NOPERM"]]

    on_a_link(scenario)
