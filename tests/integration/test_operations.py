"""Health, metrics, documents, logs and start-up, as an operator meets them."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.clients import WsClient, http, metric, sse
from tests.harness import EventHubServer

Channel = Callable[[str], str]
Start = Callable[..., EventHubServer]


def post(hub: EventHubServer, channel: str, body: str) -> int:
    return http.post(f"{hub.url}/v1/channels/{channel}", content=body).status_code


def test_a_running_server_is_live_and_ready(hub: EventHubServer) -> None:
    assert http.get(f"{hub.url}/livez").json() == {"status": "ok"}
    assert http.get(f"{hub.url}/readyz").json() == {"status": "ok", "reasons": {}}


def test_metrics_count_what_happens(start: Start) -> None:
    hub = start()
    with WsClient(f"{hub.ws_url}?channel=iot.a&channel=iot.b") as client, sse(f"{hub.url}/v1/channels/chat.a/sse") as blocks:
        client.until("subscribed")
        client.until("subscribed")
        next(block for block in blocks if block.name == "subscribed")
        assert post(hub, "iot.a", '[{"value":1},{"value":2},{"value":"x"}]') == 207
        assert post(hub, "chat.a", '{"sender":"a","text":"b"}') == 201
        assert post(hub, "stranger-<script>.a", "{}") == 400
        assert post(hub, "stranger.a", "{}") == 404
        last = client.events(2)[-1]["id"]
        next(block for block in blocks if block.name == "message")
        expected = {
            'eventhub_connections{transport="websocket"}': 1,
            'eventhub_connections{transport="sse"}': 1,
            'eventhub_subscriptions{type="iot"}': 2,
            'eventhub_channels{type="iot"}': 2,
            'eventhub_events_published_total{type="iot"}': 2,
            'eventhub_events_rejected_total{code="invalid_event",type="iot"}': 1,
            'eventhub_events_rejected_total{code="unknown_channel",type="unknown"}': 1,
            'eventhub_events_rejected_total{code="invalid_channel",type="unknown"}': 1,
            'eventhub_events_delivered_total{type="iot"}': 2,
            'eventhub_events_delivered_total{type="chat"}': 1,
            'eventhub_publish_to_socket_seconds_count{type="iot"}': 2,
            'eventhub_fanout_seconds_count{type="chat"}': 1,
        }
        assert {name: metric(hub.url, name) for name in expected} == expected
        with WsClient(hub.ws_url) as other:
            other.subscribe("iot.a", since=last)
            other.subscribe("iot.b", since="0ther-1")
        assert metric(hub.url, 'eventhub_resumed_total{type="iot"}') == 1
        assert metric(hub.url, 'eventhub_gaps_total{reason="reset",type="iot"}') == 1


def test_gauges_fall_when_connections_go(start: Start) -> None:
    hub = start()
    for _ in range(3):
        with WsClient(f"{hub.ws_url}?channel=chat.a") as client:
            client.until("subscribed")
        with sse(f"{hub.url}/v1/channels/chat.a/sse") as blocks:
            next(block for block in blocks if block.name == "subscribed")
    with WsClient(f"{hub.ws_url}?channel=chat.b") as client:  # the server is done with the others when this one counts alone
        client.until("subscribed")
        while metric(hub.url, "eventhub_connections") != 1:
            pass
        assert metric(hub.url, "eventhub_subscriptions") == metric(hub.url, "eventhub_channels") == 1


def test_a_scrape_does_not_grow_with_channels(start: Start) -> None:
    hub = start()
    with WsClient(hub.ws_url) as client:
        client.subscribe("chat.a")
        before = len(http.get(f"{hub.url}/metrics").text.splitlines())
        for number in range(100):
            client.subscribe(f"chat.{number}")
        assert len(http.get(f"{hub.url}/metrics").text.splitlines()) == before


def test_metrics_are_in_prometheus_format_and_documented(hub: EventHubServer) -> None:
    families = list(text_string_to_metric_families(http.get(f"{hub.url}/metrics").text))
    assert len(families) > 10
    documented = Path("docs/metrics.md").read_text()
    for family in families:
        assert family.documentation
        assert f"`{family.name}`" in documented, f"{family.name} is not in docs/metrics.md"
    for name in re.findall(r"^\| `(eventhub_\w+)`", documented, re.MULTILINE):
        assert name in {family.name for family in families}, f"docs/metrics.md names {name}, which does not exist"


def test_the_openapi_document_describes_publishing(hub: EventHubServer) -> None:
    document = http.get(f"{hub.url}/openapi.json").json()
    assert set(document["paths"]["/v1/channels/{channel}"]) == {"get", "post", "put"}
    body = document["paths"]["/v1/channels/{channel}"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json", "application/x-ndjson"}
    assert http.get(f"{hub.url}/docs").status_code == 200


def test_types_serve_their_schemas(hub: EventHubServer) -> None:
    types = {kind["name"]: kind for kind in http.get(f"{hub.url}/v1/types").json()["types"]}
    assert types["chat"] == {
        "name": "chat", "payload": "chat", "history": {"events": 500, "age": 86400.0}, "presence": True,
        "slow": "disconnect", "publish": ["client", "producer"],
    }  # fmt: skip
    schema = http.get(f"{hub.url}/v1/types/iot").json()["schema"]
    assert schema["required"] == ["value"]
    unknown = http.get(f"{hub.url}/v1/types/chatt")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_channel")
    assert "did you mean 'chat'" in unknown.json()["detail"]


def test_pages_come_with_security_headers(hub: EventHubServer) -> None:
    for path in ("/", "/chat", "/explore", "/static/eventhub.js", "/static/style.css"):
        response = http.get(hub.url + path)
        assert response.status_code == 200, path
        assert "default-src 'self'" in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
    assert http.get(hub.url + "/static/../pyproject.toml").status_code == 404
    assert http.get(hub.url + "/static/%2e%2e/pyproject.toml").status_code == 404


def test_logs_are_json_lines_without_payloads(start: Start) -> None:
    hub = start()
    post(hub, "chat.a", '{"sender":"a","text":"s3cret"}')
    post(hub, "chat.a", '{"sender":"a","text":5,"s3cret":1}')
    hub.stop()
    text = hub.log.read_text()
    events = [json.loads(line)["event"] for line in text.splitlines()]
    assert events == ["listening", "draining", "stopped"]
    assert "s3cret" not in text


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "eventhub", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=30, check=False)


def test_listening_beyond_loopback_without_authentication_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "serve", "--host", "0.0.0.0", "--port", "0")
    assert done.returncode == 2
    assert "--insecure" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("chanels: {}", "chanels: unknown key; did you mean channels?"),
        ("channels: {chat: {payload: chta}}", "payload is 'chta'"),
        ("channels: {chat: {slwo: drop}}", "did you mean slow?"),
        ("port: many", "port"),
        ("[1]", "holds a list"),
        ("a: b: c", "is not YAML"),
    ],
)
def test_check_says_what_is_wrong(tmp_path: Path, config: str, told: str) -> None:
    (tmp_path / "eventhub.yaml").write_text(config)
    done = run(tmp_path, "check")
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_told_and_ends_the_server(hub: EventHubServer, tmp_path: Path) -> None:
    done = run(tmp_path, "serve", "--port", str(hub.port))
    assert done.returncode != 0
    assert "address already in use" in (done.stdout + done.stderr)
