"""server/http/admission.py: counted connections, and health probes of a full node."""

import pytest

from eventhub.config.limit_settings import LimitSettings
from eventhub.errors import NodeFull
from eventhub.server.http.admission import PROBED_PATHS, Admission
from eventhub.server.security.connection_limits import ConnectionLimits
from tests.unit.server.connections.manager_builder import build


@pytest.fixture
def limits() -> ConnectionLimits:
    return build(limits=LimitSettings(connections=1)).connection_limits


def nothing() -> None: ...


def test_a_connection_is_counted_until_it_leaves_once(limits: ConnectionLimits) -> None:
    admission = Admission(limits)
    admission.enter("192.0.2.1", nothing)
    assert (limits.open, admission.slot is not None, admission.full) == (1, True, None)
    admission.leave()
    admission.leave()
    assert limits.open == 0


def test_a_full_node_answers_a_health_probe_and_nothing_else(limits: ConnectionLimits) -> None:
    Admission(limits).enter("192.0.2.1", nothing)
    probe = Admission(limits)
    probe.enter("192.0.2.2", nothing)
    assert (limits.open, len(limits.health_probes)) == (1, 1)
    for path in PROBED_PATHS:
        probe.check(path)
    with pytest.raises(NodeFull):
        probe.check(b"/v1/types")
    probe.leave()
    assert limits.open == 1, "a health probe is not counted"
    probe.end_probe()
    probe.end_probe()
    assert len(limits.health_probes) == 0


def test_a_counted_connection_may_ask_anything(limits: ConnectionLimits) -> None:
    admission = Admission(limits)
    admission.enter("192.0.2.1", nothing)
    admission.check(b"/v1/types")


def test_another_protocol_counts_a_connection_out_that_was_handed_over(
    limits: ConnectionLimits,
) -> None:
    admission = Admission(limits)
    admission.enter("192.0.2.1", nothing)
    slot = admission.hand_over()
    admission.leave()
    assert limits.open == 1
    limits.disconnect(slot)
    assert limits.open == 0
