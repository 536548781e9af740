"""server/websocket/state.py: every transition of the table is reached and followed."""

from collections.abc import Callable
from typing import Any

import pytest

from eventhub.delivery.encoding import CLOSE, TEXT
from eventhub.errors import InvalidFrame
from eventhub.server.websocket.protocol import WebSocketProtocol
from eventhub.server.websocket.state import (
    TRANSITIONS,
    WebSocketState,
    WebSocketTrigger,
)
from eventhub.server.websocket.upgrade import Upgrade, UpgradeRequest
from tests.harness.clients import masked
from tests.harness.loop import in_loop
from tests.unit.server.connections.manager_builder import build
from tests.unit.server.websocket.client import HEADERS, ORIGIN, Transport

CLOSE_FRAME = masked((1000).to_bytes(2), CLOSE)
UNMASKED = b"\x81\x01a"


class Connection:
    """A connection, and the transitions that it took."""

    def __init__(self) -> None:
        self.manager = build(native=False)
        self.transport = Transport()
        self.protocol = WebSocketProtocol(self.manager, self.transport, set(), None)
        self.taken: list[tuple[WebSocketState, WebSocketTrigger]] = []

    def upgrade(self, url: bytes, *headers: tuple[bytes, bytes]) -> None:
        request = UpgradeRequest("GET", url, [*HEADERS, *headers], b"")
        Upgrade(self.manager, self.transport, self.protocol, request).answer()

    def accept(self) -> None:
        self.upgrade(b"/v1/ws")

    def refuse(self) -> None:
        self.upgrade(b"/elsewhere")

    def refuse_page(self) -> None:
        self.upgrade(b"/elsewhere", ORIGIN)

    def fail(self) -> None:
        self.protocol.fail(InvalidFrame("anything"))

    def lose(self) -> None:
        self.protocol.connection_lost(None)

    def close(self) -> None:
        self.protocol.data_received(CLOSE_FRAME)

    def violate(self) -> None:
        self.protocol.data_received(UNMASKED)

    def violate_while_aborted(self) -> None:
        self.transport.closed = True
        self.violate()

    def stop_parsing(self) -> None:
        self.protocol.stop_parsing()


HANDSHAKE, OPEN, CLOSING, CLOSED = WebSocketState
Steps = tuple[Callable[[Connection], None], ...]
accept, close, fail, lose = Connection.accept, Connection.close, Connection.fail, Connection.lose
WAYS: dict[tuple[WebSocketState, WebSocketTrigger], Steps] = {
    (HANDSHAKE, WebSocketTrigger.ACCEPTED): (accept,),
    (HANDSHAKE, WebSocketTrigger.REFUSED): (Connection.refuse,),
    (HANDSHAKE, WebSocketTrigger.CLOSE_SENT): (Connection.refuse_page,),
    (HANDSHAKE, WebSocketTrigger.LOST): (lose,),
    (OPEN, WebSocketTrigger.CLOSE_SENT): (accept, fail),
    (OPEN, WebSocketTrigger.CLOSE_RECEIVED): (accept, close),
    (OPEN, WebSocketTrigger.UNREADABLE): (accept, Connection.violate_while_aborted),
    (OPEN, WebSocketTrigger.LOST): (accept, lose),
    (CLOSING, WebSocketTrigger.CLOSE_RECEIVED): (accept, fail, close),
    (CLOSING, WebSocketTrigger.UNREADABLE): (accept, Connection.violate),
    (CLOSING, WebSocketTrigger.LOST): (accept, fail, lose),
    (CLOSED, WebSocketTrigger.UNREADABLE): (accept, close, Connection.stop_parsing),
    (CLOSED, WebSocketTrigger.LOST): (accept, close, lose),
}


def test_the_ways_are_those_of_the_table() -> None:
    assert WAYS.keys() == {
        (state, trigger) for state, triggers in TRANSITIONS.items() for trigger in triggers
    }


@in_loop
@pytest.mark.parametrize("transition", WAYS, ids=lambda each: f"{each[0].name}-{each[1].name}")
async def test_each_transition_is_taken(
    transition: tuple[WebSocketState, WebSocketTrigger], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = Connection()
    move = WebSocketProtocol._move

    def noted(protocol: Any, trigger: WebSocketTrigger) -> None:
        connection.taken.append((protocol.state, trigger))
        move(protocol, trigger)

    monkeypatch.setattr(WebSocketProtocol, "_move", noted)
    for step in WAYS[transition]:
        step(connection)
    state, trigger = transition
    assert connection.taken[-1] == transition
    assert connection.protocol.state is TRANSITIONS[state][trigger]
    if connection.protocol.state is not CLOSED or trigger is not WebSocketTrigger.LOST:
        lose(connection)


@in_loop
async def test_a_message_is_served_in_state_open_alone() -> None:
    connection = Connection()
    ping = masked(b'{"type":"ping"}', TEXT)
    connection.protocol.data_received(ping)
    assert connection.transport.pongs == 0, "HANDSHAKE"
    accept(connection)
    connection.protocol.data_received(ping)
    assert connection.transport.pongs == 1, "OPEN"
    fail(connection)
    connection.protocol.data_received(ping)
    close(connection)
    connection.protocol.data_received(ping)
    assert connection.transport.pongs == 1, "CLOSING, CLOSED"
    lose(connection)


@in_loop
async def test_a_close_frame_is_answered_once() -> None:
    for own in (False, True):
        connection = Connection()
        accept(connection)
        if own:
            fail(connection)
        close(connection)
        assert connection.transport.written.count(b"\x88") == 1
        assert connection.transport.closed
        lose(connection)
