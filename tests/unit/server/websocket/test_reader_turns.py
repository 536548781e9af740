"""server/websocket/reader.py: what is served in one turn of the loop, and what is charged."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from operator import sub
from typing import Any

import pytest

from eventhub.config.limit_settings import LimitSettings
from eventhub.delivery.encoding import CLOSE
from eventhub.delivery.subscriber import Subscriber
from eventhub.errors import InvalidFrame
from eventhub.events.event import NewEvent
from eventhub.server.connections.fair_queue import (
    LOOP_TURNS_BETWEEN,
    SLICE_SECONDS,
    SMALL,
    TURN_SECONDS,
)
from eventhub.server.websocket.protocol import WebSocketProtocol
from eventhub.server.websocket.upgrade import Upgrade, UpgradeRequest
from tests.harness.clients import masked
from tests.harness.eventually import in_turns
from tests.harness.hubs import running
from tests.harness.loop import in_loop
from tests.unit.server.connections.manager_builder import build
from tests.unit.server.websocket.client import HEADERS, Transport

PING = masked(b'{"type":"ping"}')
LONG_PING = masked(b'{"type":"ping"}' + b" " * SMALL)


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the CPU time of each message. The clock moves only when a frame is done."""
    now, step = [0.0], [0.0]

    def clock() -> float:
        now[0] += step[0]
        return now[0]

    monkeypatch.setattr("eventhub.server.websocket.reader.thread_time", clock)
    return lambda each: step.__setitem__(0, each)


def clients(count: int, **limits: Any) -> list[tuple[WebSocketProtocol, Transport]]:
    manager = build(limits=LimitSettings(**limits), native=False)
    found = []
    for _ in range(count):
        transport = Transport()
        protocol = WebSocketProtocol(manager, transport, set(), None)
        request = UpgradeRequest("GET", b"/v1/ws", HEADERS, b"")
        Upgrade(manager, transport, protocol, request).answer()
        found.append((protocol, transport))
    return found


async def turn() -> None:
    for _ in range(LOOP_TURNS_BETWEEN):
        await asyncio.sleep(0)


@in_loop
async def test_a_burst_of_expensive_messages_is_served_a_slice_a_turn_and_nothing_is_read_meanwhile(
    seconds: Callable[[float], None],
) -> None:
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
async def test_many_clients_share_a_turn_and_each_gets_its_piece(
    seconds: Callable[[float], None],
) -> None:
    crowd = clients(10, commands=1_000_000)
    seconds(SLICE_SECONDS)
    for client, _ in crowd:
        client.data_received(LONG_PING * 4)
    a_turn = round(TURN_SECONDS / SLICE_SECONDS)
    assert sum(transport.pongs for _, transport in crowd) <= a_turn
    for number in range(2, 22):
        await turn()
        done = [transport.pongs for _, transport in crowd]
        assert sum(done) <= number * a_turn
        assert max(done) - min(done) <= 2
    assert sum(done) == 40


@in_loop
async def test_a_small_message_goes_before_the_bursts_of_others(
    seconds: Callable[[float], None],
) -> None:
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
async def test_ordinary_messages_are_answered_at_once(
    seconds: Callable[[float], None],
) -> None:
    crowd = clients(10)
    seconds(0.000002)
    for client, transport in crowd:
        client.data_received(PING * 20)
        assert (transport.pongs, transport.reading) == (20, True)


@in_loop
async def test_the_limit_of_commands_counts_cpu_time(
    seconds: Callable[[float], None],
) -> None:
    ((client, transport),) = clients(1, commands=200)
    seconds(0.0125)  # fifty commands' worth
    client.data_received(PING * 20)
    for _ in range(20):
        await turn()
    assert 8 <= transport.pongs <= 9, "four hundred at once"
    assert not transport.reading
    client.connection_lost(None)


@in_loop
async def test_the_limit_of_commands_counts_bytes(
    seconds: Callable[[float], None],
) -> None:
    ((client, transport),) = clients(1, commands=10)
    seconds(0)
    client.data_received(masked(b'{"type":"ping"' + b" " * 60_000 + b"}") * 10)
    assert 5 <= transport.pongs <= 6, "twenty at once, of 16 KiB each"
    assert not transport.reading
    client.connection_lost(None)


@in_loop
async def test_a_client_that_disconnects_while_it_waits_for_its_turn_is_not_served(
    seconds: Callable[[float], None],
) -> None:
    ((client, transport),) = clients(1, commands=1_000_000)
    seconds(SLICE_SECONDS)
    client.data_received(PING * 5)
    client.connection_lost(None)
    for _ in range(5):
        await turn()
    assert transport.pongs == 1


ENDS: dict[str, Callable[[WebSocketProtocol], None]] = {
    "reset, or ended under TLS": lambda client: client.connection_lost(None),
    "closed": lambda client: client.data_received(masked((1000).to_bytes(2), CLOSE)),
    "ended by the server": lambda client: client.fail(InvalidFrame("anything")),
}


@in_loop
@pytest.mark.parametrize("end", ENDS)
async def test_many_clients_that_disconnect_unsubscribe_over_several_turns_and_get_nothing_more(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd, channels, a_slice = clients(10, commands=1_000_000), 20, 4
    hub = crowd[0][0]._manager.hub
    async with running(hub):
        for client, _ in crowd:
            client.data_received(
                b"".join(
                    masked(b'{"type":"subscribe","channel":"chat.%d"}' % channel)
                    for channel in range(channels)
                )
            )
        await in_turns(
            "all subscriptions",
            lambda: sum(transport.written.count(b'"subscribed"') for _, transport in crowd),
            lambda seen: seen == 10 * channels,
        )
        now, left, unsubscribe = [0.0], [0], hub.unsubscribe

        def counted(subscriber: Subscriber) -> None:
            now[0] += 1.001 * SLICE_SECONDS / a_slice
            left[0] += 1
            unsubscribe(subscriber)

        monkeypatch.setattr("eventhub.server.connections.fair_queue.thread_time", lambda: now[0])
        monkeypatch.setattr("eventhub.server.websocket.reader.thread_time", lambda: now[0])
        monkeypatch.setattr(hub, "unsubscribe", counted)
        await in_turns("a new turn", lambda: not crowd[0][0]._manager.fair_queue.over)
        for client, _ in crowd:
            ENDS[end](client)
        assert left[0] == a_slice, "the first begins, the others wait for their turn"
        written = crowd[0][1].written
        await hub.publish(
            [
                NewEvent(f"chat.{channel}", b'{"user":"ana","text":"hi"}', hub.now())
                for channel in range(channels)
            ]
        )
        a_turn = a_slice * round(TURN_SECONDS / SLICE_SECONDS)
        done = [left[0]]
        while done[-1] < 10 * channels and len(done) < 100:
            await turn()
            done.append(left[0])
        assert (done[-1], [more for more in map(sub, done[1:], done) if more > a_turn]) == (
            10 * channels,
            [],
        )
        assert all(client._session is None for client, _ in crowd)
        assert crowd[0][1].written == written


@in_loop
async def test_the_last_small_part_of_a_burst_goes_before_the_bursts_of_others(
    seconds: Callable[[float], None],
) -> None:
    *crowd, (honest, transport) = clients(11, commands=1_000_000)
    seconds(SLICE_SECONDS)
    for client, _ in crowd:
        client.data_received(PING * 400)
    honest.data_received(PING * 5)
    for answered in range(1, 6):
        await turn()
        assert transport.pongs >= answered
