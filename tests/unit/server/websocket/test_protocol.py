"""server/websocket/protocol.py: opening, frames, back-pressure, and what closing cleans up."""

from typing import Any

import pytest

from eventhub.config.limit_settings import LimitSettings
from eventhub.delivery.encoding import BINARY, COMPRESSED, DEFLATE, PING, PONG, TEXT, WEBSOCKET
from eventhub.errors import InvalidFrame
from eventhub.events.event import NewEvent
from eventhub.server.websocket.publish_queue import BACKLOG
from eventhub.server.websocket.state import WebSocketState
from eventhub.session.session import Session
from tests.harness.clients import masked
from tests.harness.virtual_time import in_virtual_time, turns
from tests.unit.server.websocket.client import PING_COMMAND, opened

OFFER = (b"sec-websocket-extensions", b"permessage-deflate")
EVENT = {"sender": "ana", "text": "hi"}


@in_virtual_time
async def test_an_open_connection_is_counted_and_greeted_behind_the_101() -> None:
    client = opened()
    assert client.transport.written.startswith(b"HTTP/1.1 101 ")
    assert client.types[0] == "hello"
    assert client.connections == {client.protocol}
    assert client.open_connections == 1
    client.lose()


@in_virtual_time
async def test_the_outgoing_buffer_has_the_configured_bound() -> None:
    client = opened(limits=LimitSettings(buffer_bytes=100_000))
    assert client.transport.limits == (100_000, 25_000)
    client.lose()


@in_virtual_time
async def test_signals_take_a_quarter_of_the_outgoing_buffer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = opened(limits=LimitSettings(buffer_bytes=100_000))
    assert [client.protocol.takes_signal(size) for size in (25_000, 25_001)] == [True, False]
    monkeypatch.setattr(client.transport, "get_write_buffer_size", lambda: 24_000)
    assert [client.protocol.takes_signal(size) for size in (1000, 1001)] == [True, False]
    client.lose()


@in_virtual_time
async def test_messages_are_compressed_both_ways_only_if_that_was_negotiated() -> None:
    compressed = opened(b"/v1/ws", OFFER, compression=True)
    assert compressed.protocol.encoding is DEFLATE
    compressed.send(masked(b"\xabV*\xa9,HU\xb2R*\xc8\xccKW\xaa\x05\x00", TEXT | COMPRESSED))
    assert compressed.types[-1] == "pong"
    plain = opened()
    assert plain.protocol.encoding is WEBSOCKET
    plain.send(masked(b"anything", TEXT | COMPRESSED))
    assert plain.close_frames[0][0] == 1002
    compressed.lose()
    plain.lose()


@in_virtual_time
async def test_a_ping_is_answered_with_its_payload_unless_the_buffer_is_full() -> None:
    client = opened()
    client.send(masked(b"abc", PING))
    assert client.frames[-1] == (PONG, b"abc")
    client.protocol.pause_writing()
    client.send(masked(b"def", PING))
    assert (PONG, b"def") not in client.frames
    client.lose()


@in_virtual_time
async def test_frames_that_ask_for_nothing_are_ignored() -> None:
    client = opened()
    sent = client.transport.written
    client.send(masked(b"unasked", PONG), masked(b'{"type":"pi', TEXT, final=False))
    assert client.transport.written == sent
    client.send(masked(b'ng"}', 0))
    assert client.types[-1] == "pong"
    assert client.protocol.state is WebSocketState.OPEN
    client.lose()


@in_virtual_time
async def test_a_binary_message_ends_the_connection() -> None:
    client = opened()
    client.send(masked(b"{}", BINARY), PING_COMMAND)
    assert (client.types[-1], client.messages[-1]["code"]) == ("error", "unsupported_media_type")
    assert client.close_frames == [(4415, "unsupported_media_type")]
    client.lose()


@in_virtual_time
async def test_a_fault_while_a_frame_is_served_ends_the_connection_and_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = opened()
    monkeypatch.setattr(Session, "receive", lambda *_: 1 / 0)
    client.send(PING_COMMAND)
    assert client.manager.hub.faults.counts == {"message": 1}
    assert client.close_frames == [(4500, "internal")]
    assert client.transport.ended, "the rest cannot be parsed"
    client.lose()


# Back-pressure


