"""Refused events: which are kept, from each way to publish, and who sees them."""

from tests.harness.clients import WsClient, http
from tests.harness.eventhub import EventHubServer
from tests.integration.refused_server import (  # noqa: F401
    GOOD,
    Channel,
    address,
    again,
    client_of,
    events,
    listed,
    of,
    post,
    post_at_once,
    server_fixture,
)

# What is kept


def test_each_way_to_publish_keeps_what_it_refuses(
    server: EventHubServer, channel: Channel
) -> None:
    name = channel("iot")
    bad = b'{"value":"x"}'
    assert post(server, name, b'{"value":1}').status_code == 201  # the next ones take the fast lane
    assert post(server, name, bad).status_code == 422
    assert post(server, name, b'{"value":').status_code == 400
    assert post(server, name, b'[{"value":2},{"value":"y"}]').status_code == 207
    assert post(server, name, b"[1,").status_code == 400
    lines = {"Content-Type": "application/x-ndjson"}
    assert post(server, name, b'{"value":3}\n{"value":"z"}\n', **lines).status_code == 207
    strange = {"ce-time": "no", "ce-type": "t"}
    assert post_at_once(server, name, b'{"value":4}', **strange) == 400
    assert post(server, name, b"x" * 1001).status_code == 413
    assert post(server, name, iter([b"y" * 2001])).status_code == 413, "in chunks"
    assert post(server, name, b"\xff\xfe", **{"Idempotency-Key": "k1"}).status_code == 400
    items = [
        {"channel": name, "data": {"value": "a"}, "key": "k2"},
        {"channel": name, "data": {"value": 5}, "attributes": {"none": "such"}},
    ]
    http.post(f"{server.url}/v1/events", json=items, headers=of("producer"))
    with WsClient(server.ws_url) as client:
        client.send(type="auth", token=client_of("ana"))
        client.until("authenticated")
        client.send(type="publish", channel=name, data={"value": "b"}, key="k3")
        assert client.until("error")["code"] == "invalid_event"
        client.send(type="publish", channel=name, data={"value": 6}, nothing=True)
        assert client.until("error")["code"] == "invalid_frame"
    found = listed(server, name, 13)
    assert [(each["payload"][:13], each["error"]["code"], each["by"]) for each in found] == [
        ('{"value":"x"}', "invalid_event", "producer"),
        ('{"value":', "invalid_json", "producer"),
        ('{"value":"y"}', "invalid_event", "producer"),
        ("[1,", "invalid_json", "producer"),
        ('{"value":"z"}', "invalid_event", "producer"),
        ('{"value":4}', "invalid_request", "producer"),
        ("x" * 13, "payload_too_large", "producer"),
        ("y" * 13, "payload_too_large", "producer"),
        ("//4=", "invalid_json", "producer"),
        ('{"value":"a"}', "invalid_event", "producer"),
        ('{"value":5}', "invalid_request", "producer"),
        ('{"value":"b"}', "invalid_event", "ana"),
        ('{"value":6}', "invalid_frame", "ana"),
    ]
    assert [each["key"] for each in found if each["key"]] == ["k1", "k2", "k3"]
    assert [each["transport"] for each in found] == ["http"] * 11 + ["websocket"] * 2
    assert [(each["bytes"], each["cut"]) for each in found[6:8]] == [(1001, False), (2001, True)]
    assert found[5]["attributes"] == {"type": "t"}
    assert found[0]["error"]["details"][0]["pointer"] == "/value"


def test_what_is_not_the_events_fault_is_not_kept(server: EventHubServer, channel: Channel) -> None:
    name, bad = channel("iot"), b'{"value":"x"}'
    url = f"{server.url}/v1/channels/{name}"
    assert http.post(url, content=bad).status_code == 401
    assert http.post(url, content=bad, headers=of("operator")).status_code == 403
    strange = {"ce-time": "never", **of("operator")}
    assert http.post(url, content=bad, headers=strange).status_code == 403
    items = [{"channel": name, "data": 1}, {"channel": name, "data": 1, "attributes": 3}]
    assert http.post(f"{server.url}/v1/events", json=items).status_code == 422
    assert http.post(f"{url}?signal=true", content=bad, headers=of("producer")).status_code == 403
    with WsClient(server.ws_url) as client:
        for fields in ({"data": 1}, {"data": 1, "nothing": 2}):
            client.send(type="publish", channel=name, **fields)
            client.until("error")
    quiet = channel("quiet")
    assert post(server, quiet, bad).status_code == 422
    assert post(server, name, b'{"value":"last"}').status_code == 422
    assert [each["payload"] for each in listed(server, name, 1)] == ['{"value":"last"}']
    assert listed(server, quiet, 0) == []


def test_a_key_that_was_used_for_another_event_keeps_that_event(
    server: EventHubServer, channel: Channel
) -> None:
    name, key = channel("iot"), {"Idempotency-Key": "k"}
    assert post(server, name, b'{"value":1}', **key).status_code == 201
    assert post(server, name, b'{"value":2}', **key, **{"ce-type": "t"}).status_code == 422
    (entry,) = listed(server, name, 1)
    assert (entry["error"]["code"], entry["by"], entry["key"]) == (
        "idempotency_conflict",
        "producer",
        "k",
    )
    assert again(server, entry).status_code == 201
    assert [each["data"]["value"] for each in events(server, name)] == [1, 2]
    assert listed(server, name, 0) == []


# Who may


def test_no_other_grant_and_no_other_address_shows_them(
    server: EventHubServer, channel: Channel
) -> None:
    name = channel("iot")
    post(server, name, b'{"password":"hunter2"}')
    (entry,) = listed(server, name, 1)
    own, everything = address(server, entry), f"{server.url}/v1/refused"
    for method in ("GET", "POST", "DELETE"):
        assert http.request(method, own).status_code == 401
        assert http.request(method, own, headers=of("producer")).status_code == 403
        assert http.request(method, own, headers=of("other")).status_code == 404
    assert http.get(everything, headers=of("producer")).status_code == 403
    assert http.get(everything, headers=of("other")).json() == {"refused": [], "next": None}
    only = http.get(everything, params={"channel": name}, headers=of("other"))
    assert only.status_code == 403
    for path in (
        "/v1/channels/_refused-iot",
        "/v1/channels/_refused-iot/count",
        "/v1/events?channel=_refused-iot",
        "/v1/sse?channel=_refused-iot",
        "/v1/types/_refused-iot",
    ):
        assert http.get(f"{server.url}{path}", headers=of("producer")).status_code == 404
    for path in ("/v1/channels?limit=1000", "/v1/events?channel=>&limit=1000", "/v1/types"):
        shown = http.get(f"{server.url}{path}", headers=of("producer"))
        assert shown.status_code == 200
        assert "hunter2" not in shown.text
        assert '"_refused' not in shown.text
    assert post(server, "_refused-iot", b"1").status_code == 404
    assert "hunter2" not in server.log.read_text()
