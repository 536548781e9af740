"""eventhub_client/tls_socket.py: one thread reads a TLS connection while another writes to it."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from typing import Any

import pytest

from eventhub_client.tls_socket import TlsSocket
from tests.harness.certificates import Authority, Pair
from tests.harness.clients import SECONDS

BIG = bytes(4 << 20)
"""More than the kernel takes for a peer that does not read."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("server")


@pytest.fixture
def trust(authority: Authority) -> Any:  # an SSLContext with its undocumented _msg_callback
    return authority.trust()


@contextmanager
def connected(
    trust: ssl.SSLContext, pair: Pair, serve: Callable[[ssl.SSLSocket], bytes]
) -> Iterator[tuple[TlsSocket, "Future[bytes]"]]:
    """A client, and what its server makes of it in another thread."""
    own, peer = socket.socketpair()
    peer.settimeout(SECONDS)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)

    def accept() -> bytes:
        with context.wrap_socket(peer, server_side=True) as sock:
            return serve(sock)

    with ThreadPoolExecutor() as threads:
        done = threads.submit(accept)
        with closing(TlsSocket(trust.wrap_socket(own, server_hostname="127.0.0.1"))) as client:
            yield client, done


def everything(sock: ssl.SSLSocket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65_536), b""))


def one_byte_then_everything(sock: ssl.SSLSocket) -> bytes:
    """The first byte goes out behind the two session tickets."""
    sock.sendall(b"x")
    return everything(sock)


def test_what_is_sent_while_a_session_ticket_is_read_arrives(trust: Any, pair: Pair) -> None:
    """OpenSSL buffers what it writes while it reads one, and throws the buffer away."""
    senders = list[threading.Thread]()

    def while_reading(_: object, direction: str, *message: Any) -> None:
        if direction == "read" and "TICKET" in str(message) and not senders:
            senders.append(threading.Thread(target=client.sendall, args=(b"request",)))
            senders[0].start()
            senders[0].join(0.2)  # a sender that nothing holds back is done by then

    trust._msg_callback = while_reading
    with connected(trust, pair, one_byte_then_everything) as (client, got):
        assert client.recv(1) == b"x"
        senders[0].join()
        client.close()
        assert got.result(SECONDS) == b"request"


def echo(sock: ssl.SSLSocket) -> bytes:
    data = sock.recv(65_536)
    sock.sendall(data)
    return data


def test_a_thread_that_waits_for_data_does_not_hold_up_one_that_sends(
    trust: ssl.SSLContext, pair: Pair
) -> None:
    with ThreadPoolExecutor() as threads, connected(trust, pair, echo) as (client, _):
        reading = threads.submit(client.recv, 3)
        client.sendall(b"oi!")
        assert reading.result(SECONDS) == b"oi!"


def big_then_everything(sock: ssl.SSLSocket) -> bytes:
    sock.sendall(BIG)
    return everything(sock)


def test_a_thread_that_waits_for_room_does_not_hold_up_one_that_reads(
    trust: ssl.SSLContext, pair: Pair
) -> None:
    """The server reads nothing before all of its own has been read."""
    with (
        ThreadPoolExecutor() as threads,
        connected(trust, pair, big_then_everything) as (
            client,
            got,
        ),
    ):
        sending = threads.submit(client.sendall, BIG)
        read = 0
        while read < len(BIG):
            read += len(client.recv(65_536))
        sending.result(SECONDS)
        client.shutdown(socket.SHUT_WR)
        assert got.result(SECONDS) == BIG


def test_what_arrived_before_this_side_ended_can_still_be_read(
    trust: ssl.SSLContext, pair: Pair
) -> None:
    with connected(trust, pair, one_byte_then_everything) as (client, got):
        client.shutdown(socket.SHUT_WR)
        assert got.result(SECONDS) == b""
        assert client.recv(1) == b"x"


def test_closing_wakes_a_thread_that_waits_for_data(trust: ssl.SSLContext, pair: Pair) -> None:
    with ThreadPoolExecutor() as threads, connected(trust, pair, everything) as (client, _):
        reading = threads.submit(client.recv, 1)
        client.close()
        with suppress(OSError, ValueError):  # it had not begun to wait: the socket is closed
            assert reading.result(SECONDS) == b""
        client.close()


def test_a_timeout_ends_the_wait_for_data(trust: ssl.SSLContext, pair: Pair) -> None:
    with connected(trust, pair, everything) as (client, _):
        client.settimeout(0.01)
        with pytest.raises(TimeoutError, match="timed out"):
            client.recv(1)
