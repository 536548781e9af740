"""Time that the NATS broker lets pass."""

import pytest

from eventhub.brokers.nats import broker as broker_module
from eventhub.brokers.nats import client as client_module
from eventhub.brokers.nats import link as link_module
from eventhub.brokers.nats import session as session_module

LONG = 3600


@pytest.fixture(autouse=True)
def without_time_outs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no fault: tests of time-outs set their own. A ping keeps its own, by which
    a session notices the end of its link.
    """
    monkeypatch.setattr(link_module, "REQUEST_SECONDS", LONG)
    for module in (link_module, client_module):
        monkeypatch.setattr(module, "CONNECT_SECONDS", LONG)


@pytest.fixture
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between attempts, ticks and connections."""
    monkeypatch.setattr(broker_module, "RETRY_SECONDS", 0)
    monkeypatch.setattr(broker_module, "BACKOFF_SECONDS", (0, 0))
    monkeypatch.setattr(session_module, "TICK_SECONDS", 0.001)
