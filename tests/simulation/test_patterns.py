"""Runs in which every client listens to patterns, under the same faults (RESULTS.md)."""

import pytest

from tests.simulation.pattern_rules import PATTERN_RULES
from tests.simulation.pattern_world import PatternWorld
from tests.simulation.rules import Rule

SEEDS = 40
"""Of a group. `make proofs` has 3 more groups."""
GROUPS = [*range(2), *(pytest.param(group, marks=pytest.mark.proof) for group in range(2, 5))]


@pytest.mark.parametrize("group", GROUPS)
def test_a_pattern_is_complete_whatever_fails(group: int) -> None:
    for seed in range(group * SEEDS, (group + 1) * SEEDS):
        try:
            PatternWorld(seed).run()
        except Exception as error:
            error.add_note(f"it was PatternWorld({seed})")
            raise


@pytest.mark.parametrize("rule", PATTERN_RULES, ids=lambda rule: rule.name)
def test_without_the_rule_a_pattern_is_not_complete(rule: Rule) -> None:
    PatternWorld(next(iter(rule.seeds()))).run()  # it keeps the promise with the rule
    with rule.switched_off():
        assert any(_breaks_a_promise(seed) for seed in rule.seeds()), "the rule is not needed"


def _breaks_a_promise(seed: int) -> bool:
    try:
        PatternWorld(seed).run()
    except AssertionError:
        return True
    return False
