"""State on a real server: every transport, deletions, preconditions, and what is refused."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.harness.clients import WsClient, http, metric
from tests.harness.eventhub import EventHubServer

Channel = Callable[[str], str]
CONFIG = """
channels:
  orders: {key: /id, publish: [client, producer], history: {events: 5, latest: true}}
  iot: {payload: reading, key: sensor}
  notes: {key: subject, publish: [client, producer]}
  plain: {publish: [client, producer]}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    with EventHubServer(tmp_path_factory.mktemp("server"), CONFIG) as server:
        yield server


def put(server: EventHubServer, channel: str, value: Any, **headers: str) -> httpx.Response:
    url = f"{server.url}/v1/channels/{channel}"
    return http.post(url, content=json.dumps(value), headers=headers)


def delete(server: EventHubServer, channel: str, key: str, **headers: str) -> httpx.Response:
    url = f"{server.url}/v1/channels/{channel}"
    return http.delete(url, params={"key": key}, headers=headers)


def page(server: EventHubServer, channel: str, **parameters: str | int) -> Any:
    answer = http.get(f"{server.url}/v1/channels/{channel}", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def state(server: EventHubServer, channel: str) -> dict[str, Any]:
    """The state, read in pages of two."""
    found: dict[str, Any] = {}
    since = "state"
    while True:
        part = page(server, channel, since=since, limit=2)
        for event in part["events"]:
            if "deleted" in event:
                found.pop(event["deleted"], None)
            else:
                found[event.get("key", "")] = event["data"]
        since = part["position"]
        if since == part["head"]:
            return found


def order(number: str, status: str) -> dict[str, str]:
    return {"id": number, "status": status}


def test_pages_of_a_state_have_the_newest_of_each_key_beyond_the_log(
    server: EventHubServer, channel: Channel
) -> None:
    name = channel("orders")
    for number in "abc":
        assert put(server, name, order(number, "new")).status_code == 201
    for step in range(10):
        put(server, name, order("c", str(step)))
    assert [event["key"] for event in page(server, name)["events"]] == ["c"] * 5
    newest = {"a": order("a", "new"), "b": order("b", "new"), "c": order("c", "9")}
    assert state(server, name) == newest
    whole = page(server, name, since="state")
    assert (whole["gap"], whole["position"]) == (None, whole["head"])
    counted = http.get(f"{server.url}/v1/channels/{name}/count?since=state").json()
    assert (counted["count"], counted["more"]) == (3, False)


def test_a_websocket_gets_the_state_and_then_every_event(
    server: EventHubServer, channel: Channel
) -> None:
    name = channel("orders")
    for step in range(10):
        put(server, name, [order(number, str(step)) for number in "abc"])
    with WsClient(server.ws_url) as client:
        states = metric(server.url, 'eventhub_states_begun_total{type="orders"}')
        begun = client.subscribe(name, since="state", ref=1)
        assert metric(server.url, 'eventhub_states_begun_total{type="orders"}') == states + 1
        assert begun["recovered"]
        events = client.events(3)
        assert [event["key"] for event in events] == ["a", "b", "c"]
        assert events[-1]["id"] == begun["head"]
        put(server, name, order("b", "paid"))
        delete(server, name, "a")
        live = client.events(2)
        assert live[0]["data"] == order("b", "paid")
        assert (live[1]["deleted"], live[1]["data"], "key" in live[1]) == ("a", None, False)
    with WsClient(server.ws_url) as client:
        for step in range(20):
            put(server, name, order("c", str(step)))
        begun = client.subscribe(name, since=f"state:{events[-1]['id']}")
        assert begun["recovered"]
        changed = client.events(3)
        assert [event.get("deleted") or event["key"] for event in changed] == ["b", "a", "c"]


def test_a_pattern_begins_with_the_state_of_each_channel(
    server: EventHubServer, channel: Channel
) -> None:
    name = channel("orders")
    for _ in range(4):
        put(server, f"{name}.x", [order("a", "1"), order("b", "1")])
        put(server, f"{name}.y", [order("a", "1")])
    with WsClient(server.ws_url) as client:
        assert client.subscribe(f"{name}.*", since="state")["channels"] == 2
        found = {(event["channel"][-1], event["key"]) for event in client.events(3)}
        assert found == {("x", "a"), ("x", "b"), ("y", "a")}
        put(server, f"{name}.y", order("b", "2"))
        assert client.until("event")["data"] == order("b", "2")


def test_streams_get_the_state_and_then_every_event(
    server: EventHubServer, channel: Channel
) -> None:
    name = channel("iot")
    put(server, name, [{"value": n, "sensor": s} for n, s in enumerate("aab")])
    url = f"{server.url}/v1/channels/{name}"
    with http.stream("GET", f"{url}/ndjson?since=state") as answer:
        lines = (json.loads(line) for line in answer.iter_lines() if line)
        assert next(lines)["type"] == "subscribed"
        assert [next(lines)["data"]["value"] for _ in range(2)] == [1, 2]
        put(server, name, {"value": 3, "sensor": "a"})
        assert next(lines)["data"]["value"] == 3
    other = channel("iot")
    put(server, other, [{"value": n, "sensor": s} for n, s in enumerate("aab")])
    with http.stream("GET", f"{server.url}/v1/sse?channel={other}&since={other}@state") as answer:
        lines = (line for line in answer.iter_lines() if line.startswith("data: "))
        found = [json.loads(next(lines)[6:]) for _ in range(3)]
        assert [event.get("key") for event in found] == [None, "a", "b"]


def test_deletions_and_preconditions_on_every_way_to_publish(
    server: EventHubServer, channel: Channel
) -> None:
    name = channel("orders")
    first = put(server, name, order("a", "new"), **{"If-None-Match": "*"})
    assert first.status_code == 201
    again = put(server, name, order("a", "other"), **{"If-None-Match": "*"})
    assert (again.status_code, again.json()["code"]) == (412, "precondition_failed")
    assert again.json()["id"] == first.json()["id"]
    second = put(server, name, order("a", "paid"), **{"If-Match": f'"{first.json()["id"]}"'})
    assert second.status_code == 201
    with WsClient(server.ws_url) as client:
        sent = {"channel": name, "data": order("a", "x"), "if_match": first.json()["id"]}
        client.send(type="publish", ref=1, **sent)
        refused = client.until("error")
        assert (refused["code"], refused["id"]) == ("precondition_failed", second.json()["id"])
        client.send(type="publish", ref=2, **(sent | {"if_match": second.json()["id"]}))
        third = client.until("published")
        client.send(type="publish", ref=3, channel=name, deleted="a", if_match=third["id"])
        client.until("published")
    items = [
        {"channel": name, "data": order("a", "y"), "if_match": third["id"]},
        {"channel": name, "data": order("a", "z"), "if_match": "none"},
        {"channel": name, "data": order("b", "z")},
        {"channel": name, "deleted": "b"},
    ]
    answer = http.post(f"{server.url}/v1/events", json=items)
    assert answer.status_code == 207
    codes = [result.get("error", {}).get("code") for result in answer.json()["results"]]
    assert codes == ["precondition_failed", None, None, None]
    assert state(server, name) == {"a": order("a", "z")}
    newest = answer.json()["results"][1]["id"]
    assert delete(server, name, "a", **{"If-Match": second.json()["id"]}).status_code == 412
    deleted = delete(server, name, "a", **{"If-Match": newest, "Idempotency-Key": "d"})
    assert (deleted.status_code, deleted.json()["channel"]) == (200, name)
    repeated = delete(server, name, "a", **{"If-Match": newest, "Idempotency-Key": "d"})
    assert (repeated.json(), repeated.headers["idempotent-replayed"]) == (deleted.json(), "true")
    assert state(server, name) == {}


def test_the_key_is_found_on_every_way_to_publish(server: EventHubServer, channel: Channel) -> None:
    name = channel("notes")
    for number in range(3):  # the second and the third take the way of known heads
        put(server, name, number, **{"ce-subject": "one"})
    put(server, name, [3, 4], **{"ce-subject": "array"})
    lines = {"content-type": "application/x-ndjson", "ce-subject": "lines"}
    http.post(f"{server.url}/v1/channels/{name}", content="5\n6\n", headers=lines)
    item = {"channel": name, "data": 7, "attributes": {"subject": "item"}}
    http.post(f"{server.url}/v1/events", json=[item])
    with WsClient(server.ws_url) as client:
        client.send(type="publish", channel=name, data=8, attributes={"subject": "socket"})
        client.until("published")
    assert state(server, name) == {"one": 2, "array": 4, "lines": 6, "item": 7, "socket": 8}


BOTH = {"If-Match": '"a-1"', "If-None-Match": "*"}


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "text"),
    [
        ("GET", "plain.a?since=state", {}, 400, "channels.plain.key"),
        ("GET", "plain.a/count?since=state", {}, 400, "channels.plain.key"),
        ("GET", "plain.a/sse?since=state", {}, 400, "channels.plain.key"),
        ("GET", "plain.a/ndjson?since=state:a-1", {}, 400, "channels.plain.key"),
        ("GET", "orders.a?since=state:", {}, 400, "'state'"),
        ("GET", "orders.a?since=state:x-1:0", {}, 400, "'state'"),
        ("DELETE", "plain.a?key=x", {}, 400, "channels.plain.key"),
        ("DELETE", "orders.a", {}, 400, "key"),
        ("DELETE", "orders.a?key=x&key=y", {}, 400, "more than once"),
        ("DELETE", "orders.a?key=x&kye=y", {}, 400, "kye"),
        ("DELETE", f"orders.a?key={'x' * 257}", {}, 400, "256"),
        ("DELETE", "nothing.a?key=x", {}, 404, "nothing"),
        ("POST", "plain.a", {"headers": {"If-Match": "a-1"}}, 400, "channels.plain.key"),
        ("POST", "orders.a", {"headers": {"If-Match": "*"}}, 400, "If-Match"),
        ("POST", "orders.a", {"headers": {"If-Match": '"a-1", "a-2"'}}, 400, "If-Match"),
        ("POST", "orders.a", {"headers": {"If-Match": "none"}}, 400, "If-None-Match: *"),
        ("POST", "orders.a", {"headers": {"If-None-Match": "a-1"}}, 400, "expected *"),
        ("POST", "orders.a", {"headers": {"If-None-Match": "*"}, "json": [{}]}, 400, "if_match"),
        ("POST", "orders.a", {"headers": BOTH}, 400, "has both If-Match and If-None-Match"),
        ("POST", "orders.a", {"json": {"id": {}}}, 422, "/id"),
        ("POST", "orders.a", {"json": {"id": [1]}}, 422, "an array"),
        ("POST", "orders.a", {"json": {"id": "x" * 257}}, 422, "257 characters"),
    ],
)
def test_what_is_wrong_is_said(
    server: EventHubServer, method: str, path: str, options: Any, status: int, text: str
) -> None:
    if method == "POST":
        options = {"json": {"id": "a"}, **options}
    answer = http.request(method, f"{server.url}/v1/channels/{path}", **options)
    assert answer.status_code == status, answer.text
    assert text in answer.text


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"channel": "orders.a"}, "/data"),
        ({"channel": "orders.a", "data": 1, "deleted": "x"}, "/deleted"),
        ({"channel": "orders.a", "deleted": 1}, "/deleted"),
        ({"channel": "orders.a", "deleted": "x" * 257}, "/deleted"),
        ({"channel": "plain.a", "deleted": "x"}, "channels.plain.key"),
        ({"channel": "plain.a", "data": 1, "if_match": "a-1"}, "channels.plain.key"),
        ({"channel": "orders.a", "data": {}, "if_match": "latest"}, "/if_match"),
        ({"channel": "orders.a", "data": {"id": {}}}, "an object"),
    ],
)
def test_what_is_wrong_with_a_command_or_an_item_is_said(
    server: EventHubServer, fields: dict[str, Any], text: str
) -> None:
    with WsClient(server.ws_url) as client:
        client.send(type="publish", ref=1, **fields)
        assert text in json.dumps(client.until("error"))
    answer = http.post(f"{server.url}/v1/events", json=[fields])
    assert answer.status_code == 422
    assert text in answer.text
