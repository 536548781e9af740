"""Authors: `by` names the principal on every way to publish and to read. Nobody can forge it."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from eventhub.auth.keys import hash_key
from tests.harness.clients import WsClient, http
from tests.harness.credentials import SECRET, token
from tests.harness.eventhub import EventHubServer

Channel = Callable[[str], str]
BACKEND = "ehk_backend-0123456789"
CONFIG = f"""
auth:
  keys: [{{name: backend, hash: "{hash_key(BACKEND)}", publish: ['>'], subscribe: ['>']}}]
  tokens: {{keys: [{{algorithm: HS256, secret: "{SECRET.decode()}"}}]}}
channels:
  chat: {{payload: chat, publish: [client, producer], sender: principal, anonymous: [subscribe]}}
  open: {{payload: json, publish: [client, producer], anonymous: [subscribe, publish]}}
"""
GRANTS = {"subscribe": [">"], "publish": [">"]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    with EventHubServer(tmp_path_factory.mktemp("server"), CONFIG) as server:
        yield server


def ana() -> dict[str, str]:
    credential = token("HS256", sub="ana", exp=time.time() + 600, channels=GRANTS)
    return {"Authorization": f"Bearer {credential}"}


def backend() -> dict[str, str]:
    return {"Authorization": f"Bearer {BACKEND}"}


def publish(server: EventHubServer, channel: str, body: str, **headers: str) -> Any:
    return http.post(f"{server.url}/v1/channels/{channel}", content=body, headers=headers)


def authors(server: EventHubServer, channel: str) -> list[str | None]:
    page = http.get(f"{server.url}/v1/channels/{channel}").json()
    return [event.get("by") for event in page["events"]]


def test_every_way_to_publish_names_the_author(server: EventHubServer, channel: Channel) -> None:
    name = channel("open")
    for _ in range(3):  # the second and the third take the way of known heads
        assert publish(server, name, "1", **ana()).status_code == 201
        assert publish(server, name, "[2,3]", **backend()).status_code == 201
    ndjson = {"Content-Type": "application/x-ndjson"}
    assert publish(server, name, "4\n5\n", **ana(), **ndjson).status_code == 200
    assert publish(server, name, "6", **{"Idempotency-Key": "k"}, **backend()).status_code == 201
    assert publish(server, name, "7").status_code == 201
    with WsClient(server.ws_url, additional_headers=ana()) as client:
        client.send(type="publish", ref=1, channel=name, data=8)
        client.until("published")
    with WsClient(server.ws_url) as client:
        client.send(type="publish", ref=1, channel=name, data=9)
        client.until("published")
    once = ["ana", "backend", "backend"]
    assert authors(server, name) == [*once * 3, "ana", "ana", "backend", None, "ana", None]


def test_every_way_to_read_shows_the_author(server: EventHubServer, channel: Channel) -> None:
    name = channel("open")
    assert publish(server, name, "1", **{"ce-source": "s"}, **ana()).status_code == 201
    shown = {"by": "ana", "attributes": {"source": "s"}}
    with WsClient(f"{server.ws_url}?channel={name}&since=earliest") as client:
        event = client.until("event")
        assert {field: event[field] for field in shown} == shown
        assert publish(server, name, "2", **backend()).status_code == 201
        live = client.until("event")
        assert (live["by"], "attributes" in live) == ("backend", False)
    for path in ("sse", "ndjson"):
        with http.stream("GET", f"{server.url}/v1/channels/{name}/{path}?since=earliest") as answer:
            line = next(line for line in answer.iter_lines() if '"type":"event"' in line)
            event = json.loads(line.removeprefix("data: "))
            assert {field: event[field] for field in shown} == shown


def test_nobody_can_choose_an_author(server: EventHubServer, channel: Channel) -> None:
    name = channel("open")
    for header in ("ce-by", "by"):
        assert publish(server, name, '{"by":"rui"}', **{header: "rui"}).status_code == 201
    with WsClient(server.ws_url) as client:
        for fields in ({"attributes": {"by": "rui"}}, {"by": "rui"}):
            client.send(**{"type": "publish", "ref": 1, "channel": name, "data": 1, **fields})
            assert client.until("error")["code"] == "invalid_frame"
    assert authors(server, name) == [None, None]


def test_a_channel_type_may_refuse_another_sender(server: EventHubServer, channel: Channel) -> None:
    name = channel("chat")
    mine, theirs = (json.dumps({"sender": sender, "text": "oi"}) for sender in ("ana", "rui"))
    for _ in range(2):
        assert publish(server, name, mine, **ana()).status_code == 201
        refused = publish(server, name, theirs, **ana())
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_event")
        assert "can only be 'ana' (channels.chat.sender)" in refused.json()["detail"]
    mixed = publish(server, name, f"[{mine},{theirs}]", **ana())
    assert mixed.status_code == 207
    assert [list(result) for result in mixed.json()["results"]] == [["id", "time"], ["error"]]
    lines = {"Content-Type": "application/x-ndjson", **ana()}
    assert publish(server, name, f"{theirs}\n{mine}\n", **lines).status_code == 207
    assert publish(server, name, mine, **backend()).status_code == 422
    with WsClient(server.ws_url, additional_headers=ana()) as client:
        for data, answer in ((theirs, "error"), (mine, "published")):
            client.send(type="publish", ref=1, channel=name, data=json.loads(data))
            client.until(answer)
    assert authors(server, name) == ["ana"] * 5
    shown = http.get(f"{server.url}/v1/types/chat").json()
    assert shown["sender"] == "principal"
