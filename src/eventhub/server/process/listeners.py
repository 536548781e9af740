"""Opens the listening sockets. Connections inherit their options, which are set for streaming."""

import socket
from collections.abc import Iterable
from itertools import chain
from typing import Any

import structlog

from eventhub.config.settings import Settings
from eventhub.errors import ConfigurationError

NOTSENT_LOWAT = 16 * 1024
"""Bytes that the kernel accepts in addition to those that it can send at once. Without this limit,
it would accept megabytes for a reader that is stuck.
"""
TCP_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25)

log = structlog.get_logger("eventhub.server")


def listen(settings: Settings) -> list[list[socket.socket]]:
    """Return for each worker a socket on each address of the host. Raises ConfigurationError."""
    sockets: list[list[socket.socket]] = []  # by address
    try:
        for family, _, _, _, address in socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            sockets.append([_bound(family, address, settings)])
            if settings.workers > 1:
                _share(sockets[-1], settings)
    except OSError as error:
        for sock in chain.from_iterable(sockets):
            sock.close()
        raise ConfigurationError(
            f"cannot listen on port {settings.port} of {settings.host}: {error.strerror}; "
            "choose others with --host and --port"
        ) from None
    return [list(own) for own in zip(*sockets, strict=True)]


def announce(settings: Settings, sockets: Iterable[socket.socket]) -> None:
    """Log where the server listens."""
    for host, port in sorted({sock.getsockname()[:2] for sock in sockets}):
        shown = f"[{host}]" if ":" in host else host
        scheme = "https" if settings.tls.certificate else "http"
        log.info(
            "listening",
            url=f"{scheme}://{shown}:{port}",
            broker=settings.broker_shown,
            channels=list(settings.channels),
            configuration=str(settings.file.resolve()) if settings.file else None,
        )


def _bound(family: int, address: Any, settings: Settings, *, shared: bool = False) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _tune(sock, settings)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def _tune(sock: socket.socket, settings: Settings) -> None:
    """Set the options that accepted connections inherit.

    They make back-pressure visible early. They also let the kernel close dead connections that
    have no heartbeat (server/connections/liveness.py). TCP_USER_TIMEOUT also closes a connection
    whose window stays closed although the peer answers probes, so it is long enough for slow
    readers.
    """
    seconds = max(1, round(settings.heartbeat))
    longest = max(settings.heartbeat, settings.limits.stalled_seconds) + 2 * settings.heartbeat
    sock.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_LOWAT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(longest * 1000))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, seconds)


def _share(sockets: list[socket.socket], settings: Settings) -> None:
    """Add sockets of the same address for the other workers. The kernel spreads connections.

    The first socket was bound without SO_REUSEPORT. With it, a second EventHub on the same port
    would start and take half of the connections. All sockets listen at once, so none can be added
    later. A connection that arrives before its worker has started waits.
    """
    first = sockets[0]
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    first.listen()
    for _ in range(1, settings.workers):
        sockets.append(_bound(first.family, first.getsockname(), settings, shared=True))
        sockets[-1].listen()
