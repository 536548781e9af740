"""server/http/request_handler.py: each end of a request and of its connection, and the timers."""

from asyncio import sleep

import pytest

from eventhub.config.limit_settings import LimitSettings
from eventhub.server.connections.rejected_connection import LINGER_SECONDS
from eventhub.server.http.state import HttpState
from eventhub.server.http.timers import DISCARDING_SECONDS, LAST_CALL_SECONDS
from tests.harness.transport import RecordedTransport
from tests.harness.virtual_time import in_virtual_time, turns
from tests.unit.server.http.connection import GET, LAST_GET, POST, Connection

LIMITS = LimitSettings(head_seconds=10, keep_alive_seconds=60)
EXPECTING = POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


# Timers


@in_virtual_time
@pytest.mark.parametrize("sent", [b"", GET[:10]], ids=["nothing", "a part"])
async def test_a_head_that_does_not_come_in_time_is_refused(sent: bytes) -> None:
    client = Connection(limits=LIMITS)
    await sleep(4)
    await client.send(sent)
    await sleep(5.9)
    assert client.statuses == []
    await sleep(0.2)
    assert client.statuses == [408]
    assert client.transport.ended
    client.lose()


@in_virtual_time
async def test_a_complete_head_stops_its_timer_and_the_next_request_has_its_own() -> None:
    client = Connection(limits=LIMITS)
    await client.send(GET)
    await sleep(30)
    assert client.statuses == [200]
    await client.send(GET[:10])
    await sleep(9.9)
    assert client.statuses == [200]
    await sleep(0.2)
    assert client.statuses == [200, 408]
    client.lose()


@in_virtual_time
async def test_a_body_has_no_timer_of_the_head() -> None:
    client = Connection(limits=LIMITS)
    await client.send(POST)
    await sleep(30)
    await client.send(b"body")
    assert (client.statuses, client.bodies) == ([200], [b"body"])
    client.lose()


@in_virtual_time
async def test_an_idle_connection_is_closed_in_time() -> None:
    client = Connection(limits=LIMITS)
    await client.send(GET)
    await sleep(59)
    assert (client.idle, client.transport.closed) == (1, False)
    await sleep(2)
    assert client.transport.ended
    assert client.transport.protocol is not client.protocol, "it is discarded now"
    assert client.manager.connection_limits.open == 0


@in_virtual_time
async def test_a_connection_with_a_request_is_not_idle() -> None:
    client = Connection(limits=LIMITS)
    await client.send(GET)
    client.proceed.clear()
    await client.send(GET)
    assert client.idle == 0
    await sleep(120)
    await client.answer()
    assert (client.statuses, client.idle) == ([200, 200], 1)
    client.lose()
    assert client.idle == 0


@in_virtual_time
async def test_the_rest_of_a_body_whose_request_was_answered_is_discarded_for_a_moment() -> None:
    client = Connection(reads=False)
    await client.send(POST)
    assert (client.statuses, client.input) == ([200], HttpState.DISCARDING)
    await sleep(DISCARDING_SECONDS - 0.1)
    assert not client.transport.ended
    await sleep(0.2)
    assert client.transport.ended
    await sleep(LINGER_SECONDS)
    assert client.transport.closed
    client.lose()


@in_virtual_time
async def test_a_body_that_was_discarded_in_time_leaves_an_idle_connection() -> None:
    client = Connection(reads=False)
    await client.send(POST)
    await client.send(b"body")
    assert (client.input, client.idle) == (HttpState.IDLE, 1)
    await sleep(5 * DISCARDING_SECONDS)
    assert not client.transport.ended
    await client.send(GET)
    assert client.statuses == [200, 200]
    client.lose()


@in_virtual_time
async def test_a_lost_connection_leaves_no_timer_and_no_task() -> None:
    client = Connection(answers=False, limits=LIMITS)
    await client.send(POST, b"body")
    client.lose()
    await turns()
    assert client.state.tasks == set()
    assert client.state.connections == set()
    assert client.manager.connection_limits.open == 0
    waiting = Connection(client.manager)
    waiting.lose()
    await sleep(60)
    assert waiting.transport.written == b""
    client.protocol._requests.detach()


