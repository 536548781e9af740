"""CloudEvents in and out over HTTP and WebSocket, as PROTOCOL.md says."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.harness.clients import WsClient, http, raw
from tests.harness.eventhub import EventHubServer
from tests.harness.http import everything

Channel = Callable[[str], str]
STRUCTURED = {"Content-Type": "application/cloudevents+json"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}
OUT = {"Accept": "application/cloudevents+json"}
EVENT = {"specversion": "1.0", "id": "1", "source": "/a", "type": "t"}
CONFIG = """
cloudevents: {source: "https://hub.example"}
channels:
  free: {publish: [client, producer]}
  iot: {payload: reading}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    with EventHubServer(tmp_path_factory.mktemp("cloudevents"), CONFIG) as hub:
        yield hub


def post(
    server: EventHubServer, channel: str, body: Any, headers: dict[str, str]
) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return http.post(f"{server.url}/v1/channels/{channel}", content=content, headers=headers)


def page(server: EventHubServer, channel: str, query: str = "") -> list[dict[str, Any]]:
    """A page as a batch. Its last CloudEvent says where it ends."""
    answer = http.get(f"{server.url}/v1/channels/{channel}{query}", headers=OUT)
    assert answer.headers["content-type"] == BATCH["Content-Type"]
    events: list[dict[str, Any]] = answer.json()
    assert events[-1]["type"] == "eventhub.page"
    return events


def own(event: dict[str, Any]) -> dict[str, Any]:
    """Without what the server adds."""
    return {name: value for name, value in event.items() if not name.startswith("eventhub")}


def test_a_structured_event_comes_out_whole(server: EventHubServer, channel: Channel) -> None:
    name = channel("free")
    event = EVENT | {
        "time": "2026-11-30T20:00:00+01:00",
        "subject": "caf\u00e9",
        "dataschema": "https://a.b/c",
        "datacontenttype": "application/json; charset=utf-8",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "number": 5,
        "yes": True,
        "by": "somebody",
        "data": {"a": [1, 2.5, None]},
    }
    answer = post(server, name, event, STRUCTURED)
    assert answer.status_code == 201
    found, end = page(server, name)
    assert own(found) == event
    assert found["eventhubchannel"] == name
    assert found["eventhubposition"] == answer.json()["id"] == end["data"]["position"]
    (plain,) = http.get(f"{server.url}/v1/channels/{name}").json()["events"]
    assert plain["extensions"] == {"number": 5, "yes": True, "by": "somebody"}
    assert "by" not in plain


def test_a_batch_has_a_result_for_each_event(server: EventHubServer, channel: Channel) -> None:
    name = channel("free")
    events = [EVENT | {"id": "1"}, EVENT | {"id": "2"}, {"id": "3"}, 5, EVENT | {"id": "1"}]
    answer = post(server, name, events, BATCH)
    assert answer.status_code == 207
    results = answer.json()["results"]
    assert [result.get("error", {}).get("code") for result in results] == [
        None,
        None,
        "invalid_event",
        "invalid_event",
        None,
    ]
    assert results[0]["id"] == results[4]["id"]  # the same source and id are the same event
    assert [event["id"] for event in page(server, name)[:-1]] == ["1", "2"]
    assert post(server, name, [], BATCH).json()["accepted"] == 0


@pytest.mark.parametrize(
    ("media_type", "body", "shown"),
    [
        ("application/json", b'{"a":1}', {"data": {"a": 1}}),
        ("text/xml", b"<a/>", {"data": "<a/>"}),
        ("image/png", b"\xff\x00", {"data_base64": "/wA="}),
        ("application/json", b"[1,2]", {"data": [1, 2]}),
        ("application/json", b"", {}),
    ],
)
def test_binary_mode_keeps_data_of_any_type(
    server: EventHubServer, channel: Channel, media_type: str, body: bytes, shown: dict[str, Any]
) -> None:
    name = channel("free")
    head = {f"ce-{field}": value for field, value in EVENT.items()}
    head |= {"ce-myext": "caf%C3%A9", "ce-subject": '"a \\"b\\""', "Content-Type": media_type}
    assert post(server, name, body, head).status_code == 201
    expected = EVENT | {"myext": "caf\u00e9", "subject": 'a "b"', "datacontenttype": media_type}
    assert own(page(server, name)[0]) == expected | shown


