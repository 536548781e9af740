"""server/http_protocol.py: what can be tested without a socket; the rest is tested over real ones (tests/integration)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from eventhub.server.http_protocol import Joining

HEAD, BODY = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", b"ok"


class Transport:
    """Remembers what is written, and whether it was closed."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def run(scenario: Callable[[Transport, Any], Awaitable[None]]) -> None:
    async def main() -> None:
        transport = Transport()
        await scenario(transport, Joining(cast(asyncio.Transport, transport), asyncio.get_running_loop()))

    asyncio.run(main())


def test_a_head_and_what_follows_at_once_are_one_write() -> None:
    async def scenario(transport: Transport, joining: Any) -> None:
        joining.write(HEAD)
        joining.write(BODY)
        joining.write(BODY)
        await asyncio.sleep(0)
        assert transport.writes == [HEAD + BODY, BODY]

    run(scenario)


def test_a_head_that_nothing_follows_goes_out_in_the_next_turn() -> None:
    async def scenario(transport: Transport, joining: Any) -> None:
        joining.write(HEAD)
        assert transport.writes == []
        await asyncio.sleep(0)
        assert transport.writes == [HEAD]
        joining.write(BODY)
        assert transport.writes == [HEAD, BODY]

    run(scenario)


def test_a_head_goes_out_before_its_connection_is_closed_and_never_after() -> None:
    async def scenario(transport: Transport, joining: Any) -> None:
        joining.write(HEAD)
        joining.close()
        assert (transport.writes, transport.closed, joining.is_closing()) == ([HEAD], True, True)
        joining.write(HEAD)
        await asyncio.sleep(0)
        assert transport.writes == [HEAD]

    run(scenario)


def test_two_heads_are_both_sent() -> None:
    """100 Continue, and then the answer."""

    async def scenario(transport: Transport, joining: Any) -> None:
        joining.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        joining.write(HEAD)
        joining.write(BODY)
        await asyncio.sleep(0)
        assert b"".join(transport.writes) == b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + BODY

    run(scenario)
