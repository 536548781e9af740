"""The tests under every Python that pyproject.toml claims and this machine has: `python -m
tests.pythons`.

Each gets a virtual environment of its own in `.pythons`, from the same locked requirements. A
Python is looked for on PATH, then in the directories that the variable PYTHONS names, then among
pyenv's, where there is pyenv. One that is not there is named and left out.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
VARIABLE = "PYTHONS"
SUITE = ("tests/unit", "tests/contract")


def claimed() -> list[str]:
    """The versions of pyproject.toml's classifiers, such as "3.12"."""
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    return [
        found[1]
        for each in classifiers
        if (found := re.fullmatch(r"Programming Language :: Python :: (\d+\.\d+)", each))
    ]


def candidates(version: str) -> Iterator[Path]:
    """Where a Python of this version may be."""
    name = f"python{version}"
    for directory in (os.environ.get("PATH", "") + os.pathsep + os.environ.get(VARIABLE, "")).split(
        os.pathsep
    ):
        yield Path(directory or ".") / name
    if pyenv := shutil.which("pyenv"):
        root = subprocess.run(
            [pyenv, "root"], capture_output=True, text=True, check=False
        ).stdout.strip()
        yield from sorted(Path(root).glob(f"versions/{version}.*/bin/{name}"), reverse=True)


def find(version: str) -> Path | None:
    """The first that runs: a shim of pyenv on PATH may lead nowhere."""
    for path in candidates(version):
        if (
            path.is_file()
            and subprocess.run(
                [path, "-c", "import venv"], capture_output=True, check=False
            ).returncode
            == 0
        ):
            return path
    return None


def environment(version: str, python: Path) -> Path:
    """Its virtual environment, with what is locked; the Python in it. Made anew when the lock has
    changed.
    """
    directory = ROOT / ".pythons" / version
    stamp, locked = (
        directory / "locked",
        hashlib.sha256((ROOT / "requirements/dev.txt").read_bytes()).hexdigest(),
    )
    inside = directory / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != locked:
        subprocess.run([python, "-m", "venv", "--clear", directory], check=True)
        pip = [str(inside), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run(
            [*pip, "--require-hashes", "-r", str(ROOT / "requirements/dev.txt")], check=True
        )
        # The native extension is there, and one for all of them.
        subprocess.run(
            [*pip, "--no-deps", "--editable", str(ROOT)],
            env={**os.environ, "PURE": "1"},
            check=True,
        )
        stamp.write_text(locked)
    return inside


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def others() -> Iterator[tuple[str, Path]]:
    """Those that are claimed and here, but for this one."""
    for version in claimed():
        if version == f"{sys.version_info.major}.{sys.version_info.minor}":
            continue  # that of `make test`
        if (python := find(version)) is None:
            say(f"Python {version}: not found on PATH, in ${VARIABLE} or among pyenv's; not tested")
        else:
            say(f"Python {version}: {python}")
            yield version, python


def main() -> int:
    """Run them; 1 when any failed."""
    failed = False
    for version, python in others():
        pytest = [
            str(environment(version, python)),
            "-m",
            "pytest",
            "-q",
            "-n",
            "2",
            "--dist",
            "loadfile",
            *SUITE,
        ]
        failed |= subprocess.run(pytest, cwd=ROOT, check=False).returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
