"""`python -m tests.bench.flood`: the latency of honest subscribers while strangers hold all the
connections that the node allows.

The strangers run in a process of their own, with addresses of their own. Their connections are
WebSockets, some of which send pings as fast as the server reads them. Another address has reached
its limit of connections and keeps trying to connect.
"""

import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from eventhub.config.limit_settings import LimitSettings
from tests.bench import cores
from tests.bench.load import Door, Load, Reading, run
from tests.bench.servers import EventHub
from tests.bench.tools import build
from tests.harness.clients import masked, metric

ROUNDS = 5
HONEST = Load(100, publishers=2, rate=50, warm=1, seconds=6)
SHARE = LimitSettings().connections_per_address
FREE = 1200
"""Descriptors that the strangers leave: the node's reserve of 512, the honest ones, and as much for
the strangers' own process.
"""
FLOODERS, ATTEMPTS, TURN = 50, 10, 0.01
"""Connections that send without a pause; attempts to connect in each turn of so many seconds."""
HEARTBEAT = 120
"""Seconds: most strangers answer no pings, and shall be there until the end of a round all the
same.
"""
HANDSHAKE = (
    b"GET /v1/ws?channel=crowd.foes HTTP/1.1\r\nHost: localhost\r\n"
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PINGS = masked(b"", opcode=9) * 1000


def main() -> None:
    """Measure quiet and flooded in turn, and print both."""
    if len(sys.argv) > 1:
        return attack(int(sys.argv[1]), int(sys.argv[2]))
    count = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - FREE
    quiet, flooded, sizes = list[Reading](), list[Reading](), list[list[float]]()
    with tempfile.TemporaryDirectory() as name:
        program = build(Path(name)).load
        with EventHub(connections_per_address=SHARE, heartbeat=HEARTBEAT).start(Path(name)) as door:
            for _ in range(ROUNDS):
                sizes.append([resident(door)])
                quiet.append(run(program, HONEST, door, spin=False))
                with foes(door, count):
                    flooded.append(run(program, HONEST, door, spin=False))
                    sizes[-1].append(resident(door))
                    held = metric(url(door), 'eventhub_refused_total{limit="commands"}')
                    refused = metric(
                        url(door), 'eventhub_refused_total{limit="connections_per_address"}'
                    )
                while metric(url(door), 'eventhub_connections{transport="websocket"}'):
                    time.sleep(0.1)  # between looks at the server's metrics
                sizes[-1].append(resident(door))
    report(count, quiet, flooded, sizes)
    sys.stdout.write(
        f"Refused at their address's limit: {refused:,.0f} attempts. "
        f"Made to wait for sending too fast: {held:,.0f} times.\n"
    )


def report(
    count: int, quiet: list[Reading], flooded: list[Reading], sizes: list[list[float]]
) -> None:
    """The medians, and the size of the server at first, under the last flood, and after it."""
    for name in ("p50_us", "p99_us", "p999_us"):
        for word, middle in (
            ("median", statistics.median),
            ("best", min),
        ):  # of rounds: other load on the machine makes none of them faster
            calm, rough = (
                middle([reading[name] for reading in readings]) for readings in (quiet, flooded)
            )
            sys.stdout.write(
                f"{name}, {word}: quiet {calm:,.0f}, "
                f"beside {count:,} strangers {rough:,.0f}: {rough / calm:.2f} times\n"
            )
    ratios = ", ".join(
        f"{rough['p99_us'] / calm['p99_us']:.2f}"
        for calm, rough in zip(quiet, flooded, strict=True)
    )
    missing = sum(
        reading[name]
        for reading in quiet + flooded
        for name in ("missing", "surplus", "closed", "failed")
    )
    sys.stdout.write(
        f"p99 by rounds: {ratios}. "
        f"Events missing or too many, honest connections refused or closed: {missing:.0f}.\n"
    )
    begun, full, after = sizes[0][0], sizes[-1][1], sizes[-1][2]
    sys.stdout.write(
        f"Server: {begun:.0f} MiB at first, {full:.0f} under the last flood, "
        f"{after:.0f} after it.\n"
    )


@contextmanager
def foes(door: Door, count: int) -> Iterator[None]:
    """Runs the strangers; returns when all their connections are open."""
    with cores.pinned(cores.CLIENT):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.flood", str(door.port), str(count)],
            stdout=subprocess.PIPE,
        )
    assert process.stdout is not None  # PIPE
    with process:
        try:
            opened = process.stdout.readline()
            if int(opened) != count:
                raise RuntimeError(f"{int(opened)} of {count} hostile connections could be opened")
            yield
        finally:
            process.kill()


def attack(port: int, count: int) -> None:
    """What the strangers do, until they are killed."""
    os.sched_setscheduler(
        0, os.SCHED_IDLE, os.sched_param(0)
    )  # they share a core with the honest clients, whose delays must come from the server
    socks = []
    for number in range(count):
        socks.append(connect(port, number // SHARE))
        if len(socks) >= 200:
            answered(socks[-200])
    for sock in socks[-199:]:
        answered(sock)
    sys.stdout.write(f"{len(socks)}\n")
    sys.stdout.flush()
    sent = dict.fromkeys(socks[:FLOODERS], 0)
    while True:
        for sock in sent:
            with suppress(BlockingIOError):
                sent[sock] += sock.send(PINGS[sent[sock] % len(PINGS) :])
            with suppress(BlockingIOError):
                sock.recv(1 << 20)
        for _ in range(ATTEMPTS):
            with suppress(OSError):
                connect(port, 0).close()
        time.sleep(TURN)  # between turns


def connect(port: int, number: int) -> socket.socket:
    """A WebSocket of the stranger of this number, its handshake sent."""
    sock = socket.socket()
    sock.bind((f"127.0.1.{number + 1}", 0))
    sock.connect(("127.0.0.1", port))
    sock.sendall(HANDSHAKE)
    sock.setblocking(False)  # noqa: FBT003  # the library's signature
    return sock


def answered(sock: socket.socket) -> None:
    """Wait for the answer to a handshake. Raises RuntimeError if the answer is something else."""
    sock.settimeout(30)
    if not (answer := sock.recv(4096)).startswith(b"HTTP/1.1 101"):
        raise RuntimeError(f"a handshake was answered with {answer[:12]!r}; expected 101")
    sock.settimeout(0)


def url(door: Door) -> str:
    return f"http://127.0.0.1:{door.port}"


def resident(door: Door) -> float:
    """The server's memory in MiB."""
    return int(Path(f"/proc/{door.pid}/statm").read_text().split()[1]) * 4096 / 2**20


if __name__ == "__main__":
    main()
