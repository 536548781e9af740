"""What holds during each attack.

An honest subscriber gets every event in order, the memory of the server stays within a bound, and
the server shuts down normally.

Attackers have an address of their own, because the limits by address would otherwise affect the
honest clients.
"""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.harness.clients import (
    http,
    read_until,
)
from tests.harness.eventhub import EventHubServer
from tests.harness.witness import Witness, resident
from tests.integration.test_tls import authority as authority
from tests.integration.test_tls import files as files

Start = Callable[..., EventHubServer]
FOE = "127.0.0.66"
CHANNELS = (
    "channels: {witness: {publish: [client, producer]}, "
    "chat: {payload: chat, publish: [client, producer]}}\n"
)


@contextmanager
def attacked(hub: EventHubServer, megabytes: float) -> Iterator[Witness]:
    """A server under attack. In the end it may hold `megabytes` more than before."""
    before = resident(hub)
    with Witness(hub) as witness:
        yield witness
        grown = resident(hub) - before
    assert witness.delays, "the honest one was served"
    assert grown < megabytes, f"{grown:.0f} MiB more than before"
    assert hub.stop() == 0
    assert "Traceback" not in hub.log.read_text()


def drip(socks: list[socket.socket], seconds: float) -> dict[socket.socket, bytes]:
    """Send a byte on each socket again and again, until each was answered or the time is up.

    Returns the beginnings of the answers.
    """
    answers: dict[socket.socket, bytes] = {}
    deadline = time.monotonic() + seconds
    for sock in socks:
        sock.settimeout(0)
    while len(answers) < len(socks) and time.monotonic() < deadline:
        time.sleep(0.05)  # the attack: slow
        for sock in socks:
            if sock in answers:
                continue
            with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                sock.send(b"x")
            with suppress(BlockingIOError):
                try:
                    answers[sock] = sock.recv(4096)
                except ConnectionResetError:
                    answers[sock] = b"reset"
    return answers


def answer(sock: socket.socket) -> bytes:
    """The next message, a JSON object."""
    return read_until(sock, b"}")


HANDSHAKE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)


def alive(hub: EventHubServer) -> bool:
    with suppress(Exception):
        return http.get(f"{hub.url}/livez").status_code == 200
    return False
