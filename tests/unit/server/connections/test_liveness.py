"""server/connections/liveness.py: who is dead, and who is only slow."""

import asyncio
import socket

from eventhub.errors import PingTimeout
from eventhub.server.connections.liveness import (
    BUFFERS_BYTES,
    LEAST_RATE,
    Liveness,
    LivenessTimeouts,
    OutgoingBytes,
    outgoing,
)
from tests.harness.eventually import async_eventually

BEAT = 10.0
STALLED = 300.0
PATIENCE = LivenessTimeouts(BEAT, STALLED)


class Peer:
    """A connection, looked at once a heartbeat."""

    def __init__(self, *, speaks: bool = True) -> None:
        self.liveness = Liveness(0.0, speaks=speaks)
        self.now = 0.0
        self.written = self.taken = 0
        self.silent = 0.0
        self.pings: list[bytes] = []

    def beat(
        self, *, heard: bool = False, reads: bool = True, full: bool = False
    ) -> PingTimeout | None:
        self.now += BEAT
        out = OutgoingBytes(self.written, self.taken, self.silent)
        error = self.liveness.dead(self.now, out, PATIENCE, heard=heard, reads=reads, full=full)
        if error is None and (place := self.liveness.ping(out)) is not None:
            self.pings.append(place)
        return error

    def write(self, count: int, *, taken: bool = True) -> None:
        self.written += count
        if taken:
            self.taken = self.written


def test_who_answers_pings_stays() -> None:
    peer = Peer()
    peer.beat()
    for _ in range(50):
        peer.liveness.pong(peer.pings[-1])
        assert peer.beat(heard=True) is None
    assert len(peer.pings) == 51


def test_one_answer_is_due_for_a_ping() -> None:
    peer = Peer()
    assert not peer.liveness.pong((0).to_bytes(8)), "there was no ping"
    peer.write(1)
    peer.beat()
    ping = peer.pings[-1]
    assert not peer.liveness.pong(b"\xff" * 9)
    assert not peer.liveness.pong((int.from_bytes(ping) - 1).to_bytes(8)), "of an older one"
    assert peer.liveness.pong(ping)
    assert not peer.liveness.pong(ping)


def test_who_says_nothing_is_dead_at_the_beat_after_the_ping() -> None:
    peer = Peer()
    assert peer.beat() is None
    assert isinstance(peer.beat(), PingTimeout)


def test_whatever_comes_is_a_sign_of_life_pong_or_not() -> None:
    peer = Peer()
    for payload in (b"", b"mine", b"\xff" * 9):
        assert peer.beat(heard=True) is None
        peer.liveness.pong(payload)
    assert peer.beat(heard=True) is None
    assert peer.beat() is not None


def test_events_that_go_to_a_kernel_and_no_further_are_no_sign_of_life() -> None:
    peer = Peer()
    peer.beat()
    peer.write(200)
    assert peer.beat() is not None


def test_while_the_ping_waits_a_peer_lives_that_takes_a_little_at_a_time() -> None:
    for full in (True, False):
        peer = Peer()
        peer.write(1_000_000, taken=False)
        for _ in range(99):
            peer.taken += 10_000
            assert peer.beat(full=full, reads=not full) is None
        assert len(peer.pings) == 1, "it is still on its way"


def test_a_window_may_stay_closed_for_long_and_not_for_ever() -> None:
    peer = Peer()
    peer.write(1_000_000, taken=False)
    peer.beat(full=True, reads=False)
    for _ in range(int(STALLED / BEAT) - 1):
        assert peer.beat(full=True, reads=False) is None
    peer.taken += 65536
    for _ in range(int(STALLED / BEAT)):
        assert peer.beat(full=True, reads=False) is None
    error = peer.beat(full=True, reads=False)
    assert error is not None
    assert (error.limit, "limits.stalled_seconds" in error.message) == ("stalled_seconds", True)


def test_a_full_buffer_behind_a_ping_that_was_taken_is_no_life_insurance() -> None:
    peer = Peer()
    peer.beat()
    peer.write(1_000_000, taken=False)
    for _ in range(int(STALLED / BEAT) - 1):
        assert peer.beat(full=True, reads=False) is None
    assert peer.beat(full=True, reads=False) is not None


