"""Time that the NATS broker lets pass."""

import pytest

from eventhub.brokers.nats import broker as broker_module
from eventhub.brokers.nats import session as session_module


@pytest.fixture
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between attempts, ticks and connections."""
    monkeypatch.setattr(broker_module, "RETRY_SECONDS", 0)
    monkeypatch.setattr(broker_module, "BACKOFF_SECONDS", (0, 0))
    monkeypatch.setattr(session_module, "TICK_SECONDS", 0.001)
