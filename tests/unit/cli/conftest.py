"""Isolates each test of the command line."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from eventhub.cli import serve
from tests.unit.cli.runner import Started

LOGGERS = ("uvicorn", "uvicorn.error")


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Give the test its own directory and environment, and restore logging afterwards."""
    for name in os.environ:
        if name.upper().startswith("EVENTHUB_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    others = [
        (log, log.handlers, log.propagate, log.level, log.disabled)
        for log in map(logging.getLogger, LOGGERS)
    ]
    yield
    root.handlers, root.level = handlers, level
    for log, kept, propagate, log_level, disabled in others:
        log.handlers, log.propagate, log.level, log.disabled = kept, propagate, log_level, disabled
    structlog.reset_defaults()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """Record the start of a server instead of starting it."""
    recorded = Started()
    monkeypatch.setattr(serve, "serve_forever", recorded)
    return recorded
