"""Time that the Redis broker lets pass."""

import pytest

from eventhub.brokers.redis import broker as broker_module
from eventhub.brokers.redis import shard as shard_module


@pytest.fixture
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hardly any between attempts, probes and questions for the masters."""
    monkeypatch.setattr(shard_module, "BACKOFF_SECONDS", (0.001, 0.001))
    monkeypatch.setattr(shard_module, "PROBE_SECONDS", 0.001)
    monkeypatch.setattr(broker_module, "RETRY_SECONDS", 0)
    monkeypatch.setattr(broker_module, "LOOKUP_SECONDS", 0.001)
    monkeypatch.setattr(broker_module, "DOUBT_LOOKUP_SECONDS", 0.001)
