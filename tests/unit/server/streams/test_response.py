"""server/streams/response.py: what a client is sent, heartbeats, and how a stream ends."""

import asyncio

import pytest

from eventhub.config.limit_settings import LimitSettings
from eventhub.errors import ShuttingDown, TokenExpired, TooManyConnections, UnknownChannel
from eventhub.server.connections.liveness import OutgoingBytes
from eventhub.server.streams import response as module
from eventhub.server.streams.outbox import CLOSE_SECONDS
from eventhub.server.streams.response import abort_of, outgoing_of
from tests.harness.hubs import running
from tests.harness.virtual_time import in_virtual_time, turns
from tests.unit.server.connections.manager_builder import build
from tests.unit.server.streams.client import Client

HEARTBEAT = 20.0


@in_virtual_time
async def test_events_are_sent_as_they_are_published() -> None:
    client = Client()
    async with client.streaming():
        position = await client.publish()
        assert client.messages[0]["status"] == 200
        assert client.head[b"content-type"] == b"text/event-stream"
        assert client.head[b"x-accel-buffering"] == b"no"
        assert client.messages[1]["body"].startswith(b"retry: ")
        assert b"data: " in client.body
        assert b"id: %b\n\n" % str(position).encode() in client.body


@in_virtual_time
async def test_a_client_comes_back_after_a_random_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.random, "randint", lambda low, high: (low + high) // 2)  # type: ignore[attr-defined]
    client = Client()
    async with client.streaming():
        assert client.messages[1]["body"] == b"retry: 2000\n"


@in_virtual_time
async def test_ndjson_has_one_object_a_line() -> None:
    client = Client("ndjson", b"channel=logs.a&channel=logs.b")
    async with client.streaming():
        await client.publish()
        assert client.head[b"content-type"] == b"application/x-ndjson"
        assert b"retry" not in client.body
        assert client.body.count(b"\n") == len(client.body.splitlines()) == 3
        assert b'"level":"info"' in client.body.splitlines()[-1]


@in_virtual_time
async def test_a_stream_of_several_channels_has_a_cursor_of_all() -> None:
    client = Client("sse", b"channel=logs.a&channel=logs.b")
    async with client.streaming():
        position = await client.publish()
        cursor = client.body.rpartition(b"id: ")[2].decode()
        assert f"logs.a@{position}" in cursor
        assert "logs.b@" in cursor


@in_virtual_time
@pytest.mark.parametrize(("transport", "sent"), [("sse", b": heartbeat\n"), ("ndjson", b"\n")])
async def test_a_silent_stream_has_heartbeats(transport: str, sent: bytes) -> None:
    client = Client(transport, heartbeat=HEARTBEAT)
    async with client.streaming():
        before = len(client.messages)
        await asyncio.sleep(HEARTBEAT - 0.1)
        assert len(client.messages) == before
        await asyncio.sleep(0.2)
        assert client.messages[before:] == [
            {"type": "http.response.body", "body": sent, "more_body": True}
        ]


# The end


@in_virtual_time
async def test_a_stream_that_its_client_left_leaves_nothing_behind() -> None:
    client = Client()
    async with client.streaming():
        assert [identity.session for identity in client.manager.registry] == [
            client.response._session
        ]
        assert len(client.manager._connections) == 1
        await client.publish()
    assert len(client.manager.registry) == 0
    assert len(client.manager._connections) == 0
    assert client.response._session.channels == []
    assert client.manager.connection_limits.session("192.0.2.1")
    assert client.response.buffered() == 0
    assert client.response.end_reason == ""


@in_virtual_time
async def test_an_error_is_sent_and_ends_the_stream() -> None:
    client = Client()
    async with client.streaming():
        client.response.fail(TokenExpired("it has expired"))
        assert client.response._session.channels == [], "it subscribes to nothing more"
        await turns()
        assert b"token_expired" in client.body
        assert client.ended
        assert client.response.end_reason == "token_expired"


@in_virtual_time
async def test_an_end_that_the_client_does_not_read_is_cut_off() -> None:
    client = Client()
    async with client.streaming():
        client.room.clear()
        client.response.fail(TokenExpired("it has expired"))
        await asyncio.sleep(CLOSE_SECONDS - 0.1)
        assert not client.aborted
        await asyncio.sleep(0.2)
        assert client.aborted


@in_virtual_time
async def test_a_goodbye_says_when_to_come_back_and_ends_the_stream() -> None:
    client = Client()
    async with client.streaming():
        client.response.goodbye(client.manager.drain.shutting_down())
        assert client.response._session.channels == []
        await turns()
        assert b"goodbye" in client.body
        assert client.ended
        assert client.response.end_reason == "shutting_down"


@in_virtual_time
async def test_a_stream_can_be_cut_off() -> None:
    client = Client()
    async with client.streaming():
        client.response.abort()
        assert client.aborted


@in_virtual_time
async def test_a_subscription_that_is_refused_leaves_nothing_behind() -> None:
    client = Client(query=b"channel=logs.a&channel=nothing.a")
    async with running(client.manager.hub):
        with pytest.raises(UnknownChannel):
            client.open()
        await turns()
        assert (len(client.manager.registry), client.messages) == (0, [])
        assert not client.manager.hub.feeds._feeds.get("logs.a")


@in_virtual_time
async def test_a_stream_beyond_the_limit_of_its_principal_is_refused_and_unsubscribed() -> None:
    client = Client(limits=LimitSettings(connections_per_address=1))
    client.manager.connection_limits.session("192.0.2.1")
    async with running(client.manager.hub):
        client.open()
        with pytest.raises(TooManyConnections):
            await client.task
        assert client.response._session.channels == []


# A node that is about to stop


@in_virtual_time
async def test_a_node_about_to_stop_sends_an_event_source_a_goodbye_with_status_200() -> None:
    manager = build()
    client = Client(manager=manager)
    async with running(manager.hub):
        manager.drain.begin(0)  # as a node among others
        await manager.drain.run()
        assert manager.drain.refusing
        client.open()
        assert client.response._session.channels == []
        await client.task
    assert client.messages[0]["status"] == 200
    assert b"goodbye" in client.body
    assert client.ended
    assert len(manager._connections) == 0


@in_virtual_time
async def test_a_node_about_to_stop_refuses_everybody_else() -> None:
    manager = build()
    client = Client("ndjson", manager=manager)
    async with running(manager.hub):
        manager.drain.begin(0)  # as a node among others
        await manager.drain.run()
        with pytest.raises(ShuttingDown):
            client.open()


def test_a_server_without_our_extensions_tells_and_cuts_nothing() -> None:
    scopes: list[dict[str, object]] = [{}, {"extensions": {}}]
    for scope in scopes:
        abort_of(scope)()
        assert outgoing_of(scope)() == OutgoingBytes(0, 0)
