"""The JavaScript client through faults between it and its server: no acknowledged event is
lost, comes twice or out of order. `make client-proof` is the long form, with all faults.
"""

import asyncio
from pathlib import Path

import pytest

from tests.integration.javascript_faults import Fault, Scene, endure

SHORT: list[Fault] = [Scene.kill, Scene.half_close, Scene.kill_client]


@pytest.mark.timeout(900)  # the machine may be busy
def test_each_acknowledged_event_reaches_each_follower_once_through_faults(
    tmp_path: Path,
) -> None:
    books = asyncio.run(endure(tmp_path, SHORT, rounds=1))
    assert books.clean, books
    assert (books.followers, books.faults) == (4, len(SHORT))
