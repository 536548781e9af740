"""server/websocket/protocol.py: each way in which a connection ends, and what it leaves behind."""

from asyncio import sleep

import pytest

from eventhub.delivery.encoding import CLOSE, TEXT, frame
from eventhub.errors import InvalidFrame, RateLimited, SlowConsumer
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.connections.rejected_connection import LINGER_SECONDS
from eventhub.server.streams.outbox import CLOSE_SECONDS
from eventhub.server.websocket.state import WebSocketState
from tests.harness.clients import masked
from tests.harness.hubs import running
from tests.harness.virtual_time import in_virtual_time
from tests.unit.server.connections.manager_builder import build
from tests.unit.server.websocket.client import (
    ORIGIN,
    PING_COMMAND,
    Client,
    Transport,
    opened,
)

UNMASKED = b"\x81\x01a"


def refused(*headers: tuple[bytes, bytes], halves: bool = True) -> Client:
    """One that asked for another path."""
    client = Client(b"/elsewhere", *headers, transport=Transport(can_end=halves))
    client.upgrade.answer()
    return client


@in_virtual_time
async def test_a_refused_client_has_a_moment_to_read_the_answer() -> None:
    client = refused()
    assert (client.status, client.transport.ended) == (b"404", True)
    await sleep(LINGER_SECONDS - 0.01)
    assert not client.transport.closed
    await sleep(0.02)
    assert client.transport.aborted
    client.lose()


@in_virtual_time
async def test_a_refused_client_that_leaves_by_itself_is_not_cut_off() -> None:
    client = refused()
    client.lose()
    await sleep(2 * LINGER_SECONDS)
    assert not client.transport.aborted


@in_virtual_time
async def test_a_refusal_under_tls_which_has_no_halves_closes_at_once() -> None:
    client = refused(halves=False)
    assert (client.status, client.transport.closed) == (b"404", True)
    assert not client.transport.aborted, "what is written is still sent"
    client.lose()


@in_virtual_time
async def test_a_refused_web_page_can_close_in_order() -> None:
    client = refused(ORIGIN)
    assert client.close_frames == [(4404, "not_found")]
    client.send(masked(b"\x03\xe8", CLOSE))
    assert client.transport.closed
    assert not client.transport.aborted
    client.lose()


@in_virtual_time
async def test_a_client_has_a_moment_to_answer_a_close_frame() -> None:
    client = opened()
    client.protocol.fail(InvalidFrame("anything"))
    assert client.close_frames == [(4400, "invalid_frame")]
    await sleep(CLOSE_SECONDS - 0.01)
    assert not client.transport.closed
    await sleep(0.02)
    assert client.transport.aborted
    client.lose()


@in_virtual_time
async def test_a_closed_connection_leaves_no_timer() -> None:
    client = opened()
    client.protocol.fail(InvalidFrame("anything"))
    client.lose()
    await sleep(2 * CLOSE_SECONDS)
    assert not client.transport.aborted


@in_virtual_time
async def test_the_first_error_is_the_reason_and_sends_the_only_close_frame() -> None:
    client = opened()
    client.protocol.fail(InvalidFrame("first"))
    client.protocol.fail(RateLimited("second"))
    assert [message["message"] for message in client.messages if message["type"] == "error"] == [
        "first"
    ]
    client.send(masked((1000).to_bytes(2), CLOSE))
    client.protocol.fail(RateLimited("third"))
    assert client.close_frames == [(4400, "invalid_frame")]
    assert client.protocol.end_reason == "invalid_frame"
    client.lose()


@in_virtual_time
async def test_a_connection_that_is_cut_off_sends_no_close_frame() -> None:
    client = opened()
    client.protocol.abort()
    assert (client.protocol.end_reason, client.transport.aborted) == ("cut off", True)
    client.protocol.close(1000, "later")
    assert (client.close_frames, client.protocol.state) == ([], WebSocketState.OPEN)
    client.lose()


@in_virtual_time
@pytest.mark.parametrize(
    ("sent", "answered", "reason"),
    [
        ((1000).to_bytes(2) + b"bye", [(1000, "")], "client, 1000"),
        ((3456).to_bytes(2), [(3456, "")], "client, 3456"),
        (b"", [(0, "")], "client, 1005"),
    ],
    ids=["a reason", "a code of its own", "no code"],
)
async def test_a_close_frame_is_answered_with_its_code(
    sent: bytes, answered: list[tuple[int, str]], reason: str
) -> None:
    client = opened()
    client.send(masked(sent, CLOSE), PING_COMMAND)
    assert (client.close_frames, client.protocol.end_reason) == (answered, reason)
    assert (client.transport.closed, client.transport.pongs) == (True, 0)
    client.send(PING_COMMAND)
    assert client.transport.pongs == 0
    client.lose()


@in_virtual_time
async def test_after_a_protocol_violation_nothing_is_parsed_and_our_half_ends() -> None:
    client = opened()
    client.send(UNMASKED)
    assert client.close_frames == [(1002, "a client's frames must be masked")]
    assert (client.protocol.state, client.transport.ended) == (WebSocketState.CLOSED, True)
    client.send(masked((1000).to_bytes(2), CLOSE))
    assert not client.transport.closed, "its frames are not looked at"
    client.lose()