def test_the_same_source_and_id_are_the_same_event_in_every_mode(
    server: EventHubServer, channel: Channel
) -> None:
    name = channel("free")
    event = EVENT | {"data": 1}
    head = {f"ce-{field}": value for field, value in EVENT.items()}
    first = post(server, name, event, STRUCTURED)
    again = post(server, name, b"1", head)
    batch = post(server, name, [event], BATCH)
    assert again.headers["idempotent-replayed"] == batch.headers["idempotent-replayed"] == "true"
    assert first.json()["id"] == again.json()["id"] == batch.json()["results"][0]["id"]
    other = post(server, name, event | {"data": 2}, STRUCTURED)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")
    chosen = post(server, name, event | {"data": 2}, STRUCTURED | {"Idempotency-Key": "mine"})
    assert chosen.status_code == 201


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"specversion":"1.0","id":"1","id":"2","source":"/a","type":"t"}', "'id' twice"),
        (b'{"specversion":"1.0","id":"1","\\u0069d":"2","source":"/a","type":"t"}', "'id' twice"),
        (b"[]", "no JSON object"),
        (b"", "JSON"),
        (b'{"specversion":"1.0","id":"\xff"}', "UTF-8"),
        (b'{"specversion":"1.0","id":"1","source":"/a","type":"t","X":1}', "a-z and 0-9"),
    ],
)
def test_a_faulty_structured_event_is_refused(
    server: EventHubServer, channel: Channel, body: bytes, text: str
) -> None:
    answer = post(server, channel("free"), body, STRUCTURED)
    assert answer.status_code in (400, 422)
    assert text in answer.json()["detail"]


def test_names_within_the_data_may_be_those_of_attributes(
    server: EventHubServer, channel: Channel
) -> None:
    name = channel("free")
    event = EVENT | {"data": {"id": "x", "source": "y", "deep": [{"id": 1}]}}
    assert post(server, name, event, STRUCTURED).status_code == 201
    assert page(server, name)[0]["data"] == event["data"]


def test_an_attribute_that_is_sent_twice_is_refused(
    server: EventHubServer, channel: Channel
) -> None:
    """The head is written by hand: clients join such fields."""
    fields = "".join(f"ce-{field}: {value}\r\n" for field, value in EVENT.items())
    connection = raw(server.port)
    with connection:
        connection.sendall(
            f"POST /v1/channels/{channel('free')} HTTP/1.1\r\nHost: localhost:{server.port}\r\n"
            f"{fields}ce-x: 1\r\nCE-X: 2\r\nContent-Length: 1\r\n"
            "Connection: close\r\n\r\n1".encode()
        )
        answer = everything(connection)
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert b"more than one header ce-x" in answer


@pytest.mark.parametrize(
    ("head", "text"),
    [
        ({"ce-id": "a%0d%0aSet-Cookie:x"}, "control character"),
        ({"ce-x": "%ff"}, "not UTF-8"),
        ({"ce-time": "lunchtime"}, "RFC 3339"),
        ({"ce-source": "a b"}, "URI reference"),
        ({"ce-specversion": "0.3"}, "expected '1.0'"),
        ({"ce-my_ext": "x"}, "a-z and 0-9"),
        ({"ce-data": "x"}, "a-z and 0-9"),
        ({"ce-big": "x" * 1025}, "1025 characters"),
        ({"Content-Type": "nonsense"}, "media type"),
    ],
)
def test_a_faulty_head_is_refused(
    server: EventHubServer, channel: Channel, head: dict[str, str], text: str
) -> None:
    fields = {f"ce-{field}": value for field, value in EVENT.items()}
    answer = post(server, channel("free"), b"1", fields | head)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert text in answer.json()["detail"]


def test_data_that_do_not_fit_the_channel_type_are_refused(
    server: EventHubServer, channel: Channel
) -> None:
    event = EVENT | {"datacontenttype": "text/xml", "data": "<a/>"}
    answer = post(server, channel("iot"), event, STRUCTURED)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_event")
    assert post(server, channel("iot"), EVENT | {"data": {"value": 1}}, STRUCTURED).is_success


