"""Each rule of feeds, presence and cluster messages is necessary: without it, a run fails."""

import pytest

from tests.simulation.feed_rules import FEED_RULES
from tests.simulation.presence_rules import PRESENCE_RULES
from tests.simulation.rules import Rule


@pytest.mark.parametrize("rule", [*FEED_RULES, *PRESENCE_RULES], ids=lambda rule: rule.name)
def test_without_the_rule_a_promise_is_broken(rule: Rule) -> None:
    with rule.switched_off(), pytest.raises(AssertionError):
        rule.world().run()
