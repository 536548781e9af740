"""The measurements of docs/scale.md work: short ones, with their samples. Nothing about time is
asserted.
"""

from collections.abc import Callable, Iterator

import pytest

from tests.bench.scale import single
from tests.bench.scale.cost import COSTS
from tests.bench.scale.measure import Measure, Sample
from tests.bench.tools import build


@pytest.fixture(scope="module")
def measure(tmp_path_factory: pytest.TempPathFactory) -> Measure:
    return Measure(build(tmp_path_factory.mktemp("tools")).load, quick=True)


@pytest.mark.parametrize(
    ("experiment", "cost"), [(single.requests, "publish"), (single.history, "history")]
)
def test_an_experiment_reads_each_of_its_sizes_once(
    measure: Measure, experiment: Callable[[Measure], Iterator[Sample]], cost: str
) -> None:
    samples = list(experiment(measure))
    assert sorted(sample.size for sample in samples) == list(COSTS[cost].sizes[:2])
    assert all(sample.cost == cost and sample.value > 0 for sample in samples)
