"""server/websocket/upgrade.py: an upgrade request is accepted, refused, or waits for a key."""

import asyncio
from typing import Any

import pytest

from eventhub.auth.tokens import UnknownKey
from eventhub.config.limit_settings import LimitSettings
from eventhub.config.sections import LogSettings
from eventhub.errors import KeysUnavailable
from eventhub.server.streams.query import StreamQuery
from eventhub.server.websocket import handshake, protocol, upgrade
from eventhub.server.websocket.state import WebSocketState
from tests.harness.clients import masked
from tests.harness.hubs import running
from tests.harness.virtual_time import in_virtual_time, turns
from tests.unit.server.connections.manager_builder import build
from tests.unit.server.websocket.client import (
    ORIGIN,
    PING_COMMAND,
    Client,
    Transport,
    opened,
)

PEER = ("192.0.2.7", 50_000)


def of_peer() -> Transport:
    return Transport(info={"peername": PEER})


@in_virtual_time
async def test_a_session_begins_and_serves_the_bytes_behind_the_request() -> None:
    client = opened(tail=PING_COMMAND)
    assert (client.status, client.protocol.state) == (b"101", WebSocketState.OPEN)
    assert client.types == ["hello", "pong"]
    client.lose()


@in_virtual_time
async def test_a_refused_client_sees_a_status_and_its_bytes_are_dropped() -> None:
    client = opened(b"/elsewhere", tail=PING_COMMAND)
    assert (client.status, client.protocol.state) == (b"404", WebSocketState.CLOSED)
    client.send(masked(b"anything"))
    assert client.transport.pongs == 0
    client.lose()


@in_virtual_time
async def test_a_refused_web_page_sees_an_error_message() -> None:
    client = opened(b"/elsewhere", ORIGIN)
    assert (client.status, client.protocol.state) == (b"101", WebSocketState.CLOSING)
    assert client.messages[0]["code"] == "not_found"
    client.lose()


# What the address asks for


@in_virtual_time
async def test_a_query_string_subscribes_and_then_no_message_is_due() -> None:
    manager = build(native=False)
    async with running(manager.hub):
        client = opened(b"/v1/ws?channel=chat.a", manager=manager)
        await turns()
        assert client.types == ["hello", "subscribed"]
        assert len(manager.deadlines) == 0
        client.lose()


@in_virtual_time
async def test_without_a_query_string_a_message_must_come_in_time() -> None:
    client = opened(limits=LimitSettings(first_frame_seconds=3))
    await asyncio.sleep(2.9)
    assert client.close_frames == []
    await asyncio.sleep(0.2)
    assert client.close_frames == [(4408, "request_timeout")]
    client.lose()


@in_virtual_time
async def test_a_first_message_in_time_is_enough() -> None:
    client = opened(limits=LimitSettings(first_frame_seconds=3))
    client.send(PING_COMMAND)
    await asyncio.sleep(10)
    assert client.close_frames == []
    client.lose()
    assert len(client.manager.deadlines) == 0


@in_virtual_time
async def test_a_query_string_that_is_refused_ends_an_accepted_connection() -> None:
    client = opened(b"/v1/ws?nonsense=1")
    assert (client.status, client.protocol.state) == (b"101", WebSocketState.CLOSING)
    client.lose()


# Limits and the log


@in_virtual_time
async def test_a_client_behind_a_proxy_is_counted_by_its_own_address() -> None:
    manager = build(native=False, limits=LimitSettings(connections_per_address=1))
    first, second = (opened(manager=manager, transport=of_peer()) for _ in range(2))
    assert (first.status, second.status) == (b"101", b"429")
    assert first.protocol.slot is not None
    assert second.protocol.slot is None
    first.lose()
    second.lose()
    third = opened(manager=manager, transport=of_peer())
    assert third.status == b"101"
    third.lose()


@in_virtual_time
async def test_a_connection_that_is_counted_already_is_counted_once() -> None:
    manager = build(native=False, limits=LimitSettings(connections_per_address=1))
    slot = manager.connection_limits.connect(PEER[0])
    client = opened(manager=manager, slot=slot, transport=of_peer())
    assert (client.status, client.protocol.slot) == (b"101", slot)
    client.lose()


@in_virtual_time
@pytest.mark.parametrize(("url", "status"), [(b"/v1/ws?channel=x", 101), (b"/no?token=x", 404)])
async def test_each_answer_has_a_line_in_the_access_log_without_the_query(
    url: bytes, status: int
) -> None:
    manager = build(native=False, log=LogSettings(access=True))
    lines: list[tuple[Any, ...]] = []
    manager.access_log.write = lambda *line, **known: lines.append((*line, known))  # type: ignore[method-assign]
    client = opened(url, manager=manager, transport=of_peer())
    ids = [identity.id for identity in manager.registry]
    path = url.partition(b"?")[0].decode()
    session = {"session": ids[0] if ids else None}
    assert lines == [("GET", path, status, PEER[0], session)]
    client.lose()


@in_virtual_time
async def test_without_an_access_log_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrade.Upgrade, "_log_access", lambda *_: 1 / 0)
    for url in (b"/v1/ws", b"/elsewhere"):
        client = opened(url, log=LogSettings(access=False))
        assert client.manager.hub.faults.counts.total() == 0
        client.lose()


