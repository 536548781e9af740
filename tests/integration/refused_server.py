"""A server that keeps refused events, and what tests ask of it."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from eventhub.auth.keys import hash_key
from tests.harness.clients import http
from tests.harness.credentials import SECRET, token
from tests.harness.eventhub import EventHubServer
from tests.harness.http import asked
from tests.harness.http import post as wire_post

Channel = Callable[[str], str]
KEYS = {
    "producer": "publish: ['>'], subscribe: ['>'], moderate: ['>']",
    "repair": "publish: ['>'], refused: ['iot.>', 'once.>', 'talk.>', 'pack.>', 'alerts.>']",
    "other": "refused: ['talk.>'], publish: ['>']",
    "operator": "operator: true",
}
HELD = "\n".join(
    f'  - {{name: {name}, hash: "{hash_key("ehk_" + name + "-0123456789")}", {grants}}}'
    for name, grants in KEYS.items()
)
CONFIG = f"""
broker: sqlite:///events.db
limits: {{event_bytes: 1000, body_bytes: 2000}}
auth:
  keys:
{HELD}
  tokens: {{keys: [{{algorithm: HS256, secret: "{SECRET.decode()}"}}]}}
channels:
  iot: {{payload: reading, publish: [producer, client]}}
  talk: {{payload: chat, publish: [client], sender: principal}}
  once: {{payload: reading, key: sensor}}
  quiet: {{payload: reading, refused: false}}
  pack: {{payload: senml}}
  alerts: {{payload: alertmanager}}
"""
GOOD = {"sensor": "t1", "value": 21.5}


@pytest.fixture(name="server", scope="module")
def server_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    directory = tmp_path_factory.mktemp("server")
    config = CONFIG.replace("events.db", f"{directory}/events.db")
    with EventHubServer(directory, config) as server:
        yield server


def of(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer ehk_{name}-0123456789"}


def client_of(name: str) -> str:
    grants = {"publish": [">"], "subscribe": [">"]}
    return token("HS256", sub=name, exp=time.time() + 600, channels=grants)


def post(
    server: EventHubServer, channel: str, content: bytes | Iterator[bytes], **headers: str
) -> httpx.Response:
    url = f"{server.url}/v1/channels/{channel}"
    return http.post(url, content=content, headers={**of("producer"), **headers})


def post_at_once(server: EventHubServer, channel: str, content: bytes, **headers: str) -> int:
    """As `post`, in one packet: the body has arrived when the head is refused. The status."""
    fields = {**of("producer"), "Connection": "close", **headers}
    lines = (f"{name}: {value}" for name, value in fields.items())
    (answer,) = asked(server.port, wire_post(f"/v1/channels/{channel}", content, *lines))
    return answer.status


def listed(server: EventHubServer, channel: str, count: int) -> list[dict[str, Any]]:
    """The refused events of a channel with payloads, the oldest first, when they are there."""
    query = {"type": channel.partition(".")[0], "channel": channel}

    def look() -> list[dict[str, Any]]:
        answer = http.get(f"{server.url}/v1/refused", params=query, headers=of("operator"))
        found: list[dict[str, Any]] = answer.json()["refused"]
        return found

    heads = server.eventually(f"{count} refused events", look, lambda found: len(found) >= count)
    assert len(heads) == count
    return [http.get(address(server, each), headers=of("operator")).json() for each in heads[::-1]]


def address(server: EventHubServer, entry: dict[str, Any]) -> str:
    return f"{server.url}/v1/refused/{entry['type']}/{entry['id']}"


def again(server: EventHubServer, entry: dict[str, Any], body: Any = None, **options: Any) -> Any:
    content = None if body is None else json.dumps(body)
    headers = {**of(options.pop("by", "repair")), **options}
    return http.post(address(server, entry), content=content, headers=headers)


def events(server: EventHubServer, channel: str) -> list[dict[str, Any]]:
    found = http.get(f"{server.url}/v1/channels/{channel}", headers=of("producer")).json()["events"]
    return [
        {name: each[name] for name in ("data", "by", "attributes", "refers") if name in each}
        for each in found
    ]
