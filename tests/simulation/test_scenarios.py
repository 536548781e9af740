"""Every promise is kept in the scenarios, as in the runs that chance decides."""

from collections.abc import Callable

import pytest

from tests.simulation.data_scenarios import DATA_SCENARIOS
from tests.simulation.scenario import Scenario
from tests.simulation.scenarios import SCENARIOS


@pytest.mark.parametrize(
    "scenario", [*SCENARIOS, *DATA_SCENARIOS], ids=lambda scenario: scenario.__name__
)
def test_every_promise_is_kept_in(scenario: Callable[[], Scenario]) -> None:
    scenario().run()
