"""bulk_write.py and _native.c: one contract for both, over real sockets and both event loops."""

import asyncio
import gc
import random
import socket
import ssl
import subprocess
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
import uvloop

from eventhub.delivery import bulk_write
from eventhub.delivery.bulk_write import Pipe, PlainPipe, Write, write_all_plainly
from eventhub.server.websocket.transport_setup import pipe

BIG = b"x" * 300_000
"""More than the sockets of these tests take at once."""


class Peer(asyncio.Protocol):
    """One end under test, in an event loop; the other read by hand."""

    def __init__(self, *, native: bool) -> None:
        self.native = native
        self.paused = False
        self.lost = asyncio.Event()

    async def open(self) -> "Peer":
        near, self.far = socket.socketpair()
        for sock in (near, self.far):
            sock.settimeout(0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_connection(lambda: self, sock=near)
        self.transport.set_write_buffer_limits(high=100_000, low=10_000)
        self.pipe = pipe(self.transport, native=self.native)
        assert isinstance(self.pipe, PlainPipe) != self.native
        self.write: Write = self.pipe
        return self

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.pipe.close()
        self.lost.set()

    def descriptor(self) -> int:
        number: int = self.transport.get_extra_info("socket").fileno()
        return number

    async def received(self, count: int) -> bytes:
        """The next `count` bytes at the far end."""
        loop = asyncio.get_running_loop()
        data = b""
        async with asyncio.timeout(10):
            while len(data) < count:
                data += await loop.sock_recv(self.far, count - len(data))
        return data

    def unread(self) -> bytes:
        """What is there now."""
        try:
            return self.far.recv(1_000_000)
        except BlockingIOError:
            return b""

    async def close(self) -> None:
        self.transport.abort()
        await self.lost.wait()
        self.far.close()


class Broken:
    """A transport of which one method raises."""

    def __init__(self, method: str) -> None:
        self.method = method

    def write(self, data: bytes) -> None:
        if self.method == "write":
            raise RuntimeError("write")

    def get_write_buffer_size(self) -> int:
        if self.method == "get_write_buffer_size":
            raise RuntimeError("get_write_buffer_size")
        return 1


Scenario = Callable[[Callable[[], Awaitable[Peer]]], Awaitable[None]]
Run = Callable[[Scenario], None]


@pytest.fixture(params=["native", "plain"])
def native(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Both ways. The native one must have been built here: its tests are never left out."""
    assert Pipe is not None, (
        "eventhub._native was not built; is there a C compiler, and python3-dev?"
    )
    if request.param == "plain":
        monkeypatch.setattr(bulk_write, "write_all", write_all_plainly)
    return str(request.param) == "native"


@pytest.fixture(params=[uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest, native: bool) -> Run:  # noqa: FBT001  # a fixture
    async def main(scenario: Scenario) -> None:
        peers: list[Peer] = []

        async def open_one() -> Peer:
            peers.append(await Peer(native=native).open())
            return peers[-1]

        try:
            await scenario(open_one)
        finally:
            for peer in peers:
                await peer.close()

    def run(scenario: Scenario) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(main(scenario))

    return run


def test_everybody_gets_the_bytes(run: Run) -> None:
    async def scenario(opened: Callable[[], Awaitable[Peer]]) -> None:
        peers = [await opened() for _ in range(300)]  # more than one batch of the native way
        bulk_write.write_all([peer.write for peer in peers], b"hello")
        for peer in peers:
            assert await peer.received(5) == b"hello"

    run(scenario)


def test_a_reply_and_what_follows_it_keep_their_order(run: Run) -> None:
    async def scenario(opened: Callable[[], Awaitable[Peer]]) -> None:
        peer = await opened()
        peer.write(b"1")
        bulk_write.write_all([peer.write], b"2")
        peer.write(b"3")
        bulk_write.write_all([peer.write], b"4")
        bulk_write.write_all([peer.write], b"5")
        assert await peer.received(5) == b"12345"
        bulk_write.write_all([peer.write], b"6")
        peer.write(b"7")
        assert await peer.received(2) == b"67"

    run(scenario)


def test_what_a_socket_does_not_take_follows_in_order_and_the_protocol_is_told(run: Run) -> None:
    async def scenario(opened: Callable[[], Awaitable[Peer]]) -> None:
        slow, quick = await opened(), await opened()
        bulk_write.write_all([slow.write, quick.write], BIG)
        bulk_write.write_all([slow.write], b"end")
        assert slow.paused
        assert quick.paused
        assert await slow.received(len(BIG) + 3) == BIG + b"end"
        assert await quick.received(len(BIG)) == BIG
        assert not slow.paused
        bulk_write.write_all([slow.write], b"again")
        assert await slow.received(5) == b"again"

    run(scenario)


def test_a_stalled_socket_holds_nobody_up(run: Run) -> None:
    async def scenario(opened: Callable[[], Awaitable[Peer]]) -> None:
        stalled, quick = await opened(), await opened()
        for _ in range(50):
            bulk_write.write_all([stalled.write, quick.write], b"x" * 10_000)
            assert await quick.received(10_000) == b"x" * 10_000
        assert stalled.paused
        assert stalled.transport.get_write_buffer_size() > 100_000

    run(scenario)


def test_a_connection_listed_twice_gets_the_bytes_twice_in_order(run: Run) -> None:
    async def scenario(opened: Callable[[], Awaitable[Peer]]) -> None:
        peer = await opened()
        data = bytes(range(256)) * 1000
        bulk_write.write_all([peer.write, peer.write], data)
        assert await peer.received(2 * len(data)) == data * 2

    run(scenario)


def test_a_reused_descriptor_delivers_nothing_to_a_stranger(run: Run) -> None:
    async def scenario(opened: Callable[[], Awaitable[Peer]]) -> None:
        gone = await opened()
        number = gone.descriptor()
        gone.transport.abort()
        await gone.lost.wait()
        strangers: list[Peer] = []
        while not strangers or strangers[-1].descriptor() != number:
            strangers.append(await opened())
            assert len(strangers) < 50, "the descriptor was not used again"
        bulk_write.write_all([gone.write] * 10, b"secret")
        assert strangers[-1].unread() == b""

    run(scenario)


def test_a_peer_that_has_gone_ends_its_connection_and_no_other(run: Run) -> None:
    async def scenario(opened: Callable[[], Awaitable[Peer]]) -> None:
        gone, here = await opened(), await opened()
        gone.far.close()
        bulk_write.write_all([gone.write, here.write], BIG)
        async with asyncio.timeout(10):
            await gone.lost.wait()
        bulk_write.write_all([gone.write, here.write], b"on")
        assert await here.received(len(BIG) + 2) == BIG + b"on"

    run(scenario)


def test_any_order_of_writes_arrives_in_that_order(run: Run) -> None:
    async def scenario(opened: Callable[[], Awaitable[Peer]]) -> None:
        choice = random.Random(7)
        peers = [await opened() for _ in range(5)]
        due = [bytearray() for _ in peers]
        for number in range(400):
            data = number.to_bytes(4, "big") * choice.choice([1, 10, 2000])
            chosen = choice.sample(range(5), choice.randint(1, 5))
            if choice.random() < 0.3:
                peers[chosen[0]].write(data)
                due[chosen[0]] += data
            else:
                bulk_write.write_all([peers[index].write for index in chosen], data)
                for index in chosen:
                    due[index] += data
            if choice.random() < 0.3:
                index = choice.randrange(5)
                size = min(len(due[index]), choice.choice([1, 5000, 50_000]))
                assert await peers[index].received(size) == due[index][:size]
                del due[index][:size]
        for peer, rest in zip(peers, due, strict=True):
            assert await peer.received(len(rest)) == rest

    run(scenario)


def test_other_callables_are_called(run: Run) -> None:
    async def scenario(opened: Callable[[], Awaitable[Peer]]) -> None:
        peer, got = await opened(), list[bytes]()
        bulk_write.write_all([got.append, peer.write, got.append], b"x")
        assert got == [b"x", b"x"]
        assert await peer.received(1) == b"x"

    run(scenario)


def test_one_that_raises_is_reported_and_all_others_are_served(run: Run) -> None:
    async def scenario(opened: Callable[[], Awaitable[Peer]]) -> None:
        peer = await opened()

        def broken(data: bytes) -> None:
            raise RuntimeError("broken")

        behind = await opened()
        failures = bulk_write.write_all([peer.write, broken, behind.write], b"x")
        assert [(write, str(error)) for write, error in failures] == [(broken, "broken")]
        assert failures[0][1].__traceback__ is not None
        assert [await peer.received(1), await behind.received(1)] == [b"x", b"x"]
        assert bulk_write.write_all([peer.write, behind.write], b"y") == []

    run(scenario)


def test_a_transport_that_raises_is_reported_and_all_others_are_served(run: Run) -> None:
    async def scenario(opened: Callable[[], Awaitable[Peer]]) -> None:
        first, closed, last = await opened(), await opened(), await opened()
        for transport in ("write", "get_write_buffer_size"):
            broken = Broken(transport)
            way = (
                PlainPipe(broken.write)
                if not first.native or Pipe is None
                else Pipe(broken, closed.descriptor())
            )
            failures = bulk_write.write_all([first.write, way, last.write], b"x")
            raised = transport == "write" or first.native
            assert [(write, str(error)) for write, error in failures] == (
                [(way, transport)] if raised else []
            )
            assert [await first.received(1), await last.received(1)] == [b"x", b"x"]

    run(scenario)


def test_what_is_no_error_is_raised_behind_what_could_be_written(run: Run) -> None:
    async def scenario(opened: Callable[[], Awaitable[Peer]]) -> None:
        peer = await opened()

        def interrupted(data: bytes) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            bulk_write.write_all([peer.write, interrupted], b"x")
        assert await peer.received(1) == b"x"

    run(scenario)


def test_a_closed_connection_is_not_kept_in_memory(run: Run) -> None:
    async def scenario(opened: Callable[[], Awaitable[Peer]]) -> None:
        peer = await Peer(native=Pipe is not None).open()
        bulk_write.write_all([peer.write], b"x")
        await peer.close()
        remembered = weakref.ref(peer)
        del peer
        await asyncio.sleep(0)
        gc.collect()
        assert remembered() is None

    run(scenario)


@pytest.mark.parametrize(
    "arguments", [(), ([],), ((), b"x"), ([], "text"), ([], b"x", "1"), ([], b"x", 1, 2, 3)]
)
def test_wrong_arguments_of_the_native_way_are_type_errors(arguments: tuple[Any, ...]) -> None:
    from eventhub._native import write_all

    with pytest.raises(TypeError):
        write_all(*arguments)


def test_a_tls_connection_has_no_way_past_its_transport(tmp_path: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-subj", "/CN=localhost", "-days", "2", "-keyout", tmp_path / "key.pem",
         "-out", tmp_path / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    server, client = (
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
    )
    server.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    client.load_verify_locations(tmp_path / "cert.pem")

    async def scenario() -> None:
        accepted: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
        listening = await asyncio.start_server(
            lambda _, writer: accepted.set_result(writer), "127.0.0.1", 0, ssl=server
        )
        port = listening.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client, server_hostname="localhost"
        )
        near = await accepted
        assert isinstance(pipe(cast(asyncio.Transport, near.transport), native=True), PlainPipe)
        bulk_write.write_all([near.transport.write], b"through")
        assert await reader.readexactly(7) == b"through"
        writer.close()
        near.close()
        await writer.wait_closed()
        listening.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())
