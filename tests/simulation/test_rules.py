"""Each rule of feeds, presence and cluster messages is necessary: without it, a run fails."""

import pytest

from tests.simulation.feed_rules import FEED_RULES
from tests.simulation.presence_rules import PRESENCE_RULES
from tests.simulation.rules import Rule
from tests.simulation.world import World


@pytest.mark.parametrize("rule", [*FEED_RULES, *PRESENCE_RULES], ids=lambda rule: rule.name)
def test_without_the_rule_a_promise_is_broken(rule: Rule) -> None:
    next(rule.worlds()).run()  # it keeps the promise with the rule
    with rule.switched_off():
        assert any(map(_breaks_a_promise, rule.worlds())), "the rule is not needed"


def _breaks_a_promise(world: World) -> bool:
    try:
        world.run()
    except AssertionError:
        return True
    return False
