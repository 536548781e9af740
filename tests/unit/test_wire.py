"""wire.py: how much of what a client sent is looked at in one turn of the loop, and what it pays for."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from eventhub.server.turns import GAP, SLICE_SECONDS, TURN_SECONDS
from eventhub.server.wire import FEW, WebSocketProtocol
from eventhub.settings import LimitSettings
from tests.clients import masked
from tests.loop import in_loop
from tests.unit.test_gateway import build

HEADERS = [
    (b"host", b"localhost"),
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    (b"sec-websocket-version", b"13"),
]
PING = masked(b'{"type":"ping"}')


class Transport(asyncio.Transport):
    """One that keeps what is written, and knows whether it is read from."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reading = True
        self.closed = False

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    @property
    def pongs(self) -> int:
        return self.written.count(b'"pong"')


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets how much CPU time each message takes: of a clock that goes on when a frame is done, and not otherwise."""
    now, step = [0.0], [0.0]

    def clock() -> float:
        now[0] += step[0]
        return now[0]

    monkeypatch.setattr("eventhub.server.wire.thread_time", clock)
    return lambda each: step.__setitem__(0, each)


def clients(count: int, **limits: Any) -> list[tuple[WebSocketProtocol, Transport]]:
    gateway = build(limits=LimitSettings(**limits), native=False)
    found = []
    for _ in range(count):
        transport = Transport()
        protocol = WebSocketProtocol(gateway, transport, set(), None)
        protocol.handshake("GET", b"/v1/ws", HEADERS, b"")
        found.append((protocol, transport))
    return found


async def turn() -> None:
    for _ in range(GAP):
        await asyncio.sleep(0)


@in_loop
async def test_a_burst_of_dear_messages_is_worked_off_a_slice_a_turn_and_not_read_meanwhile(seconds: Callable[[float], None]) -> None:
    ((client, transport),) = clients(1, commands=1_000_000)
    seconds(SLICE_SECONDS * 0.6)
    client.data_received(PING * 10)
    assert (transport.pongs, transport.reading) == (2, False)
    done = []
    for _ in range(6):
        await turn()
        done.append(transport.pongs)
    assert done[-1] == 10
    assert all(later - earlier <= 4 for earlier, later in pairwise(done))
    assert transport.reading


@in_loop
async def test_many_clients_share_a_turn_and_each_gets_its_piece(seconds: Callable[[float], None]) -> None:
    crowd = clients(10, commands=1_000_000)
    seconds(SLICE_SECONDS)
    for client, _ in crowd:
        client.data_received(PING * 4)
    a_turn = round(TURN_SECONDS / SLICE_SECONDS)
    assert sum(transport.pongs for _, transport in crowd) <= a_turn
    for number in range(2, 22):
        await turn()
        done = [transport.pongs for _, transport in crowd]
        assert sum(done) <= number * a_turn
        assert max(done) - min(done) <= 2
    assert sum(done) == 40


@in_loop
async def test_a_small_message_goes_before_the_bursts_of_others(seconds: Callable[[float], None]) -> None:
    *crowd, (honest, transport) = clients(11, commands=1_000_000)
    seconds(SLICE_SECONDS)
    for client, _ in crowd:
        client.data_received(PING * 400)
    await turn()
    honest.data_received(PING)
    assert transport.pongs == 0
    await turn()
    assert transport.pongs == 1


@in_loop
async def test_ordinary_messages_are_answered_in_the_turn_in_which_they_came(seconds: Callable[[float], None]) -> None:
    crowd = clients(10)
    seconds(0.000002)
    for client, transport in crowd:
        client.data_received(PING * 20)
        assert (transport.pongs, transport.reading) == (20, True)


@in_loop
async def test_the_pace_counts_the_time_that_messages_take(seconds: Callable[[float], None]) -> None:
    ((client, transport),) = clients(1, commands=200)
    seconds(0.0125)  # fifty commands' worth
    client.data_received(PING * 20)
    for _ in range(20):
        await turn()
    assert 8 <= transport.pongs <= 9, "four hundred at once"
    assert not transport.reading
    client.connection_lost(None)


@in_loop
async def test_the_pace_counts_the_bytes_that_messages_have(seconds: Callable[[float], None]) -> None:
    ((client, transport),) = clients(1, commands=10)
    seconds(0)
    client.data_received(masked(b'{"type":"ping"' + b" " * 60_000 + b"}") * 10)
    assert 5 <= transport.pongs <= 6, "twenty at once, of 16 KiB each"
    assert not transport.reading
    client.connection_lost(None)


@in_loop
async def test_a_client_that_has_gone_while_it_waited_for_its_turn_is_forgotten(seconds: Callable[[float], None]) -> None:
    ((client, transport),) = clients(1, commands=1_000_000)
    seconds(SLICE_SECONDS)
    client.data_received(PING * 5)
    client.connection_lost(None)
    for _ in range(5):
        await turn()
    assert transport.pongs == 1


@in_loop
async def test_a_crowd_that_leaves_is_taken_out_of_its_channels_a_few_a_turn(seconds: Callable[[float], None]) -> None:
    crowd = clients(10, commands=1_000_000)
    gateway = crowd[0][0]._gateway
    hub = asyncio.create_task(gateway.hub.run())
    await gateway.hub.started.wait()
    for client, _ in crowd:
        for channel in range(FEW + 1):
            client.data_received(masked(b'{"type":"subscribe","channel":"chat.%d"}' % channel))
    seconds(SLICE_SECONDS)
    assert all(client.eof_received() for client, _ in crowd), "they stay open until it is their turn"
    left = []
    for _ in range(5):
        await turn()
        left.append(sum(transport.closed for _, transport in crowd))
    a_turn = round(TURN_SECONDS / SLICE_SECONDS)
    assert left[-1] == 10
    assert all(later - earlier <= a_turn for earlier, later in pairwise([0, *left]))
    assert all(client._session is None for client, _ in crowd)
    hub.cancel()


@in_loop
async def test_a_client_of_few_channels_leaves_at_once() -> None:
    ((client, _),) = clients(1)
    assert not client.eof_received()
