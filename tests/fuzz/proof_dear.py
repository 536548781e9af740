"""The dearest inputs that a search has found, once more: none costs many times as much as a
harmless one of its size.

`make dear` looks for more; `make dearest` runs this, and nothing beside it. What is compared is CPU
time in one run, so that a slow machine is slow at both, and the least of several measurements
counts, as what else runs only adds to it; what was here before cost 30 to 400 times as much.
"""

import gc
from collections.abc import Iterator
from itertools import accumulate

import pytest

from eventhub.server.process.server import GARBAGE
from tests.fuzz.dear import ENTRANCES, corpus, ratio

MOST = 25


@pytest.fixture(autouse=True)
def as_the_server_has_it() -> Iterator[None]:
    """Garbage is collected as seldom."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(GARBAGE)
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_no_known_input_takes_many_times_the_cpu_time_of_a_harmless_one(entrance: str) -> None:
    kept = corpus()[entrance]
    assert kept
    for recipe in kept:
        measured = (ratio(entrance, recipe) for _ in range(6))
        least = next((times for times in accumulate(measured, min) if times <= MOST), None)
        assert least is not None, f"never as little as {MOST} times: {recipe}"
