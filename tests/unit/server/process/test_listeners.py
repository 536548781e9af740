"""server/process/listeners.py: what is bound, for whom, and who is kept out."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from structlog.testing import capture_logs

from eventhub.config.limit_settings import LimitSettings
from eventhub.config.settings import Settings
from eventhub.errors import ConfigurationError
from eventhub.server.process import listeners
from eventhub.server.process.listeners import TCP_NOTSENT_LOWAT, announce, listen

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
        assert sock.getsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT) == 16_384
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 25
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 25
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 1


def test_the_kernel_leaves_a_closed_window_the_time_that_a_slow_reader_has(bind: Listen) -> None:
    sockets = listen(
        Settings(port=0, host="127.0.0.1", heartbeat=1, limits=LimitSettings(stalled_seconds=30))
    )
    with sockets[0][0] as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 32_000


def test_the_kernel_asks_dead_peers_once_a_second_at_most() -> None:
    ((sock,),) = listen(Settings(port=0, host="127.0.0.1", heartbeat=0.2))
    with sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 1


def test_workers_listen_at_once_so_that_connections_wait_for_those_that_start(
    bind: Listen,
) -> None:
    for (sock,) in bind(workers=3):
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1


def test_every_address_of_the_host_is_bound_and_ipv6_takes_no_ipv4(
    bind: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, object]] = []

    def addresses(host: str, port: int, **how: object) -> list[tuple[object, ...]]:
        asked.append({"host": host, "port": port, **how})
        return [
            (socket.AF_INET, 1, 6, "", ("127.0.0.1", 0)),
            (socket.AF_INET6, 1, 6, "", ("::1", 0, 0, 0)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", addresses)
    for own in bind(workers=2, host="here"):
        assert [sock.family for sock in own] == [socket.AF_INET, socket.AF_INET6]
        assert own[1].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
    kind, flags = socket.SOCK_STREAM, socket.AI_PASSIVE
    assert asked == [{"host": "here", "port": 0, "type": kind, "flags": flags}]


def test_when_one_address_cannot_be_bound_the_others_are_released(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bound: list[socket.socket] = []

    def bind_first(*_: object) -> socket.socket:
        if bound:
            raise OSError(98, "Address already in use")
        bound.append(socket.socket())
        return bound[0]

    monkeypatch.setattr(listeners, "_bound", bind_first)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 1, 6, "", ())] * 2)
    with pytest.raises(ConfigurationError):
        listen(Settings())
    assert bound[0].fileno() == -1


@pytest.mark.parametrize(
    ("host", "tls", "shown"),
    [
        ("127.0.0.1", {}, "http://127.0.0.1:8000"),
        ("::1", {"certificate": "cert.pem"}, "https://[::1]:8000"),
    ],
)
def test_where_it_listens_is_logged_once_for_each_address(
    host: str, tls: dict[str, str], shown: str
) -> None:
    class Bound:
        def getsockname(self) -> tuple[object, ...]:
            return (host, 8000, 0, 0)

    settings = Settings.model_validate({"tls": tls, "channels": {"chat": {"payload": "json"}}})
    sockets: list[Any] = [Bound(), Bound()]
    with capture_logs() as logs:
        announce(settings, sockets)
    (line,) = logs
    assert (line["event"], line["url"]) == ("listening", shown)
    assert (line["broker"], line["channels"]) == ("memory://", ["chat"])
    assert line["configuration"] is None


def test_a_host_that_is_not_ours_is_told(bind: Listen) -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"cannot listen on port 0 of 192\.0\.2\.1: .*; choose others with --host and --port",
    ):
        bind(host="192.0.2.1", workers=2)
