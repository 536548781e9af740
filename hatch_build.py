"""Builds the native fan-out where a C compiler and Python's headers are.

Without them the wheel is pure Python and works, slower.
"""

import os
import shlex
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = Path("src/eventhub")
TARGET = PACKAGE / "_native.abi3.so"


class NativeHook(BuildHookInterface):
    """PURE=1 in the environment builds without."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile against the stable ABI of Python 3.11: one wheel serves it and later ones."""
        root = Path(self.root)
        if os.environ.get("PURE"):
            return
        include = sysconfig.get_path("include")
        compiler = shlex.split(os.environ.get("CC", "cc"))
        flags = ["-O2", "-shared", "-fPIC", "-DPy_LIMITED_API=0x030B0000", f"-I{include}"]
        source, target = str(root / PACKAGE / "_native.c"), str(root / TARGET)
        try:
            subprocess.run(
                [*compiler, *flags, source, "-o", target], check=True, capture_output=True
            )
        except (OSError, subprocess.CalledProcessError) as error:
            why = (
                error.stderr.decode().strip().splitlines()[:1]
                if isinstance(error, subprocess.CalledProcessError)
                else error
            )
            self.app.display_warning(f"no native fan-out, the Python one serves: {why}")
            return
        build_data["pure_python"] = False
        build_data["tag"] = (
            f"cp311-abi3-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
        )
        build_data["artifacts"].append(str(TARGET))