@in_virtual_time
async def test_a_protocol_violation_under_tls_waits_for_the_client_to_leave() -> None:
    client = opened(transport=Transport(can_end=False))
    client.send(UNMASKED)
    assert not client.transport.closed
    await sleep(CLOSE_SECONDS + 0.01)
    assert client.transport.aborted
    client.lose()


@in_virtual_time
async def test_a_half_closed_connection_is_closed() -> None:
    client = opened()
    assert client.protocol.eof_received() is False
    client.lose()


@in_virtual_time
async def test_a_shutdown_closes_what_did_not_close_after_its_goodbye() -> None:
    client = opened()
    client.protocol.goodbye(client.manager.drain.shutting_down())
    assert client.types[-1] == "goodbye"
    assert client.close_frames == [(1012, "shutting_down")]
    client.protocol.shutdown()
    assert client.transport.closed
    client.lose()


@in_virtual_time
async def test_a_connection_without_a_session_gets_no_goodbye() -> None:
    client = Client()
    client.protocol.goodbye(client.manager.drain.shutting_down())
    assert client.transport.written == b""
    client.lose()


@in_virtual_time
@pytest.mark.parametrize("full", [False, True])
async def test_an_error_is_sent_if_there_is_room_for_it(*, full: bool) -> None:
    client = opened()
    client.protocol.full = full
    client.protocol.fail(InvalidFrame("anything"))
    assert ("error" in client.types) is not full
    assert client.close_frames == [(4400, "invalid_frame")]
    client.lose()


@in_virtual_time
async def test_a_slow_consumer_is_sent_only_the_close_frame() -> None:
    client = opened()
    client.protocol.fail(SlowConsumer("too slow"))
    assert "error" not in client.types
    assert client.close_frames[0][1] == "slow_consumer"
    client.lose()


@in_virtual_time
async def test_an_error_of_a_limit_is_counted_once() -> None:
    client = opened()
    for full in (False, True):
        client = opened(manager=client.manager)
        client.protocol.full = full
        client.protocol.fail(RateLimited("too many").with_limit("commands"))
    metrics = client.manager.hub.publisher._metrics
    assert metrics._refused["commands"] == 2
    client.lose()


@in_virtual_time
async def test_a_lost_connection_leaves_nothing_behind() -> None:
    manager = build(native=False)
    async with running(manager.hub):
        check_that_nothing_is_left(manager)


def check_that_nothing_is_left(manager: ConnectionManager) -> None:
    slot = manager.connection_limits.connect("192.0.2.7")
    client = opened(b"/v1/ws?channel=chat.a", manager=manager, slot=slot)
    client.send(masked(b'{"type":"pi', final=False))
    (session,) = [identity.session for identity in client.manager.registry]
    assert (session is not None and session.channels) == ["chat.a"]
    assert client.manager.connection_limits.open == 1
    client.lose()
    assert session is not None
    assert session.channels == []
    assert client.manager.connection_limits.open == 0
    assert client.open_connections == 0
    assert client.connections == set()
    assert len(client.manager.deadlines) == 0
    assert client.protocol.state is WebSocketState.CLOSED
    sent = client.transport.written
    client.protocol.write(b"an event for a subscription that has not ended yet")
    assert client.transport.written == sent


@in_virtual_time
async def test_a_fault_at_the_end_keeps_nothing_else_from_being_cleaned_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Client()
    client.protocol.slot = client.manager.connection_limits.connect("192.0.2.7")
    client.upgrade.answer()
    monkeypatch.setattr(client.manager, "end_session", lambda _: 1 / 0)
    client.lose()
    assert client.manager.hub.faults.counts == {"connection_lost": 1}
    assert client.manager.connection_limits.open == 0
    assert client.open_connections == 0


@in_virtual_time
async def test_the_bytes_that_wait_are_those_of_the_transport() -> None:
    client = opened()
    client.transport.buffered = 17
    assert client.protocol.buffered() == 17
    client.lose()


@in_virtual_time
async def test_what_is_held_back_goes_before_the_close_frame() -> None:
    client = opened()
    client.protocol.pipe.hold()
    client.protocol.write(frame(b"held", TEXT))
    assert client.frames[-1] != (TEXT, b"held")
    client.protocol.close(1000, "enough")
    assert [opcode for opcode, _ in client.frames[-2:]] == [TEXT, CLOSE]
    assert client.frames[-2][1] == b"held"
    client.lose()


@in_virtual_time
async def test_nothing_follows_the_close_frame() -> None:
    client = opened()
    write = client.protocol.write
    client.protocol.close(1000, "enough")
    write(frame(b"late", TEXT))
    assert client.frames[-1][0] == CLOSE
    client.lose()


@in_virtual_time
async def test_nothing_is_read_of_a_client_whose_bytes_cannot_be_parsed() -> None:
    client = opened()
    client.protocol.stop_parsing()
    client.send(PING_COMMAND)
    assert client.transport.pongs == 0
    client.lose()
