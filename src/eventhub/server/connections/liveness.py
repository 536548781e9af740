"""Whether the peer of a connection is there. Decides, from figures that are arguments; `outgoing` reads them from the kernel.

A peer is alive while it says something or takes something. The rules, looked at once a heartbeat:

1. Whatever comes from it is a sign of life.
2. A ping waits behind all that was written before it. Until it has been taken, the peer owes no answer: that the kernel
   at the other end acknowledges more is a sign of life instead. So it is while the outgoing buffer is full, when our side
   does not read, and an answer would not be seen.
3. The window of a slow reader opens in steps (64 KiB at least on loopback, a sixteenth of its receive buffer elsewhere), so
   nothing may be taken for a while. One that takes nothing of what waits for `stalled` seconds is dead.
4. Once a ping has been taken, its answer is due at the next heartbeat, and a second later for each KiB between it and the
   last ping that was answered: that may lie unread in buffers on the way. Pings carry their place in the stream for that.
   Buffers have an end: once so much more than a ping has been taken (`BUFFERS_BYTES`), the client has read that ping.
5. A stream of Server-Sent Events or NDJSON says nothing: for it rules 2 and 3 are all there is.
6. A kernel at the other end that answers nothing of what is sent again and again, for two heartbeats, has gone.
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
"""Bytes per second that a peer must bring or take on average once its time is up: one that dribbles
is not waited for.
"""
BUFFERS_BYTES = 32 * 1024 * 1024
"""More than buffers hold between us and a client that reads: a kernel's receive buffer has 6 MiB at
most unless somebody raised it.
"""
PLACE_BYTES = 8
"""Of a place in a stream, as the payload of a ping."""
REPEATED = 2
"""Unanswered probes or retransmissions from which the other kernel counts as silent: the first may
be on its way.
"""
_TCP_INFO = struct.Struct("=2xBB52xI60xQ")
"""Of `struct tcp_info` (linux/tcp.h): tcpi_retransmits, tcpi_probes, tcpi_last_ack_recv in
milliseconds, tcpi_bytes_acked.
"""


class OutgoingBytes(NamedTuple):
    """Bytes written to a peer and taken by its kernel, and for how many seconds that kernel has left repetitions unanswered."""

    written: int
    taken: int
    silent: float = 0.0


class LivenessTimeouts(NamedTuple):
    """How long a peer is waited for, in seconds: `heartbeat` and `limits.stalled_seconds` of the settings."""

    heartbeat: float
    stalled: float


class Liveness:
    """One peer. `speaks`: it answers pings. Times are seconds on one clock that never goes back."""

    __slots__ = ("_answered", "_asked", "_since", "_speaks", "_taken")

    def __init__(self, now: float, *, speaks: bool = True) -> None:
        self._speaks = speaks
        self._since = now  # the last sign of life
        self._taken = 0
        self._asked = (
            -1
        )  # where the oldest unanswered ping ends in the stream; -1: none is unanswered
        self._answered = 0  # where the newest answered one ended

    def pong(self, payload: bytes) -> None:
        """A ping was answered. Whoever makes a payload up only hurries itself."""
        if len(payload) == PLACE_BYTES:
            self._answered = max(self._answered, int.from_bytes(payload))
            if self._asked <= self._answered:
                self._asked = -1

    def ping(self, out: OutgoingBytes) -> bytes | None:
        """The payload of a ping that is about to be written; None while one is still on its way, and so the line busy."""
        if out.taken < self._asked:
            return None
        if self._asked < 0:
            self._asked = out.written
        return out.written.to_bytes(PLACE_BYTES)

    def dead(
        self,
        now: float,
        out: OutgoingBytes,
        patience: LivenessTimeouts,
        *,
        heard: bool,
        reads: bool,
        full: bool,
    ) -> PingTimeout | None:
        """Why it is. `heard`: something came since last time; `reads`: we would see an answer; `full`: our buffer is."""
        more, self._taken = out.taken > self._taken, out.taken
        if out.silent > 2 * patience.heartbeat:
            return PingTimeout(
                f"nothing of what was sent again was acknowledged for {2 * patience.heartbeat:g} seconds"
            )
        if heard or self._asked < 0:
            self._since = now
        elif full or out.taken < self._asked:
            if more:
                self._since = now
            elif now >= self._since + max(patience.stalled, patience.heartbeat):
                text = f"nothing of what waits for the client was taken for {patience.stalled:g} seconds (limits.stalled_seconds)"
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
                f"nothing came from the client for {2 * patience.heartbeat:g} seconds"
            )
        return None


def outgoing(transport: asyncio.Transport) -> OutgoingBytes:
    """What the kernel knows of a connection. All zeros once it is closed."""
    if transport.is_closing():
        return OutgoingBytes(0, 0)
    sock = transport.get_extra_info("socket")
    waiting = bytearray(4)
    try:
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, waiting)
        repeated, probes, heard_ms, taken = _TCP_INFO.unpack(
            sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        )
    except (OSError, struct.error):  # a kernel that says less, as some sandboxes' do
        return OutgoingBytes(0, 0)
    written = taken + int.from_bytes(waiting, sys.byteorder) + transport.get_write_buffer_size()
    return OutgoingBytes(
        written, taken, heard_ms / 1000 if max(repeated, probes) >= REPEATED else 0.0
    )
