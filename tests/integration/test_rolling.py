"""A rolling restart of three nodes behind a load balancer. `make rolling` is the long form;
RESULTS.md has its results.
"""

from pathlib import Path

import pytest

from tests.integration.drawing import drawing
from tests.integration.rolling import Plan, roll


@pytest.mark.proof  # in short, test_nodes.py: nothing is lost; test_shutdown.py: at their pace
def test_a_rolling_restart_loses_nothing_and_moves_no_more_clients_in_a_second_than_it_may(
    tmp_path: Path,
) -> None:
    plan = Plan(clients=600, channels=5, spread=1.5, reconnect_within=1)
    result = roll(tmp_path, plan)
    result.check()
    assert not [
        log.name for log in tmp_path.glob("node*/server.log") if "Traceback" in log.read_text()
    ]
    shares = [restart.share(plan) for restart in result.restarts]
    assert (
        drawing(result.samples, result.restarts, shares, result.returns).count("<polyline")
        == 3 + 3 + 1 + 3
    )