@pytest.fixture
def subscriptions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What subscriptions are told about their connection's buffer."""
    told: list[str] = []
    monkeypatch.setattr(Session, "congested", lambda _: told.append("congested"))
    monkeypatch.setattr(Session, "drained", lambda _: told.append("drained"))
    return told


@in_virtual_time
async def test_a_client_that_does_not_read_is_not_read_until_it_does(
    subscriptions: list[str],
) -> None:
    client = opened()
    client.protocol.pause_writing()
    assert subscriptions == [], "later: asyncio calls this inside a write"
    await turns()
    assert (client.transport.reading, subscriptions) == (False, ["congested"])
    client.protocol.resume_writing()
    assert subscriptions == ["congested"]
    await turns()
    assert (client.transport.reading, subscriptions) == (True, ["congested", "drained"])
    client.lose()


@in_virtual_time
async def test_a_buffer_that_fills_and_drains_within_a_turn_disturbs_no_subscription(
    subscriptions: list[str],
) -> None:
    client = opened()
    client.protocol.pause_writing()
    client.protocol.resume_writing()
    client.protocol.pause_writing()
    await turns()
    assert "drained" not in subscriptions
    client.protocol.resume_writing()
    await turns()
    assert client.transport.reading
    client.lose()
    told = list(subscriptions)
    client.protocol.pause_writing()
    client.protocol.resume_writing()
    await turns()
    assert subscriptions == told, "it has closed"


@in_virtual_time
async def test_a_buffer_that_has_drained_again_congests_nothing(subscriptions: list[str]) -> None:
    client = opened()
    client.protocol.pause_writing()
    client.protocol.full = False
    await turns()
    assert (client.transport.reading, subscriptions) == (True, [])
    client.lose()


@in_virtual_time
async def test_a_client_with_many_publishes_under_way_is_not_read_until_they_are_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = opened(limits=LimitSettings(commands=1_000_000))
    work: list[Any] = []
    monkeypatch.setattr(client.manager.hub, "spawn", lambda coroutine, *_: work.append(coroutine))
    for number in range(BACKLOG):
        assert client.transport.reading, number
        client.command(type="publish", channel="chat.a", data=EVENT, ref=str(number))
    assert not client.transport.reading
    monkeypatch.setattr(client.manager.hub, "publish", publish_nothing)
    (publishing,) = work
    await publishing
    assert client.transport.reading
    answers = [message["ref"] for message in client.messages if message["type"] == "error"]
    assert answers == [str(number) for number in range(BACKLOG)]
    client.lose()


async def publish_nothing(events: list[NewEvent], traces: Any = ()) -> list[InvalidFrame]:
    return [InvalidFrame("refused") for _ in events]


@in_virtual_time
async def test_a_publish_that_is_answered_after_the_end_writes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = opened()
    monkeypatch.setattr(client.manager.hub, "spawn", lambda work, *_: work.close())
    client.command(type="publish", channel="chat.a", data=EVENT)
    client.lose()
    sent = client.transport.written
    client.protocol._published("1", "chat.a", InvalidFrame("refused"))
    assert client.transport.written == sent


@in_virtual_time
async def test_a_full_buffer_and_a_full_queue_both_hold_the_client_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = opened()
    monkeypatch.setattr(client.manager.hub, "spawn", lambda work, *_: work.close())
    assert client.protocol.accepts_commands
    client.protocol.full = True
    assert not client.protocol.accepts_commands
    client.protocol.full = False
    client.command(type="publish", channel="chat.a", data=EVENT)
    assert client.protocol.accepts_commands
    queue = client.protocol._publish_queue
    assert queue is not None
    queue._waiting *= BACKLOG
    assert not client.protocol.accepts_commands
    client.lose()


@in_virtual_time
async def test_an_event_is_queued_with_its_ref_and_its_reference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = opened()
    monkeypatch.setattr(client.manager.hub, "spawn", lambda work, *_: work.close())
    refers = {"refers": "k3x9-7", "relation": "reaction"}
    client.command(type="publish", channel="chat.a", data=EVENT, ref=7, **refers)
    queue = client.protocol._publish_queue
    assert queue is not None
    ((ref, event, _, _, reference),) = queue._waiting
    assert reference is not None
    assert (ref, event.channel, reference.attributes) == (7, "chat.a", refers)
    client.lose()
