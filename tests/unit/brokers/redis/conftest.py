"""Time that the Redis broker lets pass."""

import pytest

from eventhub.brokers.redis import broker as broker_module
from eventhub.brokers.redis import shard as shard_module
from eventhub.brokers.redis import topology as topology_module

LONG = 3600


@pytest.fixture
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hardly any between attempts, probes and questions for the masters; no time-outs: a busy
    machine is no fault.
    """
    monkeypatch.setattr(shard_module, "CONNECT_SECONDS", LONG)
    monkeypatch.setattr(shard_module, "ANSWER_SECONDS", LONG)
    monkeypatch.setattr(shard_module, "BUSY_SECONDS", 5 * LONG)
    monkeypatch.setattr(topology_module, "ASK_SECONDS", LONG)
    monkeypatch.setattr(shard_module, "BACKOFF_SECONDS", (0.001, 0.001))
    monkeypatch.setattr(shard_module, "PROBE_SECONDS", 0.001)
    monkeypatch.setattr(broker_module, "RETRY_SECONDS", 0)
    monkeypatch.setattr(broker_module, "LOOKUP_SECONDS", 0.001)
    monkeypatch.setattr(broker_module, "DOUBT_LOOKUP_SECONDS", 0.001)
