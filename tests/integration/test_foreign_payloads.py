"""What other tools send becomes events: Alertmanager's webhook and packs of SenML."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.harness.clients import http
from tests.harness.eventhub import EventHubServer
from tests.unit.events.test_foreign_payloads import NOTIFICATION

Channel = Callable[[str], str]
SENML = {"Content-Type": "application/senml+json"}
CONFIG = """
channels:
  alerts: {payload: alertmanager, key: groupKey}
  sensors: {payload: senml, key: n}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    with EventHubServer(tmp_path_factory.mktemp("foreign"), CONFIG) as hub:
        yield hub


def events(server: EventHubServer, name: str, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = http.get(f"{server.url}/v1/channels/{name}{query}").json()[
        "events"
    ]
    return found


def test_a_group_of_alerts_has_its_newest_notification(
    server: EventHubServer, channel: Channel
) -> None:
    name = channel("alerts")
    for status in ("firing", "resolved"):
        body = NOTIFICATION | {"status": status}
        assert http.post(f"{server.url}/v1/channels/{name}", json=body).status_code == 201
    (newest,) = events(server, name, "?since=state")
    assert newest["data"] == NOTIFICATION | {"status": "resolved"}
    assert newest["key"] == NOTIFICATION["groupKey"]


def test_each_record_of_a_pack_is_an_event(server: EventHubServer, channel: Channel) -> None:
    name = channel("sensors")
    pack = [{"bn": "dev:", "bt": 1_790_000_000, "bu": "Cel", "n": "in", "v": 21.5}, {"n": "out"}]
    pack += [{"n": "out", "v": 4, "t": -5}]
    answer = http.post(f"{server.url}/v1/channels/{name}", json=pack, headers=SENML)
    assert answer.status_code == 207
    assert [result.get("error", {}).get("code") for result in answer.json()["results"]] == [
        None,
        "invalid_event",
        None,
    ]
    assert [event["data"] for event in events(server, name)] == [
        {"n": "dev:in", "t": 1_790_000_000.0, "u": "Cel", "v": 21.5},
        {"n": "dev:out", "t": 1_789_999_995.0, "u": "Cel", "v": 4.0},
    ]


@pytest.mark.parametrize("body", ['{"n":"a","v":1}', '[{"n":"a","v":1},{"bt":"x"}]', "[5]", ""])
def test_a_faulty_pack_is_refused_whole(
    server: EventHubServer, channel: Channel, body: str
) -> None:
    name = channel("sensors")
    answer = http.post(f"{server.url}/v1/channels/{name}", content=body, headers=SENML)
    assert answer.status_code in (400, 422)
    assert "SenML" in answer.json()["detail"]
    assert events(server, name) == []


def test_a_record_that_is_too_large_refuses_its_pack(
    server: EventHubServer, channel: Channel
) -> None:
    """Later records would miss its base name."""
    name = channel("sensors")
    pack = [{"bn": "dev:", "n": "a", "vs": "x" * 100_000}, {"n": "b", "v": 1}]
    answer = http.post(f"{server.url}/v1/channels/{name}", json=pack, headers=SENML)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    assert events(server, name) == []


def test_a_large_pack_keeps_its_base_fields(server: EventHubServer, channel: Channel) -> None:
    """It is decoded in parts."""
    name = channel("sensors")
    pack = [{"bn": "dev:", "bt": 1_790_000_000, "n": "a", "v": 0}]
    pack += [{"n": f"a{number}", "v": number} for number in range(3000)]
    answer = http.post(f"{server.url}/v1/channels/{name}", json=pack, headers=SENML)
    assert (answer.status_code, answer.json()["accepted"]) == (201, 3001)
    last = events(server, name, "?since=-1")[0]["data"]
    assert last == {"n": "dev:a2999", "t": 1_790_000_000.0, "v": 2999.0}
