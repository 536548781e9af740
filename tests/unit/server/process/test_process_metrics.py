"""server/process/process_metrics.py: the memory that a control group leaves, and what this process
takes.
"""

import asyncio
import resource
import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from eventhub.server.process import process_metrics
from eventhub.server.process.process_metrics import ProcessMetrics, count, memory_limit

GIB = 1 << 30
NO_LIMIT = "9223372036854771712"  # what Linux says in version 1


def tree(root: Path, groups: str, files: dict[str, str]) -> Path:
    """A machine whose /proc/self/cgroup and /sys/fs/cgroup say this."""
    for name, text in {
        "proc/self/cgroup": groups,
        **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("groups", "files", "limit"),
    [
        ("0::/\n", {"memory.max": f"{GIB}\n"}, GIB),  # a container with a name space of its own
        ("0::/\n", {"memory.max": "max\n"}, None),
        ("0::/\n", {}, None),  # the root of a machine has no such file
        (
            "0::/system.slice/eventhub.service\n",
            {"system.slice/eventhub.service/memory.max": f"{GIB}\n"},
            GIB,
        ),
        (
            "0::/kubepods/pod1/a\n",
            {
                "kubepods/pod1/a/memory.max": "max\n",
                "kubepods/pod1/memory.max": f"{2 * GIB}\n",
                "kubepods/memory.max": f"{8 * GIB}\n",
            },
            2 * GIB,
        ),
        (
            "9:name=systemd:/\n4:memory:/docker/a\n0::/\n",
            {"memory/docker/a/memory.limit_in_bytes": f"{GIB}\n"},
            GIB,
        ),
        ("4:cpu,memory:/\n", {"memory/memory.limit_in_bytes": NO_LIMIT}, None),
        # a container of version 1 is told of a path that it does not see; its own group is the root
        # of the mount
        ("4:memory:/docker/a\n", {"memory/memory.limit_in_bytes": f"{GIB}\n"}, GIB),
        (
            "4:memory:/a\n",
            {
                "memory/a/memory.limit_in_bytes": NO_LIMIT,
                "memory/memory.limit_in_bytes": f"{GIB}\n",
            },
            GIB,
        ),
    ],
)
def test_the_tightest_limit_of_the_groups_that_it_is_in_holds(
    tmp_path: Path, groups: str, files: dict[str, str], limit: int | None
) -> None:
    assert memory_limit(tree(tmp_path, groups, files)) == limit


def test_where_there_are_no_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert memory_limit(tmp_path) is None


async def read(root: Path) -> dict[str, float]:
    return {name: values[()] async for name, _, values, _ in ProcessMetrics(root).readings()}


def test_a_limit_is_shown_where_there_is_one(tmp_path: Path) -> None:
    assert "eventhub_memory_limit_bytes" not in asyncio.run(read(tmp_path))
    assert (
        asyncio.run(read(tree(tmp_path, "0::/\n", {"memory.max": "1000\n"})))[
            "eventhub_memory_limit_bytes"
        ]
        == 1000
    )


def test_what_this_process_takes_is_what_the_kernel_says() -> None:
    found = asyncio.run(read(Path("/")))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    assert found["process_cpu_seconds_total"] == pytest.approx(
        usage.ru_utime + usage.ru_stime, abs=1
    )
    assert (
        usage.ru_maxrss * 1024 / 4
        < found["process_resident_memory_bytes"]
        <= usage.ru_maxrss * 1024 * 1.1
    )
    assert found["process_max_fds"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert time.time() - 3600 < found["process_start_time_seconds"] < time.time()


def test_when_it_started_never_changes() -> None:
    async def twice(machine: ProcessMetrics) -> list[float]:
        return [
            values[()]
            for _ in range(2)
            async for name, _, values, _ in machine.readings()
            if name == "process_start_time_seconds"
        ]

    first, second = asyncio.run(twice(ProcessMetrics()))
    assert first == second


def test_open_files_are_counted() -> None:
    before = asyncio.run(read(Path("/")))["process_open_fds"]
    with ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(Path("/dev/null").open())
        assert asyncio.run(read(Path("/")))["process_open_fds"] == before + 50


def test_files_are_counted_where_the_kernel_does_not_say_how_many_are_open(tmp_path: Path) -> None:
    for name in ("0", "1", "2"):
        (tmp_path / name).touch()
    assert count(tmp_path) == 3


def test_the_age_of_a_process_is_the_time_since_it_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_metrics, "_started", lambda proc: float(proc.name))
    monkeypatch.setattr(process_metrics, "time", SimpleNamespace(time=lambda: 1007.5))
    assert process_metrics.age(1000) == 7.5


def test_the_age_of_a_process_that_has_ended_is_not_known() -> None:
    assert process_metrics.age(2**30) is None
