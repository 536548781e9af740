"""Runs with states and signals, under the same faults (RESULTS.md)."""

import pytest

from tests.simulation.rules import Rule
from tests.simulation.state_rules import STATE_RULES
from tests.simulation.state_world import StateWorld

SEEDS = 25
"""Of a group. `make proofs` has 2 more groups."""
GROUPS = [*range(2), *(pytest.param(group, marks=pytest.mark.proof) for group in range(2, 4))]


@pytest.mark.parametrize("group", GROUPS)
def test_a_state_is_that_of_the_log_whatever_fails(group: int) -> None:
    for seed in range(group * SEEDS, (group + 1) * SEEDS):
        try:
            StateWorld(seed).run()
        except Exception as error:
            error.add_note(f"it was StateWorld({seed})")
            raise


@pytest.mark.parametrize("rule", STATE_RULES, ids=lambda rule: rule.name)
def test_without_the_rule_a_state_or_a_signal_is_wrong(rule: Rule) -> None:
    StateWorld(next(iter(rule.seeds()))).run()  # it keeps the promise with the rule
    with rule.switched_off():
        assert any(_breaks_a_promise(seed) for seed in rule.seeds()), "the rule is not needed"


def _breaks_a_promise(seed: int) -> bool:
    try:
        StateWorld(seed).run()
    except AssertionError:
        return True
    return False
