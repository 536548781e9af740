"""server/streams/response.py: clients that do not read, or have gone."""

import asyncio

import pytest

from eventhub.config.limit_settings import LimitSettings
from eventhub.errors import TokenExpired
from eventhub.server.connections.liveness import OutgoingBytes
from eventhub.server.messages.asgi_extensions import HALF_CLOSED
from eventhub.server.streams import response as module
from eventhub.session.session import Session
from tests.harness.hubs import running
from tests.harness.virtual_time import in_virtual_time, turns
from tests.unit.server.streams.client import Client

HEARTBEAT = 20.0


@in_virtual_time
async def test_a_full_outbox_congests_the_subscriptions_until_it_has_drained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    monkeypatch.setattr(Session, "congested", lambda _: told.append("congested"))
    monkeypatch.setattr(Session, "drained", lambda _: told.append("drained"))
    client = Client(limits=LimitSettings(buffer_bytes=70_000))
    async with client.streaming():
        client.room.clear()
        client.response._outbox.write(b"x" * 60_000)
        assert client.response.buffered() == 60_000
        await turns()
        client.response._outbox.write(b"x" * 60_000)
        client.response._outbox.write(b"x" * 60_000)
        await turns()
        assert told == ["congested"]
        client.room.set()
        await turns()
        assert told == ["congested", "drained"]
        assert client.response.buffered() == 0


@in_virtual_time
async def test_an_outbox_that_drains_within_a_turn_congests_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Session, "congested", lambda _: pytest.fail("it has room"))
    monkeypatch.setattr(Session, "drained", lambda _: pytest.fail("it is full"))
    client = Client()
    async with client.streaming():
        client.response._congested()
        client.response._outbox.full = True
        client.response._drained()


@in_virtual_time
async def test_a_fault_of_a_full_outbox_ends_this_stream_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Session, "congested", lambda _: 1 / 0)
    client = Client(limits=LimitSettings(buffer_bytes=70_000))
    async with client.streaming():
        client.room.clear()
        for _ in range(3):
            client.response._outbox.write(b"x" * 60_000)
            await turns()
        assert client.manager.hub.faults.counts == {"congested": 1}
        assert client.response.end_reason == "internal"


@in_virtual_time
async def test_a_client_that_takes_nothing_for_too_long_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])  # type: ignore[attr-defined]
    client = Client(heartbeat=HEARTBEAT, limits=LimitSettings(stalled_seconds=100))
    async with client.streaming():
        client.outgoing = OutgoingBytes(5000, 1000)
        for _ in range(5):
            client.response.heartbeat()
            now[0] += HEARTBEAT
        assert client.response.end_reason == ""
        client.response.heartbeat()
        assert client.response.end_reason == "ping_timeout"
        client.response.heartbeat()
        await turns()
        assert client.body.count(b"ping_timeout") == 1


@in_virtual_time
async def test_a_client_that_takes_what_is_sent_owes_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])  # type: ignore[attr-defined]
    client = Client(heartbeat=HEARTBEAT, limits=LimitSettings(stalled_seconds=100))
    async with client.streaming():
        client.outgoing = OutgoingBytes(1000, 1000)
        for _ in range(100):
            client.response.heartbeat()
            now[0] += HEARTBEAT
        assert client.response.end_reason == ""


@in_virtual_time
async def test_a_client_that_closed_its_half_is_probed_ever_less_often() -> None:
    client = Client(heartbeat=HEARTBEAT)
    async with client.streaming():
        before = len(client.messages)
        client.received.put_nowait({"type": HALF_CLOSED})
        await turns()
        assert client.messages[before:][0]["body"] == b": heartbeat\n"
        await asyncio.sleep(0.09)
        assert len(client.messages) == before + 1
        await asyncio.sleep(HEARTBEAT / 2)
        assert len(client.messages) == before + 7
        client.received.put_nowait({"type": "http.request", "body": b"ignored"})
    probes = len(client.messages)
    await asyncio.sleep(2 * HEARTBEAT)
    assert len(client.messages) == probes, "its timer has stopped"


@in_virtual_time
async def test_a_malformed_body_ends_the_stream_as_a_disconnect_does() -> None:
    client = Client()

    async def malformed() -> dict[str, str]:
        raise TokenExpired("any error")

    client.received.get = malformed  # type: ignore[method-assign]
    async with running(client.manager.hub):
        client.open()
        await client.task
    assert len(client.manager._connections) == 0
