"""docs/scale.md: its figures are those that were measured, and its model predicts what it has not
seen. Nothing is measured here.
"""

import math
from functools import cache

import pytest

from tests.bench.scale import page, results
from tests.bench.scale.cost import COSTS, Cost
from tests.bench.scale.fit import fit, predict, spread
from tests.bench.scale.plan import (
    NODE_CONNECTIONS,
    TARGET,
    Demand,
    NoPlan,
    listening,
    node_cores,
    plan,
)
from tests.bench.scale.results import Results
from tests.bench.scale.rows import ROWS


@cache
def stored() -> Results:
    return results.read()


def test_the_page_has_the_figures_of_the_stored_measurements() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.render(stored()), "run `make docs`"


def test_every_cost_is_stored() -> None:
    assert list(stored().models) == list(COSTS)


@pytest.mark.parametrize("cost", COSTS)
def test_the_model_predicts_two_sizes_within_a_third(cost: str) -> None:
    predictions = stored().models[cost].predictions()
    assert len(predictions) >= 2
    for one in predictions:
        assert abs(one.error) <= results.TOLERANCE, one


@pytest.mark.parametrize("cost", COSTS.values(), ids=COSTS.keys())
def test_a_model_is_fitted_to_four_sizes_and_never_to_one_that_it_predicts(
    cost: Cost,
) -> None:
    assert len(set(cost.fitted)) >= 4
    assert not set(cost.fitted) & set(cost.held_out)


@pytest.mark.parametrize("cost", COSTS)
def test_the_stored_coefficients_follow_from_the_stored_readings(cost: str) -> None:
    assert stored().written[cost] == pytest.approx(stored().models[cost].coefficients, rel=1e-3)


def test_every_row_of_the_table_of_costs_has_a_coefficient() -> None:
    for row in ROWS:
        assert stored().of(row.cost, row.term) >= 0, row.text


def test_a_fit_finds_the_coefficients_of_a_sum() -> None:
    rows = [(1, 10, 3), (1, 100, 5), (1, 1000, 1), (1, 4000, 9)]
    values = [2 + 0.5 * x + 7 * y for _, x, y in rows]
    assert fit(rows, values) == pytest.approx([2, 0.5, 7])
    for low, high in spread(rows, values):
        assert low == pytest.approx(high)


def test_small_sizes_count_as_much_as_large_ones() -> None:
    """Errors are relative: a doubled reading moves the prediction at its size alike anywhere."""
    rows, values = [(10,), (10_000,)], [10.0, 20_000.0]
    assert predict(fit(rows, values), (10,)) == pytest.approx(12)


def test_a_term_that_would_cost_less_than_nothing_is_left_out() -> None:
    rows = [(1, 10), (1, 20), (1, 40)]
    first, each = fit(rows, [9.0, 19.0, 39.0])
    assert first == 0
    assert 0.9 < each < 1


def test_sizes_that_do_not_tell_terms_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="do not tell the terms apart"):
        fit([(1, 2), (2, 4), (3, 6)], [1, 2, 3])


def test_one_reader_is_on_one_node_and_a_crowd_on_all() -> None:
    assert listening(1, 50) == pytest.approx(1)
    assert listening(1e6, 50) == pytest.approx(50)
    assert 9 < listening(10, 50) < 10


@pytest.mark.parametrize("demand", page.EXAMPLES.values(), ids=page.EXAMPLES.keys())
def test_no_node_of_a_plan_has_more_than_its_share(demand: Demand) -> None:
    found = plan(demand, stored())
    assert found.nodes >= demand.connections / NODE_CONNECTIONS
    assert node_cores(demand, stored(), found.nodes) <= found.nodes * TARGET
    assert found.broker_cores <= found.shards * TARGET


def test_a_plan_has_no_node_too_many() -> None:
    demand = page.EXAMPLES["Chat"]
    found = plan(demand, stored())
    fewest = math.ceil(demand.connections / NODE_CONNECTIONS)
    fewer = found.nodes - 1
    assert found.nodes == fewest or node_cores(demand, stored(), fewer) > fewer * TARGET


def test_no_number_of_nodes_is_enough_when_each_has_to_take_every_event() -> None:
    with pytest.raises(NoPlan):
        plan(Demand(connections=1e6, audience=1e6, events=1e7), stored())
