"""Ports of 127.0.0.1 for servers under test."""

import itertools
import os
import random
import socket
from collections.abc import Iterator
from contextlib import suppress

SHARES = 16
"""So many processes of pytest-xdist have ports of their own."""


def _ports() -> Iterator[int]:
    """Ports below those that the system gives to connections, so that each is still free after a
    restart; each process of pytest-xdist has its own, in random order.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % SHARES
    ports = list(range(12_000 + worker, 32_000, SHARES))
    random.shuffle(ports)
    return itertools.cycle(ports)


PORTS = _ports()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on.

    Nobody else is given it before more than a thousand others: not another process of pytest-xdist,
    and not this one, which may start several servers later or start one again.
    """
    while True:
        port = next(PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
