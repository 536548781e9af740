"""server/api/health_routes.py: liveness, readiness, metrics."""

import pytest

from eventhub.auth.keys import hash_key
from eventhub.config.settings import Settings
from eventhub.server.connections.manager import ConnectionManager
from tests.unit.server.api.requests import request

KEY = "ehk_operator-0123456789"


def test_a_process_is_live_whatever_its_node_can_do() -> None:
    assert request("GET", "/livez").json() == {"status": "ok"}


def test_readiness_names_what_is_missing() -> None:
    response = request("GET", "/readyz")
    assert (response.status_code == 503) == bool(response.json()["reasons"])


def test_metrics_are_in_the_prometheus_format() -> None:
    response = request("GET", "/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    assert "# TYPE eventhub_" in response.text


@pytest.mark.parametrize(("excluded", "reasons"), [("", {"hub", "broker"}), ("broker", {"hub"})])
def test_a_part_can_be_left_out(
    monkeypatch: pytest.MonkeyPatch, excluded: str, reasons: set[str]
) -> None:
    unready = {"hub": "it starts", "broker": "it is away"}
    monkeypatch.setattr(ConnectionManager, "unready", lambda _: unready)
    response = request("GET", f"/readyz?exclude={excluded}" if excluded else "/readyz")
    assert (response.status_code, response.json()["status"]) == (503, "not ready")
    assert set(response.json()["reasons"]) == reasons


def test_a_node_without_trouble_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConnectionManager, "unready", lambda _: {"broker": "it is away"})
    response = request("GET", "/readyz?exclude=broker")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "reasons": {}})
    assert request("GET", "/readyz?exclude=hub").status_code == 400


@pytest.mark.parametrize(("public", "status"), [(False, 401), (True, 200)])
def test_metrics_need_an_operator_unless_they_are_public(*, public: bool, status: int) -> None:
    keys = [{"name": "boss", "hash": hash_key(KEY), "operator": True}]
    settings = Settings.model_validate({"auth": {"keys": keys, "public_metrics": public}})
    assert request("GET", "/metrics", settings).status_code == status
    key = {"authorization": f"Bearer {KEY}"}
    assert request("GET", "/metrics", settings, headers=key).status_code == 200
