"""server/http/response_transport.py: one write for a head and what follows, and an end that lets
the answer arrive.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from eventhub.server.connections.rejected_connection import LINGER_SECONDS
from eventhub.server.http.response_transport import ResponseTransport
from tests.harness.clock import Clock
from tests.harness.transport import RecordedTransport

HEAD, BODY = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", b"ok"


def lingering(*, tls: bool = False) -> tuple[RecordedTransport, Any, Clock]:
    """A connection that was closed while a body was under way."""
    transport, clock = RecordedTransport(can_end=not tls), Clock()
    joining = ResponseTransport(transport, clock.loop)
    joining.unread = True
    joining.write(HEAD)
    joining.close()
    return transport, joining, clock


def run(scenario: Callable[[RecordedTransport, Any], Awaitable[None]]) -> None:
    async def main() -> None:
        transport = RecordedTransport()
        await scenario(
            transport,
            ResponseTransport(transport, asyncio.get_running_loop()),
        )

    asyncio.run(main())


def test_a_head_and_what_follows_at_once_are_one_write() -> None:
    async def scenario(transport: RecordedTransport, joining: Any) -> None:
        joining.write(HEAD)
        joining.write(BODY)
        joining.write(BODY)
        await asyncio.sleep(0)
        assert transport.writes == [HEAD + BODY, BODY]

    run(scenario)


def test_a_head_that_nothing_follows_goes_out_in_the_next_turn() -> None:
    async def scenario(transport: RecordedTransport, joining: Any) -> None:
        joining.write(HEAD)
        assert transport.writes == []
        await asyncio.sleep(0)
        assert transport.writes == [HEAD]
        joining.write(BODY)
        assert transport.writes == [HEAD, BODY]

    run(scenario)


def test_a_head_goes_out_before_its_connection_is_closed_and_never_after() -> None:
    async def scenario(transport: RecordedTransport, joining: Any) -> None:
        joining.write(HEAD)
        joining.close()
        assert (transport.writes, transport.closed, joining.is_closing()) == ([HEAD], True, True)
        joining.write(HEAD)
        await asyncio.sleep(0)
        assert transport.writes == [HEAD]

    run(scenario)


def test_two_heads_are_both_sent() -> None:
    """100 Continue, and then the answer."""

    async def scenario(transport: RecordedTransport, joining: Any) -> None:
        joining.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        joining.write(HEAD)
        joining.write(BODY)
        await asyncio.sleep(0)
        assert b"".join(transport.writes) == b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + BODY

    run(scenario)


def test_a_connection_closed_within_a_body_ends_its_half_and_discards_for_a_moment() -> None:
    transport, joining, clock = lingering()
    assert (transport.writes, transport.ended, transport.closed, joining.is_closing()) == (
        [HEAD],
        True,
        False,
        True,
    )
    clock.advance(LINGER_SECONDS / 2)
    assert not transport.closed
    clock.advance(LINGER_SECONDS)
    assert transport.closed


def test_a_connection_that_lingers_writes_nothing_more_and_lingers_once() -> None:
    transport, joining, clock = lingering()
    joining.write(HEAD)
    joining.write(BODY)
    joining.close()
    assert (transport.writes, transport.closed, len(clock.waits)) == ([HEAD], False, 2), (
        "the head's turn, and the end"
    )
    clock.advance()
    assert transport.writes == [HEAD]


def test_a_tls_connection_lingers_without_sending_its_end() -> None:
    transport, joining, clock = lingering(tls=True)
    assert (transport.ended, transport.closed, joining.is_closing()) == (False, False, True)
    clock.advance(LINGER_SECONDS)
    assert transport.closed


def test_a_closed_connection_does_not_linger() -> None:
    transport, clock = RecordedTransport(), Clock()
    joining = ResponseTransport(transport, clock.loop)
    joining.unread = transport.closed = True
    joining.close()
    assert (transport.ended, clock.waits) == (False, [])
