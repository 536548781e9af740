"""server/http/request_handler.py: what is no request, no body or no upgrade, and full nodes."""

from asyncio import sleep

import pytest

from eventhub.config.limit_settings import LimitSettings
from eventhub.server.connections.rejected_connection import LINGER_SECONDS
from eventhub.server.http.admission import HEALTH_PROBE_SECONDS, UNREAD_SECONDS
from eventhub.server.http.reader import DISCARDED_BYTES
from eventhub.server.http.request_queue import PIPELINE
from eventhub.server.http.state import HttpState
from eventhub.server.websocket.protocol import WebSocketProtocol
from tests.harness.virtual_time import in_virtual_time, turns
from tests.unit.server.connections.manager_builder import build
from tests.unit.server.http.connection import GET, POST, UPGRADE, Connection

CHUNKED = b"POST /a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
EXPECTING = POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


@in_virtual_time
async def test_what_is_no_request_is_answered_and_then_discarded() -> None:
    client = Connection()
    await client.send(b"nonsense\r\n\r\n")
    assert (client.statuses, client.transport.ended) == ([400], True)
    await client.send(GET)
    assert client.scopes == []
    await sleep(LINGER_SECONDS + 0.1)
    assert client.transport.closed
    client.lose()


@in_virtual_time
async def test_the_error_of_the_next_request_comes_behind_the_answers_that_are_due() -> None:
    client = Connection(answers=False)
    await client.send(GET, GET, b"nonsense\r\n\r\n")
    assert client.statuses == []
    await client.answer()
    assert client.statuses == [200, 200, 400]
    assert client.transport.ended
    client.lose()


@in_virtual_time
async def test_a_client_that_sends_much_behind_what_is_no_request_is_cut_off() -> None:
    client = Connection(answers=False)
    await client.send(GET, b"nonsense\r\n\r\n")
    await client.send(b"x" * DISCARDED_BYTES)
    assert not client.transport.aborted
    await client.send(b"x")
    assert client.transport.aborted
    client.lose()


@in_virtual_time
async def test_a_malformed_body_is_an_error_of_its_request_and_of_no_other() -> None:
    client = Connection()
    await client.send(CHUNKED, b"nonsense\r\n")
    assert (client.errors, client.statuses) == (["invalid_request"], [400])
    assert client.transport.ended
    client.lose()


@in_virtual_time
async def test_a_malformed_body_that_was_answered_already_closes_the_connection() -> None:
    client = Connection(reads=False)
    await client.send(CHUNKED)
    await client.send(b"nonsense\r\n")
    assert (client.statuses, client.transport.ended) == ([200], True)
    client.lose()


@in_virtual_time
async def test_a_request_beyond_the_pipeline_is_refused_behind_the_others() -> None:
    client = Connection(answers=False)
    await client.send(*[GET] * (PIPELINE + 5))
    await client.answer()
    assert client.statuses == [200] * (PIPELINE + 1) + [429]
    client.lose()


@in_virtual_time
async def test_a_refusal_by_a_limit_is_counted() -> None:
    client = Connection(limits=LimitSettings(head_seconds=1))
    await sleep(2)
    assert client.manager.hub.publisher._metrics._refused["head_seconds"] == 1
    client.lose()


@in_virtual_time
@pytest.mark.parametrize("answered", [False, True], ids=["before", "behind its answer"])
async def test_a_trailer_may_close_the_connection(*, answered: bool) -> None:
    client = Connection(answers=answered, reads=not answered)
    await client.send(CHUNKED, b"1\r\nx\r\n")
    await client.send(b"0\r\nConnection: close\r\n\r\n")
    await client.answer()
    assert (client.statuses, client.transport.closed) == ([200], True)
    client.lose()


