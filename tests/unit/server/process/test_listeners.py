"""sockets.py: what is bound, for whom, and who is kept out."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from eventhub.config.limit_settings import LimitSettings
from eventhub.config.settings import Settings
from eventhub.errors import ConfigurationError
from eventhub.server.process.listeners import listen

Listen = Callable[..., list[list[socket.socket]]]


@pytest.fixture
def bind() -> Iterator[Listen]:
    """Sockets that are closed in the end."""
    with ExitStack() as stack:

        def bind(
            port: int = 0, workers: int = 1, host: str = "127.0.0.1"
        ) -> list[list[socket.socket]]:
            sockets = listen(Settings(port=port, workers=workers, host=host))
            for own in sockets:
                for sock in own:
                    stack.enter_context(sock)
            return sockets

        yield bind


def port(sock: socket.socket) -> int:
    number: int = sock.getsockname()[1]
    return number


def test_each_worker_has_a_socket_of_its_own_on_the_same_port(bind: Listen) -> None:
    sockets = bind(workers=3)
    assert [len(own) for own in sockets] == [1, 1, 1]
    assert len({port(sock) for (sock,) in sockets}) == 1


def test_connections_are_spread_over_them(bind: Listen) -> None:
    sockets = bind(workers=2)
    with ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(socket.create_connection(("127.0.0.1", port(sockets[0][0]))))
        for (sock,) in sockets:
            stack.enter_context(sock.accept()[0])  # blocks where there is none


@pytest.mark.parametrize(("first", "second"), [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_a_second_server_cannot_take_the_port(bind: Listen, first: int, second: int) -> None:
    taken = bind(workers=first)[0][0]
    taken.listen()
    with pytest.raises(
        ConfigurationError, match=f"port {port(taken)} of 127.0.0.1: Address already in use"
    ):
        bind(port(taken), workers=second)


def test_connections_inherit_what_streaming_needs(bind: Listen) -> None:
    for (sock,) in bind(workers=2):
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 350_000


def test_the_kernel_leaves_a_closed_window_the_time_that_a_slow_reader_has(bind: Listen) -> None:
    sockets = listen(
        Settings(port=0, host="127.0.0.1", heartbeat=1, limits=LimitSettings(stalled_seconds=30))
    )
    with sockets[0][0] as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 32_000


def test_a_host_that_is_not_ours_is_told(bind: Listen) -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"cannot listen on port 0 of 192\.0\.2\.1: .*; choose others with --host and --port",
    ):
        bind(host="192.0.2.1", workers=2)
