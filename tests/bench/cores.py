"""Pins the server to one core and the client to another, so that they do not share one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_ALL = sorted(os.sched_getaffinity(0))
SERVER = _ALL[0]
CLIENT = _ALL[-1]


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Processes started inside run on `core`."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
