"""What a server has used: CPU time and memory of its processes, traffic of its broker."""

import time
from collections.abc import Iterable
from pathlib import Path

import httpx

from tests.harness.nats_servers import Server as NatsServer
from tests.harness.redis_servers import RedisServer

MICROSECONDS = 1e6
CPU_CLOCK = 2
"""CPUCLOCK_SCHED of the kernel: a process's clock is made of its number and this."""


def cpu_us(pids: Iterable[int]) -> float:
    """CPU time of processes so far."""
    return sum(time.clock_gettime(~pid << 3 | CPU_CLOCK) for pid in pids) * MICROSECONDS


def rss_kib(pid: int) -> float:
    """Resident memory of a process."""
    return _field(Path(f"/proc/{pid}/status"), "VmRSS")


def pss_kib(pid: int) -> float:
    """Memory of a process and its children, in which a page that several share counts once."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return _field(Path(f"/proc/{pid}/smaps_rollup"), "Pss") + sum(
        pss_kib(int(child)) for child in children
    )


def redis_info(server: RedisServer, name: str) -> float:
    """A figure that Redis keeps of itself."""
    for line in bytes(server.call("INFO", "all")).decode().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return float(value)
    raise LookupError(f"Redis has no figure {name!r}")


def nats_info(port: int, name: str) -> float:
    """A figure that nats-server keeps of itself, at its port for monitors."""
    return float(httpx.get(f"http://127.0.0.1:{port}/varz").json()[name])


def pid_of(server: RedisServer | NatsServer) -> int:
    assert server.process is not None  # started
    return server.process.pid


def _field(file: Path, name: str) -> float:
    for line in file.read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return float(value.split()[0])
    raise LookupError(f"{file} has no {name}")
