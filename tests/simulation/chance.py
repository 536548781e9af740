"""The one source of chance of a run."""

from bisect import bisect
from collections.abc import Mapping, Sequence
from itertools import accumulate
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Chance:
    """Draws that a seed decides."""

    def __init__(self, seed: int) -> None:
        self.draw = Random(seed).random

    def happens(self, probability: float) -> bool:
        return self.draw() < probability

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self.draw() * len(options))]

    def weighted(self, weights: Mapping[T, float]) -> T:
        place = self.draw() * sum(weights.values())
        options = list(weights)
        return options[bisect(list(accumulate(weights.values())), place, hi=len(options) - 1)]

    def number(self, low: int, high: int) -> int:
        """From `low` to `high`, both included."""
        return low + int(self.draw() * (high - low + 1))

    def between(self, low: float, high: float) -> float:
        return low + self.draw() * (high - low)
