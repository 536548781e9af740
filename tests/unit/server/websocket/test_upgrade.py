"""server/websocket/upgrade.py: an upgrade request is accepted, refused, or waits for a key."""

from typing import Any

import pytest

from eventhub.auth.tokens import UnknownKey
from eventhub.errors import Unauthorized
from eventhub.server.websocket import upgrade
from eventhub.server.websocket.protocol import WebSocketProtocol
from eventhub.server.websocket.state import WebSocketState
from eventhub.server.websocket.upgrade import Upgrade, UpgradeRequest
from tests.harness.clients import masked
from tests.harness.loop import in_loop
from tests.unit.server.connections.manager_builder import build
from tests.unit.server.websocket.test_protocol import HEADERS, PING, Transport

ORIGIN = (b"origin", b"https://elsewhere.example")


class Client:
    """A connection, and its upgrade request."""

    def __init__(
        self, url: bytes = b"/v1/ws", *headers: tuple[bytes, bytes], tail: bytes = b""
    ) -> None:
        self.manager = build(native=False)
        self.transport = Transport()
        self.protocol = WebSocketProtocol(self.manager, self.transport, set(), None)
        request = UpgradeRequest("GET", url, [*HEADERS, *headers], tail)
        self.upgrade = Upgrade(self.manager, self.transport, self.protocol, request)

    @property
    def status(self) -> bytes:
        return self.transport.written.split(b" ", 2)[1]


@in_loop
async def test_a_session_begins_and_serves_the_bytes_behind_the_request() -> None:
    client = Client(tail=PING)
    client.upgrade.answer()
    assert (client.status, client.protocol.state) == (b"101", WebSocketState.OPEN)
    assert b'"hello"' in client.transport.written
    assert client.transport.pongs == 1
    client.protocol.connection_lost(None)


@in_loop
async def test_a_refused_client_sees_a_status_and_its_bytes_are_dropped() -> None:
    client = Client(b"/elsewhere", tail=PING)
    client.upgrade.answer()
    assert (client.status, client.protocol.state) == (b"404", WebSocketState.CLOSED)
    client.protocol.data_received(masked(b"anything"))
    assert client.transport.pongs == 0
    client.protocol.connection_lost(None)


@in_loop
async def test_a_refused_web_page_sees_an_error_message() -> None:
    client = Client(b"/elsewhere", ORIGIN)
    client.upgrade.answer()
    assert (client.status, client.protocol.state) == (b"101", WebSocketState.CLOSING)
    assert b'"not_found"' in client.transport.written
    client.protocol.connection_lost(None)


@in_loop
async def test_a_query_string_that_is_refused_ends_an_accepted_connection() -> None:
    client = Client(b"/v1/ws?nonsense=1")
    client.upgrade.answer()
    assert (client.status, client.protocol.state) == (b"101", WebSocketState.CLOSING)
    client.protocol.connection_lost(None)


@in_loop
async def test_a_fault_refuses_the_request_with_a_status(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(upgrade, "negotiate", broken)
    client.upgrade.answer()
    assert (client.status, client.protocol.state) == (b"500", WebSocketState.CLOSED)
    assert client.manager.hub.faults.counts.total() == 1
    client.protocol.connection_lost(None)


@in_loop
async def test_nothing_is_read_while_a_key_is_fetched_and_it_is_fetched_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Client()
    spawned: list[Any] = []

    def unknown(*_: Any) -> None:
        raise UnknownKey("k1")

    async def refresh() -> bool:
        return True

    monkeypatch.setattr(upgrade, "negotiate", unknown)
    monkeypatch.setattr(client.manager.authentication, "refresh", refresh)
    monkeypatch.setattr(
        client.manager.authentication,
        "unknown",
        lambda error, *, refreshed: Unauthorized("no such key"),
    )
    monkeypatch.setattr(client.manager.hub, "spawn", lambda work, *_: spawned.append(work))
    client.upgrade.answer()
    assert (client.transport.reading, client.protocol.state) == (False, WebSocketState.HANDSHAKE)
    (work,) = spawned
    await work
    assert (client.transport.reading, client.status) == (True, b"401")
    assert len(spawned) == 1
    client.protocol.connection_lost(None)
