"""server/websocket/protocol.py: pings, and when a client counts as gone. The clock stands still
between heartbeats; the kernel's figures are made up.
"""

from asyncio import get_running_loop, sleep

import pytest

from eventhub.config.limit_settings import LimitSettings
from eventhub.delivery.encoding import PING, PONG, TEXT
from eventhub.errors import InvalidFrame
from eventhub.server.connections.liveness import OutgoingBytes
from eventhub.server.websocket import protocol, reader
from tests.harness.clients import masked
from tests.harness.virtual_time import in_virtual_time, turns
from tests.unit.server.websocket.client import PING_COMMAND, Client, opened

HEARTBEAT = 20.0
STALLED = 100
COMMANDS = 50


class Kernel:
    """What was written to the client, and what its machine has taken."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written = self.taken = 1000
        monkeypatch.setattr(protocol, "outgoing", lambda _: OutgoingBytes(self.written, self.taken))
        limits = LimitSettings(stalled_seconds=STALLED, commands=COMMANDS)
        self.client = opened(heartbeat=HEARTBEAT, limits=limits)
        self.client.send(PING_COMMAND)

    async def heartbeat(self) -> None:
        """The next one."""
        await sleep(HEARTBEAT)
        self.client.protocol.heartbeat()


def pings(client: Client) -> list[bytes]:
    return [payload for opcode, payload in client.frames if opcode == PING]


@in_virtual_time
async def test_each_heartbeat_sends_a_ping_with_its_place_in_the_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = Kernel(monkeypatch)
    await kernel.heartbeat()
    assert pings(kernel.client) == [(1000).to_bytes(8)]
    kernel.client.lose()


@in_virtual_time
async def test_no_ping_is_sent_while_the_last_one_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch)
    kernel.written = 2000
    await kernel.heartbeat()
    await kernel.heartbeat()
    assert len(pings(kernel.client)) == 1
    kernel.client.lose()


@in_virtual_time
async def test_a_client_that_answers_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch)
    for _ in range(10):
        await kernel.heartbeat()
        kernel.client.send(masked(pings(kernel.client)[-1], PONG))
    assert kernel.client.close_frames == []
    kernel.client.lose()


@in_virtual_time
async def test_an_answer_counts_even_when_it_is_no_sign_of_life_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = Kernel(monkeypatch)
    await kernel.heartbeat()
    kernel.client.send(masked(pings(kernel.client)[-1], PONG))
    assert kernel.client.protocol._liveness._asked == -1
    kernel.client.lose()


@in_virtual_time
async def test_a_silent_client_is_ended_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch)
    await kernel.heartbeat()
    await kernel.heartbeat()
    assert kernel.client.close_frames[0][1] == "ping_timeout"
    assert len(pings(kernel.client)) == 1, "no ping behind the close frame"
    kernel.client.lose()


@in_virtual_time
async def test_whatever_a_client_sends_is_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch)
    for _ in range(5):
        await kernel.heartbeat()
        kernel.client.send(masked(b"unasked", PONG))
    assert kernel.client.close_frames == []
    await kernel.heartbeat()
    await kernel.heartbeat()
    assert kernel.client.close_frames != []
    kernel.client.lose()


@in_virtual_time
async def test_the_answer_to_a_ping_is_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch)
    await kernel.heartbeat()
    frames = kernel.client.protocol._reader
    assert frames._throttle is None, "the first message was long ago"
    answer = masked(pings(kernel.client)[-1], PONG)
    kernel.client.send(answer)
    assert frames._throttle is None
    kernel.client.send(answer)
    assert frames._throttle is not None, "a second answer was not asked for"
    kernel.client.lose()


@in_virtual_time
async def test_what_comes_with_the_answer_to_a_ping_is_charged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reader, "thread_time", float)
    kernel = Kernel(monkeypatch)
    await kernel.heartbeat()
    begun = masked(b"{", TEXT, final=False)
    kernel.client.send(begun, masked(pings(kernel.client)[-1], PONG))
    throttle = kernel.client.protocol._reader._throttle
    assert throttle is not None
    owed = throttle._bucket._full - 1000 * get_running_loop().time()
    assert owed == pytest.approx(1000 / COMMANDS), "for one frame"
    kernel.client.lose()


@in_virtual_time
async def test_a_client_in_debt_stays_so_over_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch)
    kernel.client.send(*[PING_COMMAND] * COMMANDS)
    kernel.client.protocol.heartbeat()
    assert kernel.client.protocol._reader._throttle is not None
    kernel.client.lose()


@in_virtual_time
async def test_frames_that_wait_stay_so_over_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch)
    kernel.client.protocol._reader._own_throttle().hold(iter(()))
    await kernel.heartbeat()
    assert kernel.client.protocol._reader.paused
    kernel.client.lose()


@in_virtual_time
async def test_a_client_that_is_not_read_is_not_called_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = Kernel(monkeypatch)
    kernel.client.protocol._reader._own_throttle().hold(iter(()))
    for _ in range(5):
        await kernel.heartbeat()
    assert kernel.client.close_frames == []
    kernel.client.lose()


@in_virtual_time
async def test_a_client_that_does_not_read_has_the_time_for_stalled_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = Kernel(monkeypatch)
    await kernel.heartbeat()
    kernel.client.protocol.pause_writing()
    for _ in range(int(STALLED / HEARTBEAT) - 1):
        await kernel.heartbeat()
    assert kernel.client.close_frames == []
    await kernel.heartbeat()
    assert kernel.client.close_frames[0][1] == "ping_timeout"
    kernel.client.lose()


@in_virtual_time
async def test_a_client_whose_buffer_has_drained_has_time_to_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = Kernel(monkeypatch)
    await kernel.heartbeat()
    kernel.client.protocol.pause_writing()
    kernel.client.protocol.resume_writing()
    await turns()
    await kernel.heartbeat()
    assert kernel.client.close_frames == [], "its answer was not read"
    kernel.client.lose()


@in_virtual_time
@pytest.mark.parametrize("end", ["closing", "cut off", "not open"])
async def test_a_connection_that_ends_has_no_heartbeats(
    monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    client = opened() if end != "not open" else Client()
    monkeypatch.setattr(protocol, "outgoing", lambda _: pytest.fail("nobody may ask"))
    if end == "closing":
        client.protocol.fail(InvalidFrame("anything"))
    elif end == "cut off":
        client.protocol.abort()
    client.protocol.heartbeat()
    assert pings(client) == []
    client.lose()
