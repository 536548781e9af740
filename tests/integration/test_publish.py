"""Publishing over HTTP, with curl and with raw sockets."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.harness.clients import NdjsonProducer, WsClient, exactly, http, raw
from tests.harness.eventhub import EventHubServer

Channel = Callable[[str], str]


def post(hub: EventHubServer, channel: str, content: bytes | str, **headers: str) -> httpx.Response:
    return http.post(f"{hub.url}/v1/channels/{channel}", content=content, headers=headers)


def history(hub: EventHubServer, channel: str) -> list[Any]:
    page = http.get(f"{hub.url}/v1/channels/{channel}", params={"limit": 1000}).json()
    return [event["data"] for event in page["events"]]


def curl(*arguments: str, body: str | None = None) -> tuple[int, str]:
    command = ["curl", "-s", "-w", "\n%{http_code}", *arguments]
    done = subprocess.run(
        command, input=body, capture_output=True, text=True, timeout=120, check=True
    )
    text, _, status = done.stdout.rpartition("\n")
    return int(status), text


def test_the_three_curl_lines_publish(hub: EventHubServer, channel: Channel) -> None:
    base = f"localhost:{hub.port}/v1/channels"
    status, text = curl("-d", '{"sender":"ana","text":"oi"}', f"{base}/{channel('chat')}")
    answer = json.loads(text)
    assert (status, answer["channel"]) == (201, channel("chat"))
    assert set(answer) == {"id", "channel", "time"}

    status, text = curl("-d", '[{"value":20.5},{"value":20.6}]', f"{base}/{channel('iot')}")
    assert (status, json.loads(text)["accepted"]) == (201, 2)

    lines = '{"level":"info","message":"a"}\n{"level":"info","message":"b"}\n'
    status, text = curl(
        "-T",
        "-",
        "-H",
        "Content-Type: application/x-ndjson",
        f"{base}/{channel('logs')}",
        body=lines,
    )
    assert (status, json.loads(text.splitlines()[-1])["done"]) == (200, True)

    assert history(hub, channel("chat")) == [{"sender": "ana", "text": "oi"}]
    assert history(hub, channel("iot")) == [{"value": 20.5}, {"value": 20.6}]
    assert [line["message"] for line in history(hub, channel("logs"))] == ["a", "b"]


def test_the_answer_names_the_event_that_history_gives(
    hub: EventHubServer, channel: Channel
) -> None:
    answer = post(hub, channel("chat"), '{"sender":"ana","text":"é ✓"}').json()
    (event,) = http.get(f"{hub.url}/v1/channels/{channel('chat')}").json()["events"]
    assert event == {"type": "event", **answer, "data": {"sender": "ana", "text": "é ✓"}}


def test_the_head_of_a_request_gives_attributes(hub: EventHubServer, channel: Channel) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {
        "ce-source": "/sensors",
        "ce-subject": "t1",
        "ce-type": "reading.v1",
        "traceparent": trace,
    }
    assert post(hub, channel("iot"), '{"value":1}', **headers).status_code == 201
    (event,) = http.get(f"{hub.url}/v1/channels/{channel('iot')}").json()["events"]
    assert event["attributes"] == {
        "source": "/sensors",
        "subject": "t1",
        "type": "reading.v1",
        "traceparent": trace,
    }


def test_attributes_are_encoded_as_cloudevents_binding_does(
    hub: EventHubServer, channel: Channel
) -> None:
    """CloudEvents, HTTP binding, 3.1.3.2."""
    assert (
        post(
            hub,
            channel("iot"),
            '{"value":1}',
            **{"ce-subject": "caf%C3%A9%20%25 %", "ce-type": "%22"},
        ).status_code
        == 201
    )
    (event,) = http.get(f"{hub.url}/v1/channels/{channel('iot')}").json()["events"]
    assert event["attributes"] == {"subject": "café % %", "type": '"'}
    refused = post(hub, channel("iot"), '{"value":1}', **{"ce-subject": "%FF"})
    assert (refused.status_code, refused.json()["detail"]) == (
        400,
        "the header ce-subject is not UTF-8",
    )


@pytest.mark.parametrize("traceparent", [b"", b"nonsense", b"x" * 300, b"\xff"])
def test_a_malformed_traceparent_is_as_if_it_were_not_there(
    hub: EventHubServer, channel: Channel, traceparent: bytes
) -> None:
    url = f"{hub.url}/v1/channels/{channel('iot')}"
    assert (
        http.post(url, content=b'{"value":1}', headers=[(b"traceparent", traceparent)]).status_code
        == 201
    )
    assert "attributes" not in http.get(f"{url}?since=-1").json()["events"][0]


def test_a_batch_answers_per_item(hub: EventHubServer, channel: Channel) -> None:
    response = post(hub, channel("iot"), '[{"value":1},{"value":"x"},5,{"value":3}]')
    body = response.json()
    assert (response.status_code, body["accepted"], body["rejected"]) == (207, 2, 2)
    assert ["id" in result for result in body["results"]] == [True, False, False, True]
    assert body["results"][1]["error"]["details"][0]["pointer"] == "/value"
    assert history(hub, channel("iot")) == [{"value": 1.0}, {"value": 3.0}]


def test_a_batch_of_nothing_but_faults_is_422(hub: EventHubServer, channel: Channel) -> None:
    response = post(hub, channel("iot"), "[1, 2]")
    assert (response.status_code, response.json()["rejected"]) == (422, 2)


def test_an_idempotency_key_makes_a_retry_safe(hub: EventHubServer, channel: Channel) -> None:
    first = post(
        hub, channel("chat"), '{"sender":"ana","text":"once"}', **{"Idempotency-Key": "k1"}
    )
    again = post(
        hub, channel("chat"), '{"text":"once","sender":"ana"}', **{"Idempotency-Key": "k1"}
    )
    assert (again.status_code, again.json()) == (201, first.json())
    assert (first.headers.get("idempotent-replayed"), again.headers["idempotent-replayed"]) == (
        None,
        "true",
    )
    other = post(
        hub, channel("chat"), '{"sender":"ana","text":"twice"}', **{"Idempotency-Key": "k1"}
    )
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")
    assert len(history(hub, channel("chat"))) == 1


def test_items_lines_and_single_events_never_share_a_key(
    hub: EventHubServer, channel: Channel
) -> None:
    text = '{"sender":"ana","text":"once"}'
    ndjson = {"Content-Type": "application/x-ndjson"}
    bodies = [(f"[{text},{text}]", {}), (f"{text}\n{text}\n", ndjson), (text, {})]
    for body, headers in bodies:
        answer = post(hub, channel("chat"), body, **{"Idempotency-Key": "job"}, **headers)
        assert (answer.status_code in (200, 201), answer.headers.get("idempotent-replayed")) == (
            True,
            None,
        )
    for part in ("job/0", "job/1", "job/item/0", "job0"):
        assert (
            "idempotent-replayed"
            not in post(hub, channel("chat"), text, **{"Idempotency-Key": part}).headers
        )
    assert len(history(hub, channel("chat"))) == 9


def test_a_conflict_names_the_event_that_has_the_key(hub: EventHubServer, channel: Channel) -> None:
    ndjson = {"Content-Type": "application/x-ndjson"}
    single = post(
        hub, channel("chat"), '{"sender":"ana","text":"1"}', **{"Idempotency-Key": "one"}
    ).json()["id"]
    problem = post(
        hub, channel("chat"), '{"sender":"ana","text":"2"}', **{"Idempotency-Key": "one"}
    ).json()
    assert (problem["id"], single in problem["detail"]) == (single, True)

    (first,) = post(
        hub, channel("chat"), '[{"sender":"ana","text":"1"}]', **{"Idempotency-Key": "array"}
    ).json()["results"]
    (result,) = post(
        hub, channel("chat"), '[{"sender":"ana","text":"2"}]', **{"Idempotency-Key": "array"}
    ).json()["results"]
    assert (result["error"]["id"], first["id"] in result["error"]["message"]) == (first["id"], True)

    def line(text: str) -> Any:
        return post(
            hub,
            channel("chat"),
            f'{{"sender":"ana","text":"{text}"}}',
            **{"Idempotency-Key": "lines"},
            **ndjson,
        ).text

    stored = json.loads(line("1").splitlines()[-1])["id"]
    assert json.loads(line("2").splitlines()[0])["error"]["id"] == stored

    with WsClient(hub.ws_url) as client:
        client.send(
            type="publish", channel=channel("chat"), data={"sender": "ana", "text": "1"}, key="ws"
        )
        kept = client.until("published")["id"]
        client.send(
            type="publish", channel=channel("chat"), data={"sender": "ana", "text": "2"}, key="ws"
        )
        error = client.until("error")
        assert (error["code"], error["id"], kept in error["message"]) == (
            "idempotency_conflict",
            kept,
            True,
        )


def test_a_batch_can_be_repeated_whole(hub: EventHubServer, channel: Channel) -> None:
    body = '[{"value":1},{"value":1},{"value":2}]'
    first = post(hub, channel("iot"), body, **{"Idempotency-Key": "b"}).json()
    again = post(hub, channel("iot"), body, **{"Idempotency-Key": "b"}).json()
    assert first == again
    assert len(history(hub, channel("iot"))) == 3, "equal items of one batch are different events"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b"hello", 400, "invalid_json"),
        (b'{"sender":"ana"', 400, "invalid_json"),
        (b'{"sender":"ana","text":"\xff"}', 400, "invalid_json"),
        (b'{"sender":"ana","text":"\\ud800"}', 400, "invalid_json"),
        (b"\xef\xbb\xbf{}", 400, "invalid_json"),
        (b"NaN", 400, "invalid_json"),
        (b'{"sender":"ana","text":5}', 422, "invalid_event"),
        (b'{"sender":"ana","text":"x","txet":1}', 422, "invalid_event"),
        (b"null", 422, "invalid_event"),
        (b"[" * 100_000, 400, "too_deep"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, 400, "too_deep"),
        (b'{"sender":"ana","text":"' + b"x" * 70_000 + b'"}', 413, "payload_too_large"),
        (b" " * 5_000_000, 413, "payload_too_large"),
    ],
)
def test_a_bad_body_is_refused_by_name(
    hub: EventHubServer, channel: Channel, body: bytes, status: int, code: str
) -> None:
    response = post(hub, channel("chat"), body)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert history(hub, channel("chat")) == []


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("nope.a", 404, "unknown_channel"),
        ("chat..a", 400, "invalid_channel"),
        ("chat.a%20b", 400, "invalid_channel"),
        ("chat.%ff", 400, "invalid_channel"),
        ("chat." + "x" * 200, 400, "invalid_channel"),
        ("chat.a%0d%0aX-Evil:1", 400, "invalid_channel"),
        ("chat.a/b", 400, "invalid_channel"),
    ],
)
def test_a_bad_channel_is_refused_by_name(
    hub: EventHubServer, name: str, status: int, code: str
) -> None:
    response = post(hub, name, '{"sender":"ana","text":"oi"}')
    assert (response.status_code, response.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Idempotency-Key": "k" * 129}, 400, "invalid_request"),
        ({"Idempotency-Key": "a b"}, 400, "invalid_request"),
        ({"ce-source": "x" * 300}, 400, "invalid_request"),
        ({"Content-Encoding": "br"}, 415, "unsupported_media_type"),
        ({"Origin": "http://evil.example"}, 403, "origin_not_allowed"),
    ],
)
def test_a_bad_head_is_refused_by_name(
    hub: EventHubServer, channel: Channel, headers: dict[str, str], status: int, code: str
) -> None:
    response = post(hub, channel("chat"), '{"sender":"ana","text":"oi"}', **headers)
    assert (response.status_code, response.json()["code"]) == (status, code)


def test_a_page_of_this_host_may_publish(hub: EventHubServer, channel: Channel) -> None:
    assert (
        post(hub, channel("chat"), '{"sender":"ana","text":"oi"}', Origin=hub.url).status_code
        == 201
    )


def test_other_methods_and_paths_are_problems_too(hub: EventHubServer) -> None:
    response = http.patch(f"{hub.url}/v1/channels/chat.a")
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert "GET" in response.headers["allow"]
    assert http.get(f"{hub.url}/v1/elsewhere").json()["code"] == "not_found"
    slash = http.get(f"{hub.url}/v1/types/", headers={"Host": "elsewhere.localhost"})
    assert (slash.status_code, slash.json()["code"]) == (404, "not_found"), (
        "no redirect to the host that was given"
    )


def log(message: str) -> bytes:
    return b'{"level":"info","message":"%b"}\n' % message.encode()


def test_lines_of_a_stream_are_stored_and_answered_before_it_ends(
    hub: EventHubServer, channel: Channel
) -> None:
    with NdjsonProducer(hub.port, channel("logs")) as producer:
        producer.send(log("1") + log("2"))
        assert producer.progress()["accepted"] == 2
        assert len(history(hub, channel("logs"))) == 2
        producer.send(log("3")[:10])
        producer.send(log("3")[10:])
        assert producer.progress() | {"id": ""} == {
            "line": 3,
            "accepted": 3,
            "rejected": 0,
            "id": "",
        }
        producer.end()
        assert producer.progress()["done"] is True


def test_when_a_producer_leaves_mid_stream_whole_lines_stay_and_half_a_line_is_not_stored(
    hub: EventHubServer, channel: Channel
) -> None:
    with NdjsonProducer(hub.port, channel("logs")) as producer:
        producer.send(log("kept"))
        assert producer.progress()["accepted"] == 1
        producer.send(b'{"level":"info","message":"not a line yet"}')
    hub.shows('eventhub_connections{transport="producer"}', 0)  # the server has seen it go
    assert [line["message"] for line in history(hub, channel("logs"))] == ["kept"]


def test_refused_lines_are_named_and_the_others_stored(
    hub: EventHubServer, channel: Channel
) -> None:
    body = log("1") + b"\n" + b"nope\n" + b"x" * 200_000 + b"\n" + log("5").rstrip()
    lines = post(
        hub, channel("logs"), body, **{"Content-Type": "application/x-ndjson; charset=utf-8"}
    ).text.splitlines()
    messages = [json.loads(line) for line in lines]
    refused = {
        message["line"]: message["error"]["code"] for message in messages if "error" in message
    }
    assert refused == {3: "invalid_json", 4: "payload_too_large"}
    assert messages[-1] | {"id": ""} == {
        "line": 5,
        "accepted": 2,
        "rejected": 2,
        "id": "",
        "done": True,
    }
    assert [line["message"] for line in history(hub, channel("logs"))] == ["1", "5"]


def test_only_the_first_hundred_refusals_are_detailed(
    hub: EventHubServer, channel: Channel
) -> None:
    lines = post(
        hub, channel("logs"), b"nope\n" * 500, **{"Content-Type": "application/x-ndjson"}
    ).text.splitlines()
    messages = [json.loads(line) for line in lines]
    assert sum("error" in message for message in messages) == 100
    assert messages[-1]["rejected"] == 500


def test_a_stream_can_be_repeated_after_a_broken_connection(
    hub: EventHubServer, channel: Channel
) -> None:
    with NdjsonProducer(hub.port, channel("logs"), "Idempotency-Key: s\r\n") as first:
        first.send(log("1") + log("2"))
        assert first.progress()["accepted"] == 2
    headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": "s"}
    again = post(hub, channel("logs"), log("1") + log("2") + log("3"), **headers)
    assert json.loads(again.text.splitlines()[-1])["accepted"] == 3
    assert [line["message"] for line in history(hub, channel("logs"))] == ["1", "2", "3"]


def test_a_producer_that_reads_no_answer_is_not_blocked_and_does_not_block(
    hub: EventHubServer, channel: Channel
) -> None:
    with NdjsonProducer(hub.port, channel("logs")) as producer:
        for number in range(
            300
        ):  # 300 groups, each reported: many times what a socket holds if reports piled up
            producer.send(b"".join(log(f"{number}-{line}") for line in range(100)))
        producer.end()
        final = producer.progress()
        while "done" not in final:
            final = producer.progress()
    assert (final["accepted"], final["done"]) == (30_000, True)


def test_a_body_that_stops_arriving_is_given_up(start: Callable[..., EventHubServer]) -> None:
    hub = start("limits: {body_seconds: 0.2}")
    with raw(hub.port) as sock:
        sock.sendall(
            b"POST /v1/channels/chat.a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
        )
        assert exactly(sock, 12) == b"HTTP/1.1 408"


def test_json_schema_and_model_types_validate(start: Callable[..., EventHubServer]) -> None:
    schema = {
        "type": "object",
        "required": ["sku"],
        "properties": {"sku": {"type": "string"}, "n": {"type": "integer"}},
    }
    config = (
        "channels: {orders: {payload: order.json}, any: {}, "
        "trades: {payload: 'eventhub.events.builtin_payloads:Reading'}}"
    )
    hub = start(config, files={"order.json": json.dumps(schema)})
    assert post(hub, "orders.a", '{"sku":"x", "n": 3}').status_code == 201
    refused = post(hub, "orders.a", '{"sku":5,"n":"x"}')
    assert (refused.status_code, sorted(d["pointer"] for d in refused.json()["details"])) == (
        422,
        ["/n", "/sku"],
    )
    assert post(hub, "any.a", "5").status_code == 201
    assert post(hub, "trades.a", '{"value":5}').status_code == 201
    assert http.get(f"{hub.url}/v1/types/orders").json()["schemas"] == {
        "accepted": schema,
        "stored": schema,
    }
