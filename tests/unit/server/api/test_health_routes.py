"""server/api/health_routes.py: liveness, readiness, metrics."""

from tests.unit.server.api.requests import request


def test_a_process_is_live_whatever_its_node_can_do() -> None:
    assert request("GET", "/livez").json() == {"status": "ok"}


def test_readiness_names_what_is_missing() -> None:
    response = request("GET", "/readyz")
    assert (response.status_code == 503) == bool(response.json()["reasons"])


def test_metrics_are_in_the_prometheus_format() -> None:
    response = request("GET", "/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    assert "# TYPE eventhub_" in response.text