# Half-closed


@in_virtual_time
async def test_a_half_closed_client_gets_the_answers_that_are_due_then_the_end() -> None:
    client = Connection(answers=False)
    await client.send(GET, GET)
    assert client.protocol.eof_received() is True
    assert not client.transport.closed
    await client.answer()
    assert client.statuses == [200, 200]
    assert client.transport.written.count(b"connection: close") == 1
    assert client.transport.closed
    client.lose()


@in_virtual_time
async def test_an_idle_client_that_half_closes_is_closed() -> None:
    client = Connection()
    await client.send(GET)
    assert client.protocol.eof_received() is False
    assert client.idle == 0
    client.lose()


@in_virtual_time
async def test_a_half_closed_client_is_told_that_its_head_is_not_complete() -> None:
    client = Connection()
    await client.send(GET[:10])
    assert client.protocol.eof_received() is False
    assert client.statuses == [400]
    client.lose()


@in_virtual_time
async def test_a_body_that_broke_off_is_an_error_of_the_request() -> None:
    client = Connection()
    await client.send(POST, b"bo")
    assert client.protocol.eof_received() is True
    await turns()
    assert (client.errors, client.statuses) == (["invalid_request"], [400])
    assert client.transport.closed, "no more comes, so nothing is waited for"
    client.lose()


@in_virtual_time
async def test_under_tls_a_half_close_ends_the_connection() -> None:
    client = Connection(transport=RecordedTransport(info={"sslcontext": object()}), answers=False)
    await client.send(GET)
    assert client.protocol.eof_received() is False
    client.lose()


@in_virtual_time
async def test_a_half_close_behind_the_end_changes_nothing() -> None:
    client = Connection()
    await client.send(LAST_GET)
    assert client.transport.closed
    assert client.protocol.eof_received() is False
    client.lose()


# The end of the server


@in_virtual_time
async def test_the_last_call_to_an_idle_connection_leaves_time_for_one_request() -> None:
    client = Connection()
    await client.send(GET)
    assert client.protocol.last_call() is False
    await sleep(LAST_CALL_SECONDS - 0.1)
    assert not client.transport.closed
    await client.send(GET)
    await sleep(LAST_CALL_SECONDS)
    assert client.statuses == [200, 200]
    client.lose()


@in_virtual_time
async def test_an_idle_connection_closes_after_the_last_call() -> None:
    client = Connection()
    await client.send(GET)
    client.protocol.last_call()
    await sleep(LAST_CALL_SECONDS + 0.1)
    assert (client.transport.closed, client.idle) == (True, 0)
    client.lose()


@in_virtual_time
async def test_the_last_call_closes_behind_an_answer_that_is_due() -> None:
    client = Connection(answers=False)
    await client.send(GET)
    assert client.protocol.last_call() is True
    await client.answer()
    assert b"connection: close" in client.transport.written
    assert client.transport.closed
    client.lose()


@in_virtual_time
async def test_the_last_call_waits_for_a_head_that_has_begun() -> None:
    client = Connection()
    await client.send(GET[:10])
    assert client.protocol.last_call() is False
    await sleep(2 * LAST_CALL_SECONDS)
    await client.send(GET[10:])
    assert client.statuses == [200]
    client.lose()


@in_virtual_time
async def test_a_shutdown_closes_at_once_or_behind_the_answer() -> None:
    idle, busy = Connection(), Connection(answers=False)
    await busy.send(GET)
    for client in (idle, busy):
        client.protocol.shutdown()
    assert (idle.transport.closed, busy.transport.closed) == (True, False)
    await busy.answer()
    assert (busy.statuses, busy.transport.closed) == ([200], True)
    idle.lose()
    busy.lose()


@in_virtual_time
async def test_a_draining_node_keeps_no_connection() -> None:
    client = Connection()
    client.manager.hub.draining = True
    await client.send(GET)
    assert b"connection: close" in client.transport.written
    assert client.transport.closed
    client.lose()
