"""The simulation logs nothing: what goes wrong on purpose is no news."""

from collections.abc import Iterator

import pytest
import structlog

from tests.simulation.quiet import quieten


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = structlog.get_config()
    quieten()
    yield
    structlog.configure(**before)