def test_an_answer_is_due_when_what_lies_before_it_can_have_been_read() -> None:
    peer = Peer()
    peer.beat()
    peer.liveness.pong(peer.pings[-1])
    peer.write(100 * LEAST_RATE)  # all of it in the kernel at the other end, or a proxy's
    assert peer.beat(heard=True) is None
    for _ in range(9):
        assert peer.beat() is None
    assert peer.beat() is not None, "a hundred seconds for a hundred KiB"


def test_a_proxy_that_swallows_much_is_found_when_no_buffer_could_hold_it() -> None:
    peer = Peer()
    peer.beat()
    peer.liveness.pong(peer.pings[-1])
    peer.write(5_000_000)
    assert peer.beat(heard=True) is None
    for _ in range(BUFFERS_BYTES // 5_000_000):
        peer.write(5_000_000)
        assert peer.beat() is None
    peer.write(5_000_000)
    assert peer.beat() is not None, "which 5 MB would have put off for more than an hour"


def test_what_follows_the_ping_puts_its_answer_off_no_further() -> None:
    peer = Peer()
    peer.beat()
    for _ in range(2):
        peer.write(100 * LEAST_RATE)
    assert peer.beat() is not None


def test_answers_that_come_late_say_how_far_it_has_read() -> None:
    peer = Peer()
    peer.beat()
    peer.liveness.pong(peer.pings[-1])
    for _ in range(10):
        peer.write(50 * LEAST_RATE)
        assert peer.beat(heard=True) is None
    for late in peer.pings[1:]:  # each for a ping of long ago
        for _ in range(4):
            assert peer.beat() is None
        peer.liveness.pong(late)
        assert peer.beat(heard=True) is None


def test_while_we_do_not_read_no_answer_is_missed() -> None:
    peer = Peer()
    for _ in range(100):
        assert peer.beat(reads=False) is None
    assert peer.beat() is not None


def test_a_kernel_that_answers_nothing_has_gone_after_two_heartbeats() -> None:
    peer = Peer()
    peer.write(1000, taken=False)
    peer.silent = 2 * BEAT
    assert peer.beat() is None
    peer.silent += 0.1
    assert peer.beat() is not None


def test_a_stream_owes_no_answers_and_has_to_take_what_it_is_sent() -> None:
    stream = Peer(speaks=False)
    for _ in range(100):
        stream.write(20)
        assert stream.beat() is None
    stream.write(20, taken=False)
    assert stream.beat() is None, "what was written by the beat before had been taken"
    for _ in range(int(STALLED / BEAT) - 1):
        assert stream.beat() is None
    assert stream.beat() is not None


def test_a_stream_that_takes_slowly_lives() -> None:
    stream = Peer(speaks=False)
    stream.write(1_000_000, taken=False)
    for _ in range(1000):
        stream.taken += 1000
        assert stream.beat() is None


def test_the_kernel_tells_what_was_written_and_what_was_taken() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(0)
            accepted: asyncio.Future[asyncio.Transport] = loop.create_future()
            server = await loop.create_server(lambda: Accepted(accepted), "127.0.0.1", 0)
            await loop.sock_connect(client, server.sockets[0].getsockname())
            transport = await accepted
            assert outgoing(transport).written == outgoing(transport).taken
            before = outgoing(transport).written
            transport.write(bytes(8_000_000))
            out = outgoing(transport)
            assert out.written - before == 8_000_000
            assert 0 <= out.taken - before < 8_000_000
            left = 8_000_000
            while left:
                left -= len(await loop.sock_recv(client, 1_000_000))
            await async_eventually(
                "the last acknowledgement",
                lambda: outgoing(transport).taken - before,
                lambda seen: seen >= 8_000_000,
            )
            assert outgoing(transport) == OutgoingBytes(before + 8_000_000, before + 8_000_000)
            transport.abort()
            await asyncio.sleep(0)
            assert outgoing(transport) == OutgoingBytes(0, 0), "its descriptor may be another's"
            server.close()

    class Accepted(asyncio.Protocol):
        def __init__(self, accepted: "asyncio.Future[asyncio.Transport]") -> None:
            self.accepted = accepted

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.accepted.set_result(transport)

    async def bounded() -> None:
        async with asyncio.timeout(20):
            await scenario()

    asyncio.run(bounded())
