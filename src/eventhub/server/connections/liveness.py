"""Decides whether a peer is alive. `outgoing` reads the figures for it from the kernel.

A peer is alive while it sends or takes bytes. These rules are checked once a heartbeat:

1. Everything that the peer sends is a sign of life.
2. A ping waits behind all bytes written before it. Until the peer's kernel has taken the ping, the
   peer owes no answer. Instead, each acknowledgement of more bytes is a sign of life. The same is
   true while our outgoing buffer is full: our side then does not read and would see no answer.
3. The window of a slow reader opens in steps (at least 64 KiB on loopback, a sixteenth of its
   receive buffer elsewhere), so the peer may take nothing for a while. A peer that takes nothing of
   the waiting bytes for `stalled` seconds is dead.
4. Once a ping has been taken, its answer is due at the next heartbeat, and a second later for each
   KiB between this ping and the last answered one, because these bytes may lie unread in buffers.
   For that, each ping carries its place in the stream. Buffers are bounded: once BUFFERS_BYTES more
   than the ping have been taken, the client has read the ping.
5. A stream of Server-Sent Events or NDJSON sends nothing, so only rules 2 and 3 apply.
6. If the peer's kernel acknowledges none of the retransmissions for two heartbeats, it is gone.
"""

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from typing import NamedTuple

from eventhub.errors import PingTimeout

LEAST_RATE = 1024
"""Bytes per second that a peer must send or take on average after its fixed time is over."""
BUFFERS_BYTES = 32 * 1024 * 1024
"""More bytes than the buffers on the way to a client hold. A receive buffer has 6 MiB by default.
"""
PLACE_BYTES = 8
"""Size of a place in the stream, which is the payload of a ping."""
REPEATED = 2
"""After this many unanswered probes or retransmissions, the peer's kernel counts as silent."""
_TCP_INFO = struct.Struct("=2xBB52xI60xQ")
"""Fields of `struct tcp_info` (linux/tcp.h): tcpi_retransmits, tcpi_probes, tcpi_last_ack_recv in
milliseconds, tcpi_bytes_acked.
"""


class OutgoingBytes(NamedTuple):
    """Bytes written to a peer and taken by its kernel.

    `silent`: seconds in which that kernel has acknowledged none of the retransmissions.
    """

    written: int
    taken: int
    silent: float = 0.0


class LivenessTimeouts(NamedTuple):
    """Settings in seconds: `heartbeat` and `limits.stalled_seconds`."""

    heartbeat: float
    stalled: float


class Liveness:
    """One peer. `speaks`: it answers pings. Times are seconds on a clock that never goes back."""

    __slots__ = ("_answered", "_asked", "_since", "_speaks", "_taken")

    def __init__(self, now: float, *, speaks: bool = True) -> None:
        self._speaks = speaks
        self._since = now  # the last sign of life
        self._taken = 0
        self._asked = -1  # where the oldest unanswered ping ends in the stream; -1: there is none
        self._answered = 0  # where the newest answered ping ended

    def pong(self, payload: bytes) -> bool:
        """Note an answer, and return whether it was due.

        A client that invents payloads only shortens its own time.
        """
        if len(payload) != PLACE_BYTES:
            return False
        self._answered = max(self._answered, int.from_bytes(payload))
        due = 0 <= self._asked <= self._answered
        if due:
            self._asked = -1
        return due

    def ping(self, out: OutgoingBytes) -> bytes | None:
        """Return the payload for a new ping; None while the last ping has not been taken."""
        if out.taken < self._asked:
            return None
        if self._asked < 0:
            self._asked = out.written
        return out.written.to_bytes(PLACE_BYTES)

    def dead(
        self,
        now: float,
        out: OutgoingBytes,
        timeouts: LivenessTimeouts,
        *,
        heard: bool,
        reads: bool,
        full: bool,
    ) -> PingTimeout | None:
        """Return the error if the peer is dead, or None while it is alive.

        `heard`: it has sent something since the last call. `reads`: our side reads, so it would see
        an answer. `full`: our outgoing buffer is full.
        """
        more, self._taken = out.taken > self._taken, out.taken
        if out.silent > 2 * timeouts.heartbeat:
            return PingTimeout(
                "the client's machine acknowledged no retransmission "
                f"for {2 * timeouts.heartbeat:g} seconds"
            )
        if heard or self._asked < 0:
            self._since = now
        elif full or out.taken < self._asked:
            if more:
                self._since = now
            elif now >= self._since + max(timeouts.stalled, timeouts.heartbeat):
                text = (
                    "the client took none of the data that waits for it "
                    f"for {timeouts.stalled:g} seconds (limits.stalled_seconds)"
                )
                return PingTimeout(text).with_limit("stalled_seconds")
        elif not self._speaks:
            self._since, self._asked = now, -1
        elif not reads:
            self._since = now
        elif (
            now >= self._since + (self._asked - self._answered) / LEAST_RATE
            or out.taken > self._asked + BUFFERS_BYTES
        ):
            return PingTimeout(
                f"nothing came from the client for {2 * timeouts.heartbeat:g} seconds"
            )
        return None


def outgoing(transport: asyncio.Transport) -> OutgoingBytes:
    """Ask the kernel about a connection. The answer is zeros once it is closed."""
    if transport.is_closing():
        return OutgoingBytes(0, 0)
    sock = transport.get_extra_info("socket")
    waiting = bytearray(4)
    try:
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, waiting)
        repeated, probes, heard_ms, taken = _TCP_INFO.unpack(
            sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        )
    except (OSError, struct.error):  # some sandboxes' kernels say less
        return OutgoingBytes(0, 0)
    written = taken + int.from_bytes(waiting, sys.byteorder) + transport.get_write_buffer_size()
    return OutgoingBytes(
        written, taken, heard_ms / 1000 if max(repeated, probes) >= REPEATED else 0.0
    )