@in_virtual_time
async def test_a_client_that_waits_for_100_gets_it_when_the_body_is_read() -> None:
    client = Connection()
    await client.send(EXPECTING)
    assert client.statuses == [100]
    await client.send(b"body")
    assert client.statuses == [100, 200]
    old = Connection()
    await old.send(EXPECTING.replace(b"1.1", b"1.0"))
    assert old.statuses == []
    client.lose()
    old.lose()


# Upgrades


@in_virtual_time
async def test_an_upgrade_hands_the_connection_over_with_the_bytes_behind_it() -> None:
    client = Connection()
    await client.send(UPGRADE, b"\x81\x81\0\0\0\0{")
    websocket = client.transport.protocol
    assert isinstance(websocket, WebSocketProtocol)
    assert client.statuses == [101]
    assert b'"error"' in client.transport.written
    assert client.connections == {websocket}
    assert client.manager.connection_limits.open == 1
    await sleep(60)
    assert client.statuses == [101], "the head's timer has stopped"
    websocket.connection_lost(None)
    assert client.manager.connection_limits.open == 0


@in_virtual_time
async def test_an_upgrade_behind_an_unanswered_request_is_refused() -> None:
    client = Connection(answers=False)
    await client.send(GET, UPGRADE)
    await client.answer()
    assert client.statuses == [200, 400]
    assert client.transport.protocol is None
    client.lose()


@in_virtual_time
async def test_an_upgrade_with_a_body_is_refused() -> None:
    client = Connection()
    await client.send(UPGRADE.replace(b"\r\n\r\n", b"\r\nContent-Length: 4\r\n\r\n"), b"body")
    assert client.statuses == [400]
    client.lose()


# A node that has no room


def full_node() -> Connection:
    """The connection that fills a node."""
    return Connection(build(native=False, limits=LimitSettings(connections=1)), answers=False)


@in_virtual_time
async def test_a_full_node_answers_for_its_health_and_closes() -> None:
    first = full_node()
    await first.send(GET)
    probe = Connection(first.manager)
    await probe.send(LIVEZ)
    assert probe.statuses == [200]
    assert b"connection: close" in probe.transport.written
    await turns()
    assert first.manager.connection_limits.open == 1
    probe.lose()
    assert len(first.manager.connection_limits.health_probes) == 0
    first.lose()


@in_virtual_time
@pytest.mark.parametrize("sent", [GET, UPGRADE, b"nonsense\r\n\r\n"], ids=["path", "ws", "none"])
async def test_a_full_node_refuses_everything_else(sent: bytes) -> None:
    first = full_node()
    await first.send(GET)
    other = Connection(first.manager)
    await other.send(sent)
    assert (other.statuses, other.scopes) == ([503], [])
    assert other.transport.ended
    assert len(first.manager.connection_limits.health_probes) == 0
    first.lose()


@in_virtual_time
async def test_a_health_probe_has_a_moment_for_its_request() -> None:
    first = full_node()
    await first.send(GET)
    probe = Connection(first.manager)
    await sleep(HEALTH_PROBE_SECONDS - 0.1)
    assert probe.statuses == []
    await sleep(0.2)
    assert probe.statuses == [503]
    assert len(first.manager.connection_limits.health_probes) == 0
    first.lose()


@in_virtual_time
async def test_a_health_probe_that_does_not_read_its_answer_is_cut_off() -> None:
    first = full_node()
    await first.send(GET)
    probe = Connection(first.manager)
    await probe.send(LIVEZ)
    await sleep(UNREAD_SECONDS - 0.1)
    assert not probe.transport.aborted
    await sleep(0.2)
    assert probe.transport.aborted
    first.lose()


@in_virtual_time
async def test_idle_connections_make_room() -> None:
    first = full_node()
    await first.send(GET)
    await first.answer()
    assert first.input is HttpState.IDLE
    second = Connection(first.manager)
    await second.send(GET)
    assert (second.statuses, first.manager.connection_limits.open) == ([200], 1)
    assert first.transport.ended
    second.lose()
