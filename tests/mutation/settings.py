"""What is the same in every run: places, pytest's arguments, and no chance."""

from collections.abc import Iterable
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": ""}


def arguments(tests: Iterable[str], *more: str) -> list[str]:
    """Of pytest: nothing that times, prints or captures beside the tests."""
    quiet = ["-q", "-s", "--tb=no", "-p", "no:xdist", "-o", "timeout=0"]
    imported = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    return [*quiet, *imported, *more, *tests]


class Determined:
    """Hypothesis tries the same examples in each run, and does not look for the smallest."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
        hypothesis.settings.register_profile(
            "mutation", deadline=None, derandomize=True, database=None, phases=phases
        )
        hypothesis.settings.load_profile("mutation")