@in_virtual_time
async def test_a_refusal_by_a_limit_is_counted() -> None:
    manager = build(native=False, limits=LimitSettings(connections_per_address=1))
    clients = [opened(manager=manager, transport=of_peer()) for _ in range(3)]
    metrics = manager.hub.publisher._metrics
    assert metrics._refused["connections_per_address"] == 2
    for client in clients:
        client.lose()


# Faults


@in_virtual_time
async def test_a_fault_refuses_the_request_with_a_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrade, "negotiate", lambda *_: 1 / 0)
    client = opened()
    assert (client.status, client.protocol.state) == (b"500", WebSocketState.CLOSED)
    assert client.manager.hub.faults.counts == {"handshake": 1}
    client.lose()


@in_virtual_time
async def test_a_fault_before_the_101_takes_the_connection_out_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol, "set_buffer_sizes", lambda *_: 1 / 0)
    client = opened()
    assert (client.status, client.protocol.state) == (b"500", WebSocketState.CLOSED)
    assert client.open_connections == 0
    sent = client.transport.written
    client.protocol.write(b"of a session")
    assert client.transport.written == sent
    client.lose()


@in_virtual_time
async def test_a_fault_behind_the_101_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StreamQuery, "subscribe", lambda *_: 1 / 0)
    client = opened()
    assert client.status == b"101"
    assert client.close_frames == [(4500, "internal")]
    client.lose()


# A token whose key is not known yet


class Keys:
    """A key set that is fetched when a test says so. Tokens are unknown as often as it is told."""

    def __init__(self, client: Client, monkeypatch: pytest.MonkeyPatch, unknown: int = 1) -> None:
        self._faults = client.manager.hub.faults
        self.fetched: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.refreshes = 0
        self._unknown = unknown
        self._tasks: list[asyncio.Task[None]] = []
        monkeypatch.setattr(upgrade, "negotiate", self._negotiate)
        monkeypatch.setattr(client.manager.authentication, "refresh", self._refresh)
        monkeypatch.setattr(client.manager.authentication, "unknown", self._error)
        monkeypatch.setattr(client.manager.hub, "spawn", self._spawn)

    def _negotiate(self, *request: Any) -> handshake.HandshakeResult:
        self._unknown -= 1
        if self._unknown >= 0:
            raise UnknownKey("k1")
        return handshake.negotiate(*request)

    async def _refresh(self) -> bool:
        self.refreshes += 1
        return await self.fetched

    def _error(self, error: UnknownKey, *, refreshed: bool) -> KeysUnavailable:
        return KeysUnavailable(f"{refreshed}")

    def _spawn(self, work: Any, where: str, failed: Any) -> None:
        self._tasks.append(asyncio.create_task(self._faults.contained(where, work, failed)))


def waiting(monkeypatch: pytest.MonkeyPatch, unknown: int = 1) -> tuple[Client, Keys]:
    """A client whose upgrade waits for a key."""
    client = Client(tail=PING_COMMAND)
    keys = Keys(client, monkeypatch, unknown)
    client.upgrade.answer()
    assert (client.transport.written, client.transport.reading) == (b"", False)
    return client, keys


@in_virtual_time
async def test_a_client_whose_key_was_fetched_is_read_again_and_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, keys = waiting(monkeypatch)
    keys.fetched.set_result(True)
    await turns()
    assert (client.status, client.transport.reading) == (b"101", True)
    assert client.types == ["hello", "pong"]
    client.send(PING_COMMAND)
    assert client.types[-2:] == ["pong", "pong"]
    client.lose()


@in_virtual_time
@pytest.mark.parametrize("refreshed", [True, False], ids=["fetched", "too recent"])
async def test_a_key_that_stays_unknown_is_fetched_once_and_refuses_the_client(
    refreshed: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, keys = waiting(monkeypatch, unknown=2)
    keys.fetched.set_result(refreshed)
    await turns()
    assert (client.status, keys.refreshes) == (b"503", 1)
    assert str(refreshed).encode() in client.transport.written
    assert client.transport.reading, "its close must be noticed"
    client.lose()


@in_virtual_time
async def test_a_client_that_left_while_a_key_was_fetched_is_not_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, keys = waiting(monkeypatch)
    client.lose()
    keys.fetched.set_result(True)
    await turns()
    assert (client.transport.written, client.open_connections) == (b"", 0)
    assert not client.transport.reading


@in_virtual_time
async def test_a_fault_while_a_key_is_fetched_refuses_the_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, keys = waiting(monkeypatch)
    keys.fetched.set_exception(ZeroDivisionError())
    await turns()
    assert (client.status, client.protocol.state) == (b"500", WebSocketState.CLOSED)
    client.lose()


@in_virtual_time
async def test_a_fault_after_the_client_has_left_writes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, keys = waiting(monkeypatch)
    client.transport.closed = True  # aborted: the loop calls connection_lost in the next turn
    keys.fetched.set_exception(ZeroDivisionError())
    await turns()
    assert client.transport.written == b""
    client.lose()
