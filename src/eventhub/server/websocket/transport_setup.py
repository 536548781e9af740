"""How a WebSocket connection uses its transport: its writer, and the sizes of its buffers."""

import asyncio
import socket

from eventhub.delivery.bulk_write import ClosableWriter, Pipe, PlainPipe
from eventhub.server.connections.manager import ConnectionManager

READ_BYTES = 32 * 1024
"""The smallest receive buffer of a socket. One read returns at most this much."""


def pipe(transport: asyncio.Transport, *, native: bool) -> ClosableWriter:
    """The writer of a connection. Native if the C module was built and the socket has no TLS."""
    sock = transport.get_extra_info("socket")
    encrypted = transport.get_extra_info("sslcontext") is not None
    if not native or Pipe is None or sock is None or encrypted:
        return PlainPipe(transport.write)
    return Pipe(transport, sock.fileno())


def set_buffer_sizes(transport: asyncio.Transport, manager: ConnectionManager) -> None:
    """Allow `limits.buffer_bytes` of outgoing bytes, and half a message of incoming bytes."""
    buffer_bytes = manager.settings.limits.buffer_bytes
    transport.set_write_buffer_limits(high=buffer_bytes, low=buffer_bytes // 4)
    if (sock := transport.get_extra_info("socket")) is not None:
        receive_bytes = max(READ_BYTES, manager.session_limits.message_bytes // 2)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
