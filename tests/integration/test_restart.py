"""A single node is restarted under load. `make restart` is the long form; RESULTS.md has its
results.
"""

from itertools import pairwise
from pathlib import Path

import pytest

from eventhub.server.connections.drain_pace import LEAST_AWAY, MARGIN_SECONDS
from tests.integration.restart import restart


@pytest.mark.proof  # in short, test_shutdown.py: each client is served until its own goodbye
def test_a_single_node_serves_all_clients_until_its_end_and_none_gets_an_error(
    tmp_path: Path,
) -> None:
    result = restart(tmp_path, 400)
    result.check()
    assert "Traceback" not in (tmp_path / "server.log").read_text()
    moments = sorted(result.moments)
    assert moments[0] >= LEAST_AWAY + MARGIN_SECONDS
    assert len(moments) == 400
    assert (
        max(later - earlier for earlier, later in pairwise(moments))
        <= 4 * (moments[-1] - moments[0]) / 400
    ), "evenly"
