"""Runs every target over the corpus and over a few thousand fixed variations of it. `make fuzz`
searches for more, guided by coverage.
"""

import random
from collections.abc import Sequence

import pytest

from tests.fuzz.__main__ import RUNS
from tests.fuzz.targets import TARGETS, corpus

VARIATIONS = 500
PIECES = (
    b"\x00",
    b"\xff",
    b"\x7f",
    b'"',
    b"\\",
    b"{",
    b"[",
    b"]",
    b"\n",
    b"\r",
    b"null",
    b"1e999",
    b"\\ud800",
    b"-0",
    b"@",
    b",",
    b"\xf0\x9f",
)


def varied(inputs: Sequence[bytes], dice: random.Random) -> bytes:
    """One of the inputs, changed in up to four places."""
    data = bytearray(dice.choice(inputs))
    for _ in range(dice.randint(1, 4)):
        at = dice.randint(0, len(data))
        match dice.randrange(5):
            case 0 if at < len(data):
                data[at] ^= 1 << dice.randrange(8)
            case 1:
                del data[at : at + dice.randint(1, 16)]
            case 2:
                data[at:at] = data[at : at + dice.randint(1, 64)]
            case 3:
                data[at:at] = dice.choice(PIECES)
            case _:
                data[at:] = dice.choice(inputs)[at:]
    return bytes(data)


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
