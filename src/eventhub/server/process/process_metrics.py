"""What this process takes of its machine, and may take: memory, CPU time, open files. Read when metrics are scraped; Linux has it all.

Names and meanings of `process_…` are those of Prometheus's client libraries.
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
"""Of the first version of control groups: what is beyond it is no limit (it says the largest
multiple of a page).
"""


class ProcessMetrics:
    """This process and its machine. `root` is where /proc and /sys are."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._proc = root / "proc" / "self"
        self._started = (
            _started(self._proc) if self._linux else 0.0
        )  # once: clocks are set, and it would seem to have started again

    async def readings(self) -> AsyncIterator[Reading]:
        """What it takes now, for metrics."""
        yield "process_cpu_seconds_total", "User and system CPU time", {(): time.process_time()}, ()
        yield "process_max_fds", "Files it may have open", {(): descriptors()}, ()
        if self._linux:
            memory = int((self._proc / "statm").read_text().split()[1]) * resource.getpagesize()
            files = (self._proc / "fd").stat().st_size or await asyncio.to_thread(
                count, self._proc / "fd"
            )  # it says so since Linux 6.2
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
    """Bytes that the control group of this process may take, of both versions, or any that it is in. None without a limit.

    Source: cgroups(7) and Linux's Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst.
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
    """Those of the group and of all that it is in. What a container does not see of them is missing."""
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
    """Seconds since a process began, where that can be known."""
    try:
        return time.time() - _started(Path("/proc") / str(process))
    except OSError:
        return None


def count(directory: Path) -> int:
    """How many files are in it. For 20,000 it takes ten milliseconds and more: not for the loop's thread."""
    return sum(1 for _ in directory.iterdir())
