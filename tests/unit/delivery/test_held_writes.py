"""bulk_write.py and _native.c: a pipe that holds writes until they go out in one piece."""

import socket
from collections.abc import Callable, Iterator

import pytest

from eventhub.delivery import bulk_write
from eventhub.delivery.bulk_write import HELD_BYTES, ClosableWriter, Pipe, PlainPipe
from tests.harness.transport import RecordedTransport


@pytest.fixture
def transport() -> RecordedTransport:
    return RecordedTransport()


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    far.settimeout(0)
    with near, far:
        yield near, far


@pytest.fixture(params=["native", "plain"])
def pipe(
    request: pytest.FixtureRequest,
    transport: RecordedTransport,
    sockets: tuple[socket.socket, socket.socket],
) -> ClosableWriter:
    if request.param == "plain":
        return PlainPipe(transport.write)
    assert Pipe is not None
    return Pipe(transport, sockets[0].fileno())


def test_held_writes_go_out_in_order_in_one_piece(
    pipe: ClosableWriter, transport: RecordedTransport
) -> None:
    pipe.hold()
    pipe(b"one ")
    pipe.hold()
    pipe(b"two")
    assert transport.writes == []
    pipe.release()
    assert transport.writes == [b"one two"]
    pipe(b"three")
    assert transport.writes[1:] == [b"three"]


@pytest.mark.parametrize("prepare", [lambda pipe: None, lambda pipe: pipe.hold()])
def test_where_nothing_is_held_nothing_is_written(
    pipe: ClosableWriter,
    transport: RecordedTransport,
    prepare: Callable[[ClosableWriter], None],
) -> None:
    prepare(pipe)
    pipe.release()
    pipe.release()
    assert transport.writes == []
    pipe(b"at once")
    assert transport.writes == [b"at once"]


def test_much_is_not_held(pipe: ClosableWriter, transport: RecordedTransport) -> None:
    pipe.hold()
    pipe(b"x" * HELD_BYTES)
    assert transport.writes == []
    pipe(b"y")
    assert list(map(len, transport.writes)) == [HELD_BYTES + 1]
    pipe(b"z")
    assert transport.writes[1:] == [b"z"], "its transport says now when it is full"


def test_a_closed_pipe_drops_what_it_held(
    pipe: ClosableWriter, transport: RecordedTransport
) -> None:
    pipe.hold()
    pipe(b"anything")
    pipe.close()
    pipe.release()
    pipe(b"more")
    assert transport.writes == []


def test_a_write_to_all_does_not_overtake_what_is_held(
    pipe: ClosableWriter,
    transport: RecordedTransport,
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    bulk_write.write_all([pipe], b"1")
    before = len(transport.writes)
    pipe.hold()
    pipe(b"2")
    assert bulk_write.write_all([pipe], b"3") == []
    pipe.release()
    assert transport.writes[before:] == [b"23"]
    sockets[1].recv(1) if before == 0 else None
    with pytest.raises(BlockingIOError):
        sockets[1].recv(1)
