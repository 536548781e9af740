"""server/http/protocol.py: a connection is counted, retired, gives way, and contains its faults."""

from asyncio import sleep
from typing import Any

import pytest

from eventhub.config.limit_settings import LimitSettings
from eventhub.server.connections.rejected_connection import LINGER_SECONDS, RejectedConnection
from eventhub.server.http import request_handler
from eventhub.server.http.flow_control import HIGH_WATER_LIMIT
from eventhub.server.security.connection_limits import HEALTH_PROBES
from tests.harness.transport import RecordedTransport
from tests.harness.virtual_time import in_virtual_time, turns
from tests.unit.server.connections.manager_builder import build
from tests.unit.server.http.connection import GET, Connection

LIVEZ = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


@in_virtual_time
async def test_a_connection_is_counted_while_it_is_open() -> None:
    client = Connection()
    assert client.connections == {client.protocol}
    assert client.manager.connection_limits.open == 1
    client.lose()
    assert client.connections == set()
    assert client.manager.connection_limits.open == 0


@in_virtual_time
async def test_a_connection_too_many_of_one_address_is_told_so_and_is_not_counted() -> None:
    manager = build(limits=LimitSettings(connections_per_address=1))
    first, second = Connection(manager, answers=False), None
    await first.send(GET)
    transport = RecordedTransport()
    second = Connection(manager, transport)
    assert second.statuses == [429]
    assert isinstance(transport.protocol, RejectedConnection)
    assert (manager.connection_limits.open, second.connections) == (1, set())
    assert manager.hub.publisher._metrics._refused["connections_per_address"] == 1
    await sleep(LINGER_SECONDS + 0.1)
    assert transport.aborted
    first.lose()


@in_virtual_time
async def test_a_proxy_has_no_slot_and_its_requests_say_that_they_are_not_counted() -> None:
    manager = build(limits=LimitSettings(connections_per_address=1), proxies=["127.0.0.1"])
    clients = [Connection(manager) for _ in range(3)]
    for client in clients:
        await client.send(GET)
        assert "eventhub.counted" not in client.scopes[0]["extensions"]
        client.lose()
    assert manager.connection_limits.open == 0


@in_virtual_time
async def test_under_tls_the_outgoing_buffer_has_its_bound() -> None:
    info = {"sslcontext": object()}
    secure, plain = Connection(transport=RecordedTransport(info=info)), Connection()
    assert secure.transport.limits == (HIGH_WATER_LIMIT, None)
    assert plain.transport.limits is None
    secure.lose()
    plain.lose()


@in_virtual_time
async def test_an_answer_waits_while_the_client_does_not_read() -> None:
    client = Connection()
    client.protocol.pause_writing()
    await client.send(GET)
    assert client.statuses == []
    client.protocol.resume_writing()
    await turns()
    assert client.statuses == [200]
    client.lose()


@in_virtual_time
async def test_a_client_that_leaves_frees_an_answer_that_waits() -> None:
    client = Connection()
    client.protocol.pause_writing()
    await client.send(GET)
    client.lose()
    await turns()
    assert (client.state.tasks, client.transport.written) == (set(), b"")


@in_virtual_time
async def test_a_retired_connection_makes_room_at_once_and_parses_no_more() -> None:
    client = Connection()
    await client.send(GET)
    written = client.transport.written
    client.protocol.retire()
    assert client.manager.connection_limits.open == 0
    assert (client.connections, client.idle) == (set(), 0)
    assert isinstance(client.transport.protocol, RejectedConnection)
    assert client.transport.written == written
    assert client.transport.ended


@in_virtual_time
async def test_a_fault_of_a_timer_ends_this_connection_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Connection()
    await client.send(GET)
    monkeypatch.setattr(client.protocol, "_detach", lambda: 1 / 0)
    client.protocol.retire()
    assert client.transport.aborted
    assert client.manager.hub.faults.counts == {"http": 1}
    client.lose()


@in_virtual_time
async def test_the_fault_of_a_head_that_is_late_is_contained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Connection(limits=LimitSettings(head_seconds=1))
    monkeypatch.setattr(request_handler, "head_too_late", lambda _: 1 / 0)
    await sleep(2)
    assert client.transport.aborted
    assert client.manager.hub.faults.counts == {"http": 1}
    client.lose()


# Health probes of a full node


def probes(first: Connection, count: int) -> list[Connection]:
    """Connections beyond the node's limit, each of another address."""
    return [
        Connection(
            first.manager, RecordedTransport(info={"peername": (f"192.0.2.{number + 1}", 50_000)})
        )
        for number in range(count)
    ]


async def full_node() -> Connection:
    first = Connection(build(limits=LimitSettings(connections=1)), answers=False)
    await first.send(GET)
    return first


@in_virtual_time
async def test_the_oldest_silent_health_probe_gives_way() -> None:
    first = await full_node()
    silent = probes(first, HEALTH_PROBES)
    assert all(probe.statuses == [] for probe in silent)
    (newest,) = probes(first, 1)
    assert [probe.statuses for probe in silent[:2]] == [[503], []]
    assert silent[0].transport.ended
    await newest.send(LIVEZ)
    assert newest.statuses == [200]
    first.lose()


@in_virtual_time
async def test_a_health_probe_that_does_not_read_its_answer_gives_way_without_a_word() -> None:
    first = await full_node()
    asked = probes(first, HEALTH_PROBES)
    for probe in asked:
        await probe.send(LIVEZ)
    probes(first, 1)
    assert (asked[0].statuses, asked[0].transport.aborted) == ([200], True)
    assert not asked[1].transport.aborted
    first.lose()


@in_virtual_time
async def test_a_connection_has_the_clients_address() -> None:
    client = Connection(transport=RecordedTransport(info={"peername": ("192.0.2.9", 1234)}))
    assert client.protocol.client == ("192.0.2.9", 1234)
    local: Any = Connection(transport=RecordedTransport(info={"peername": "/run/socket"}))
    assert local.protocol.client is None
    client.lose()
    local.lose()
