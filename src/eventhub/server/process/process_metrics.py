"""Memory, CPU time and open files of this process, and their limits, read at each scrape.

Only Linux has all of them. Names and meanings of `process_…` are those of Prometheus's client
libraries.
"""

import asyncio
import os
import resource
import time
from collections.abc import AsyncIterator
from pathlib import Path

from eventhub.observability.metrics import Reading
from eventhub.server.security.connection_limits import descriptors

UNLIMITED = 1 << 62
"""Control groups version 1 show "no limit" as the largest multiple of a page. Above this value
there is no limit.
"""


class ProcessMetrics:
    """Reads the figures. `root` is the directory of /proc and /sys."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._proc = root / "proc" / "self"
        # Read once: if the clock is set, the process must not seem to have restarted.
        self._started = _started(self._proc) if self._linux else 0.0

    async def readings(self) -> AsyncIterator[Reading]:
        """Yield the figures of this moment."""
        yield "process_cpu_seconds_total", "User and system CPU time", {(): time.process_time()}, ()
        yield "process_max_fds", "Files it may have open", {(): descriptors()}, ()
        if self._linux:
            memory = int((self._proc / "statm").read_text().split()[1]) * resource.getpagesize()
            # The directory's size is the number of its files since Linux 6.2, and 0 before.
            files = (self._proc / "fd").stat().st_size or await asyncio.to_thread(
                count, self._proc / "fd"
            )
            yield "process_resident_memory_bytes", "Resident memory", {(): memory}, ()
            yield (
                "process_start_time_seconds",
                "When it started, in Unix time",
                {(): self._started},
                (),
            )
            yield "process_open_fds", "Files it has open", {(): files}, ()
        if (limit := memory_limit(self._root)) is not None:
            yield "eventhub_memory_limit_bytes", "What its control group may take", {(): limit}, ()

    @property
    def _linux(self) -> bool:
        return (self._proc / "stat").exists()


def memory_limit(root: Path) -> int | None:
    """Return the memory limit of this process's control groups in bytes; None if there is none.

    Reads both versions of control groups, and all parents. Source: cgroups(7) and Linux's
    Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst.
    """
    found = []
    try:
        groups = (root / "proc" / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in groups:
        _, controllers, group = line.split(":", 2)
        if not controllers:
            found += _limits(root / "sys/fs/cgroup", group, "memory.max")
        elif "memory" in controllers.split(","):
            found += _limits(root / "sys/fs/cgroup/memory", group, "memory.limit_in_bytes")
    return min(found, default=None)


def _limits(mount: Path, group: str, name: str) -> list[int]:
    """Return the limits of a group and its parents, as far as a container can see them."""
    found = []
    path = Path(group.lstrip("/"))
    for place in (path, *path.parents):
        try:
            text = (mount / place / name).read_text().strip()
        except OSError:
            continue
        if text.isdigit() and int(text) < UNLIMITED:  # it may be "max"
            found.append(int(text))
    return found


def _started(proc: Path) -> float:
    since_boot = int((proc / "stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf(
        "SC_CLK_TCK"
    )
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot


def age(process: int) -> float | None:
    """Return the seconds since a process started, if known."""
    try:
        return time.time() - _started(Path("/proc") / str(process))
    except OSError:
        return None


def count(directory: Path) -> int:
    """Count the files in a directory. 20,000 files take 10 ms, so do not call it on the loop."""
    return sum(1 for _ in directory.iterdir())
