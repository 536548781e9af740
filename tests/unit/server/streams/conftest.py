"""CPU time stands still unless a test moves it: how fast this machine is decides nothing."""

import pytest


@pytest.fixture(autouse=True)
def _no_cpu_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for user in ("http.reader", "connections.fair_queue", "connections.request_starts"):
        monkeypatch.setattr(f"eventhub.server.{user}.thread_time", lambda: 0.0)
