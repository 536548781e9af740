"""Runs every target over the corpus and over a few thousand fixed variations of it. `make fuzz`
searches for more, guided by coverage.
"""

import random

import pytest

from tests.fuzz.__main__ import RUNS
from tests.fuzz.targets import TARGETS, corpus
from tests.fuzz.variations import explore, varied

VARIATIONS = 500


def test_the_targets_are_those_that_can_be_run() -> None:
    assert list(TARGETS) == list(RUNS)


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_raises_no_unexpected_error(name: str) -> None:
    inputs = corpus(name)
    assert inputs
    for data in [b"", *inputs]:
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
def test_variations_of_the_corpus_raise_no_unexpected_error(name: str) -> None:
    inputs, dice = corpus(name), random.Random(name)
    for _ in range(VARIATIONS):
        TARGETS[name](varied(inputs, dice))


def test_variations_of_the_lane_lead_to_new_outcomes() -> None:
    report = explore(30, seed=1, seconds=60)
    assert report.runs == 30
    assert report.found, "of thirty variations, several do what no input of the corpus does"
