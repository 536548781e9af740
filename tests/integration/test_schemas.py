"""Versions of schemas, over restarts of a real server."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.harness.clients import WsClient, http, metric
from tests.harness.eventhub import EventHubServer

CONFIG = """
broker: sqlite:///events.db
channels:
  orders: {payload: order.json, key: /id, compatibility: backward, publish: [client, producer]}
  free: {payload: json}
"""
CHANNEL = "orders.eu"
UPCAST = "def note(data):\n    return {**data, 'note': 'older'}\n"
STEP = "{from: 1, to: 2, with: 'shop_events:note'}"


def schema(**properties: Any) -> str:
    return json.dumps({"type": "object", "properties": properties, "additionalProperties": False})


FIRST = schema(id={"type": "integer"})
SECOND = schema(id={"type": "integer"}, note={"type": "string"})
BREAKING = schema(id={"type": "string"})


def events(server: EventHubServer, **query: Any) -> list[dict[str, Any]]:
    url = f"{server.url}/v1/channels/{CHANNEL}"
    found: list[dict[str, Any]] = http.get(url, params=query).json()["events"]
    return found


def publish_every_way(server: EventHubServer) -> int:
    """Publish over each way in. Returns the number of events."""
    url = f"{server.url}/v1/channels/{CHANNEL}"
    lines = {"Content-Type": "application/x-ndjson"}
    answers = [
        http.post(url, json={"id": 1}),
        http.put(url, json={"id": 2}),
        http.post(url, json=[{"id": 3}, {"id": 4}]),
        http.post(url, content=b'{"id":5}\n{"id":6}\n', headers=lines),
        http.post(f"{server.url}/v1/events", json=[{"channel": CHANNEL, "data": {"id": 7}}]),
    ]
    assert [answer.status_code for answer in answers] == [201, 201, 201, 200, 201]
    with WsClient(server.ws_url) as client:
        client.send(type="publish", channel=CHANNEL, data={"id": 8}, ref=1)
        client.until("published")
    return 8


def test_events_have_the_version_of_the_server_and_a_breaking_schema_does_not_start(
    tmp_path: Path,
) -> None:
    (tmp_path / "order.json").write_text(FIRST)
    with EventHubServer(tmp_path, CONFIG) as server:
        number = publish_every_way(server)
        http.post(f"{server.url}/v1/channels/free.a", json=1)
        assert [each["schema"] for each in events(server)] == [1] * number

        (tmp_path / "order.json").write_text(SECOND)
        (tmp_path / "shop_events.py").write_text(UPCAST)
        server.config.write_text(CONFIG.replace("key: /id", f"key: /id, upcast: [{STEP}]"))
        server.restart()
        http.post(f"{server.url}/v1/channels/{CHANNEL}", json={"id": 9, "note": "x"})
        http.delete(f"{server.url}/v1/channels/{CHANNEL}", params={"key": "9"})
        found = events(server, since=-3)
        assert [each.get("schema") for each in found] == [2, 2, None]
        assert [each["data"] for each in found] == [
            {"id": 8, "note": "older"},
            {"id": 9, "note": "x"},
            None,
        ]
        noted = events(server, where='has(data.note) && data.note == "older"')
        kept = [each["data"]["id"] for each in noted if "deleted" not in each]
        assert kept == list(range(1, number + 1))
        free = http.get(f"{server.url}/v1/channels/free.a").json()["events"]
        assert "schema" not in free[0]

        types = f"{server.url}/v1/types/orders"
        described = http.get(types).json()
        assert (described["version"], described["compatibility"]) == (2, "backward")
        assert http.get(f"{types}/versions").json() == {"name": "orders", "versions": [1, 2]}
        first = http.get(f"{types}/versions/1").json()
        assert first["schemas"]["stored"] == json.loads(FIRST)
        assert http.get(f"{types}/versions/3").status_code == 404
        assert metric(server.url, 'eventhub_schema_version{type="orders"}') == 2
        names = [each["name"] for each in http.get(f"{server.url}/v1/channels").json()["channels"]]
        assert names == ["free.a", CHANNEL]

        server.stop()
        (tmp_path / "order.json").write_text(BREAKING)
        refused = subprocess.run(
            server.command(),
            env=server.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert refused.returncode == 2
        assert refused.stderr.endswith(
            "eventhub: channels.orders: its schema cannot be version 3, because "
            "channels.orders.compatibility is backward and it breaks version 2:\n"
            "  /additionalProperties/note: the new schema has no note, and its object is closed; "
            "the old schema accepts note (property_removed_from_closed, backward)\n"
            '  /properties/id/type: the new schema has type "string"; the old schema has type '
            '"integer" (type_narrowed, backward)\n'
        )
        assert "Traceback" not in refused.stdout + refused.stderr

        (tmp_path / "order.json").write_text(FIRST)  # a rollback
        server.config.write_text(CONFIG)
        server.start()
        newer = events(server, since=-2)[0]
        assert (newer["schema"], newer["data"]) == (2, {"id": 9, "note": "x"})
        assert metric(server.url, 'eventhub_schema_version{type="orders"}') == 1
        assert metric(server.url, 'eventhub_schema_newest_version{type="orders"}') == 2
        server.logs("schema_older")