def test_other_formats_are_not_taken(server: EventHubServer, channel: Channel) -> None:
    answer = post(server, channel("free"), b"", {"Content-Type": "application/cloudevents+avro"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert "application/cloudevents-batch+json" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["channels/{}/sse", "sse?channel={}&channel=free.other"])
def test_server_sent_events_carry_cloudevents(
    server: EventHubServer, channel: Channel, path: str
) -> None:
    name = channel("free")
    post(server, name, EVENT | {"data": 1}, STRUCTURED)
    address = f"{server.url}/v1/{path.format(name)}"
    address += ("&" if "?" in address else "?") + "since=earliest"
    with http.stream("GET", address, headers=OUT) as answer:
        lines = iter(answer.iter_lines())
        data = [json.loads(line[6:]) for line in _first(lines, "data: ", 2)]
    assert [event["type"] for event in data] == ["eventhub.subscribed", "t"]
    assert own(data[1]) == EVENT | {"data": 1}


@pytest.mark.parametrize("path", ["channels/{}/ndjson", "ndjson?channel={}.>"])
def test_lines_carry_cloudevents(server: EventHubServer, channel: Channel, path: str) -> None:
    name = channel("free")
    post(server, f"{name}.a" if "?" in path else name, EVENT | {"data": 1}, STRUCTURED)
    address = f"{server.url}/v1/{path.format(name)}"
    address += ("&" if "?" in address else "?") + "since=earliest"
    with http.stream("GET", address, headers=OUT) as answer:
        data = [json.loads(line) for line in _first(iter(answer.iter_lines()), "{", 2)]
    assert [event["type"] for event in data] == ["eventhub.subscribed", "t"]
    assert own(data[1]) == EVENT | {"data": 1}


def test_a_page_of_several_channels_is_a_batch(server: EventHubServer, channel: Channel) -> None:
    name = channel("free")
    post(server, f"{name}.a", b'{"a":1}', {})
    answer = http.get(f"{server.url}/v1/events?channel={name}.*", headers=OUT)
    event, end = answer.json()
    assert event["source"] == f"https://hub.example/v1/channels/{name}.a"
    assert (end["type"], end["data"]["more"]) == ("eventhub.page", False)


def test_a_gap_is_a_cloudevent(server: EventHubServer, channel: Channel) -> None:
    name = channel("free")
    post(server, name, EVENT, STRUCTURED)
    gap, event, _ = page(server, name, "?since=nosuchlog-1")
    assert (gap["type"], gap["data"]["reason"]) == ("eventhub.gap", "reset")
    assert event["id"] == "1"


def test_a_client_of_the_subprotocol_sends_and_gets_cloudevents(
    server: EventHubServer, channel: Channel
) -> None:
    name = channel("free")
    with WsClient(server.ws_url, subprotocols=["cloudevents.json"]) as client:
        assert client.receive()["type"] == "eventhub.hello"
        command = EVENT | {"type": "eventhub.subscribe", "id": "s1", "data": {"channel": name}}
        client.send(**command)
        subscribed = client.receive()
        assert (subscribed["type"], subscribed["data"]["ref"]) == ("eventhub.subscribed", "s1")
        event = EVENT | {"id": "e1", "n": 7, "data": {"a": 1}}
        client.send(**event | {"eventhubchannel": name})
        messages = {message["type"]: message for message in (client.receive(), client.receive())}
        assert messages["eventhub.published"]["data"]["ref"] == "e1"
        assert own(messages["t"]) == event
        client.send(**event)
        refused = client.receive()
        assert (refused["type"], refused["data"]["code"]) == ("eventhub.error", "invalid_event")
        assert "eventhubchannel" in refused["data"]["message"]
        client.send(**EVENT | {"type": "eventhub.nonsense"})
        assert client.receive()["data"]["code"] == "invalid_frame"
        client.send(type="t")
        assert client.receive()["data"]["code"] == "invalid_event"


def _first(lines: Iterator[str], begin: str, count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        line = next(lines)
        if line.startswith(begin):
            found.append(line)
    return found
