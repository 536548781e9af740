"""histogram.py: every value is in the bucket of the first bound that is not below it, and in all
above.
"""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client import Histogram as Reference

from eventhub.common.histogram import Histogram
from eventhub.observability.metrics import LATENCY

INFINITE = float("inf")


def test_nothing_observed_is_zero_everywhere() -> None:
    histogram = Histogram((1.0, 2.0))
    assert histogram.cumulative() == [(1.0, 0), (2.0, 0), (INFINITE, 0)]
    assert histogram.sum == 0


def test_a_bound_belongs_to_what_it_bounds() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.0, 1.0, 1.5, 2.0, 2.1):
        histogram.observe(value)
    assert histogram.cumulative() == [(1.0, 2), (2.0, 4), (INFINITE, 5)]
    assert histogram.sum == pytest.approx(6.6)


def test_a_value_that_came_several_times_counts_as_often() -> None:
    once, together = Histogram((1.0, 2.0)), Histogram((1.0, 2.0))
    for value in (0.5, 1.5, 1.5, 1.5):
        once.observe(value)
    together.observe(0.5)
    together.observe(1.5, 3)
    assert together.cumulative() == once.cumulative() == [(1.0, 1), (2.0, 4), (INFINITE, 4)]
    assert together.sum == once.sum == 5.0


def test_one_bound_above_the_other() -> None:
    assert all(lower < upper for lower, upper in pairwise(LATENCY))


@given(st.lists(st.one_of(st.floats(0, 20), st.sampled_from(LATENCY))))
def test_it_counts_as_prometheus_does(values: list[float]) -> None:
    ours, theirs = (
        Histogram(LATENCY),
        Reference("a", "b", buckets=LATENCY, registry=CollectorRegistry()),
    )
    for value in values:
        ours.observe(value)
        theirs.observe(value)
    (family,) = theirs.collect()
    buckets = [sample.value for sample in family.samples if sample.name == "a_bucket"]
    assert [count for _, count in ours.cumulative()] == buckets
    assert ours.sum == pytest.approx(
        next(sample.value for sample in family.samples if sample.name == "a_sum")
    )
