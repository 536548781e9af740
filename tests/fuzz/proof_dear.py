"""Measures the most expensive inputs that a search has found: none costs many times as much as a
harmless one of its size.

`make dear` searches for more; `make dearest` runs this alone. It compares CPU times of one run,
because a slow machine is slow at both. The smallest of several measurements counts, because other
work only adds to it. The faults that were found here cost 30 to 400 times as much.
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
    """Collect garbage as rarely as the server does."""
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
