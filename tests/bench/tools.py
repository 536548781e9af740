"""Builds the C programs beside this file, where the caller says."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Tools:
    """Paths of the programs."""

    load: Path
    limit: Path


def build(directory: Path) -> Tools:
    """Compile both. Raises CalledProcessError with the compiler's output on standard error."""
    return Tools(_compile("wsload", directory), _compile("climit", directory))


def _compile(name: str, directory: Path) -> Path:
    program = directory / name
    subprocess.run(
        ["gcc", "-O2", "-march=native", "-Wall", "-o", program, SOURCES / f"{name}.c", "-lz"],
        check=True,
    )
    return program
