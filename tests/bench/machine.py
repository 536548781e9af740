"""Describes the machine that the figures were measured on, and how busy it was."""

import os
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

PACKAGES = (
    "eventhub-server",
    "uvicorn",
    "uvloop",
    "httptools",
    "orjson",
    "pydantic",
    "fastapi",
    "websockets",
)


def describe() -> dict[str, str]:
    """The description, by property."""
    return {
        "processor": f"{os.cpu_count()} x {_field('/proc/cpuinfo', 'model name')}",
        "virtual": "yes" if "hypervisor" in _field("/proc/cpuinfo", "flags").split() else "no",
        "memory": f"{int(_field('/proc/meminfo', 'MemTotal').split()[0]) / 1024**2:.0f} GB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "commit": commit(),
        "load": f"{os.getloadavg()[0]:.2f} at the begin",
    }


def commit() -> str:
    """The commit that is measured, and whether the code has changed since: figures of changing code
    cannot be compared.
    """
    head = _git("rev-parse", "--short", "HEAD")
    return (
        f"{head}, src changed since"
        if head and _git("status", "--porcelain", "--", "src")
        else head or "unknown"
    )


def _git(*words: str) -> str:
    command = ["git", "-C", str(Path(__file__).parents[2]), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def wait_until_calm(percent: float, patience: float) -> None:
    """Return when the machine was busy for less than `percent` of a core for half a second, or
    after `patience` seconds.
    """
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and _busy(0.5) >= percent:
        pass


def _busy(seconds: float) -> float:
    before = _busy_ticks()
    time.sleep(seconds)  # what is measured
    return 100 * (_busy_ticks() - before) / os.sysconf("SC_CLK_TCK") / seconds


def _busy_ticks() -> int:
    """Time of all cores that was not idle, what the hypervisor took included (proc(5))."""
    user, nice, system, _, _, *others = (
        int(word) for word in Path("/proc/stat").read_text().split()[1:9]
    )
    return user + nice + system + sum(others)


def _field(file: str, name: str) -> str:
    for line in Path(file).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"
