"""The answers to producers, and when they come: bodies of known and of unknown length, lenient
handling, CloudEvents.
"""

import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness.clients import (
    SECONDS,
    NdjsonProducer,
    WsClient,
    exactly,
    http,
    metric,
    raw,
    read_until,
)
from tests.harness.eventhub import EventHubServer

Channel = Callable[[str], str]
NDJSON = {"Content-Type": "application/x-ndjson"}


def log(message: str) -> bytes:
    return b'{"level":"info","message":"%b"}\n' % message.encode()


def post(hub: EventHubServer, target: str, content: bytes | str, **headers: str) -> httpx.Response:
    return http.post(f"{hub.url}/v1/channels/{target}", content=content, headers=headers)


def history(hub: EventHubServer, channel: str) -> list[Any]:
    events: list[Any] = http.get(f"{hub.url}/v1/channels/{channel}", params={"limit": 1000}).json()[
        "events"
    ]
    return [event["data"] for event in events]


def begin(hub: EventHubServer, channel: str, *fields: str) -> socket.socket:
    """Send the head of a request, and nothing else."""
    sock = raw(hub.port)
    head = [
        f"POST /v1/channels/{channel} HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/x-ndjson",
        *fields,
        "",
        "",
    ]
    sock.sendall("\r\n".join(head).encode())
    return sock


def head_of(sock: socket.socket) -> str:
    return read_until(sock, b"\r\n\r\n").decode()


def rest_of(sock: socket.socket) -> bytes:
    received = b""
    while data := sock.recv(65536):
        received += data
    return received


# Lines of a body whose length is known


@pytest.mark.parametrize(
    ("lines", "status", "accepted"),
    [([b"a", b"b"], 200, 2), ([b"a", b"nope"], 207, 1), ([b"nope", b"x"], 422, 0), ([], 200, 0)],
)
def test_lines_of_known_length_are_answered_after_the_body_with_a_status(
    lane_hub: EventHubServer, channel: Channel, lines: list[bytes], status: int, accepted: int
) -> None:
    body = b"".join(
        log(line.decode()) if len(line) == 1 and line != b"x" else line + b"\n" for line in lines
    )
    with httpx.Client() as client:  # which keeps its connection
        url = f"{lane_hub.url}/v1/channels/{channel('logs')}"
        answer = client.post(url, content=body, headers=NDJSON)
        again = client.post(url, content=log("later"), headers=NDJSON)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/x-ndjson")
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert "connection" not in answer.headers
    final = json.loads(answer.text.splitlines()[-1])
    assert (final["accepted"], final["rejected"], final["done"]) == (
        accepted,
        len(lines) - accepted,
        True,
    )
    assert again.json() | {"id": ""} == {
        "line": 1,
        "accepted": 1,
        "rejected": 0,
        "id": "",
        "done": True,
    }, "one line is one object"


def test_everything_is_stored_for_a_client_that_reads_the_status_and_leaves(
    hub: EventHubServer, channel: Channel
) -> None:
    body = b"".join(log(f"{number:04d}" + "x" * 150) for number in range(2000))
    with begin(hub, channel("logs"), f"Content-Length: {len(body)}") as sock:
        sock.sendall(body)
        assert exactly(sock, 12) == b"HTTP/1.1 200"
    page = http.get(
        f"{hub.url}/v1/channels/{channel('logs')}", params={"limit": 1000, "since": "-1"}
    ).json()
    assert [event["data"]["message"][:4] for event in page["events"]] == ["1999"]
    assert metric(hub.url, 'eventhub_connections{transport="producer"}') == 0


def test_success_is_answered_only_after_the_end_of_the_body(
    hub: EventHubServer, channel: Channel
) -> None:
    body = log("a") + log("b")
    with begin(hub, channel("logs"), f"Content-Length: {2 * len(body)}") as sock:
        sock.sendall(body)
        while len(history(hub, channel("logs"))) < 2:
            pass  # stored as it arrives
        sock.shutdown(socket.SHUT_WR)
        head, _, body = rest_of(sock).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["progress"] | {"id": ""} == {
        "line": 2,
        "accepted": 2,
        "rejected": 0,
        "id": "",
    }


def test_a_body_of_known_length_may_be_larger_than_a_single_one(
    start: Callable[..., EventHubServer],
) -> None:
    hub = start("limits: {body_bytes: 70000}\nchannels: {logs: {payload: log}}")
    body = b"".join(log("x" * 1000) for _ in range(200))
    assert (len(body) > 70_000, post(hub, "logs.a", body, **NDJSON).status_code) == (True, 200)


@pytest.mark.parametrize("framing", ["Content-Length: 31", "Transfer-Encoding: chunked"])
def test_a_client_that_expects_100_gets_it_and_then_the_answer(
    hub: EventHubServer, channel: Channel, framing: str
) -> None:
    body = log("a")
    assert len(body) == 31
    with begin(hub, channel("logs"), framing, "Expect: 100-continue", "Connection: close") as sock:
        assert head_of(sock) == "HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body if "Length" in framing else b"1f\r\n" + body + b"\r\n0\r\n\r\n")
        assert b'"accepted":1' in rest_of(sock)


@pytest.mark.parametrize("framing", ["Content-Length: 31", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize(
    ("channel_name", "field", "status"),
    [("nothing.a", "X: 1", 404), ("logs.a", "Idempotency-Key: a b", 400),
     ("logs.a", "Origin: http://evil.example", 403),
     ("logs.a", "Content-Encoding: br", 415)],
)  # fmt: skip
def test_an_error_before_any_line_is_decided_has_its_own_status(
    hub: EventHubServer, framing: str, channel_name: str, field: str, status: int
) -> None:
    with begin(hub, channel_name, framing, field, "Expect: 100-continue") as sock:
        head = head_of(sock)
        assert head.startswith(f"HTTP/1.1 {status} "), "no 100 before it"
        assert "application/problem+json" in head


def test_a_producer_that_waits_for_the_status_before_its_first_line_gets_it(
    hub: EventHubServer, channel: Channel
) -> None:
    with NdjsonProducer(hub.port, channel("logs")) as producer:
        assert head_of(producer.sock).startswith("HTTP/1.1 200 ")
        producer.send(log("a"))
        assert producer.progress()["accepted"] == 1


def test_a_stream_that_curl_sends_with_a_length_is_answered_with_a_status(
    hub: EventHubServer, channel: Channel, tmp_path: Path
) -> None:
    file = tmp_path / "lines"
    file.write_bytes(log("a") + b"nope\n")
    url = f"{hub.url}/v1/channels/{channel('logs')}"

    def curl(*arguments: str) -> str:
        command = [
            "curl",
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-H",
            "Content-Type: application/x-ndjson",
            *arguments,
            url,
        ]
        return subprocess.run(
            command,
            input=file.read_text(),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        ).stdout

    assert curl("--data-binary", f"@{file}") == "207"
    assert curl("-T", str(file)) == "207"
    assert curl("-T", ".") == "200", "its length is not known"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (
            ["-H", "Content-Type: application/x-ndjson", "-d", "@lines"],
            "422",
            "with --data-binary @file or -T file, as its -d removes",
        ),
        (
            ["--json", "@lines"],
            "400",
            "one event a line is sent with Content-Type: application/x-ndjson",
        ),
        (
            ["-d", "@lines"],
            "400",
            "one event a line is sent with Content-Type: application/x-ndjson",
        ),
        (
            ["-d", "level=info&message=x"],
            "400",
            "this is a form (application/x-www-form-urlencoded)",
        ),
        (
            ["-d", "payload=%7B%22level%22%3A%22info%22%7D"],
            "400",
            "have a webhook send application/json",
        ),
        (["-d", "hello"], "400", 'a text on its own is JSON in double quotes, as in "hello"'),
        (["-d", '{"level":"info","message":"x"}'], "201", ""),
        (["-d", '{"level":"loud","message":"x"}'], "422", "; its schema is at /v1/types/logs"),
        (["-d", '[{"level":"loud","message":"x"}]'], "422", "; its schema is at /v1/types/logs"),
    ],
)
def test_common_mistakes_with_curl_and_webhooks_get_a_helpful_error(
    hub: EventHubServer,
    channel: Channel,
    tmp_path: Path,
    arguments: list[str],
    status: str,
    said: str,
) -> None:
    (tmp_path / "lines").write_bytes(log("a") + log("b"))
    command = [
        "curl",
        "-s",
        "-w",
        "%{http_code}",
        *arguments,
        f"{hub.url}/v1/channels/{channel('logs')}",
    ]
    answer = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=True
    ).stdout
    assert answer.endswith(status)
    assert said in answer.replace('\\"', '"')


def test_the_error_for_a_message_that_is_no_object_says_what_is_expected(
    lane_hub: EventHubServer, channel: Channel
) -> None:
    with WsClient(lane_hub.ws_url) as client:
        for text, code in (
            ("hello", "invalid_json"),
            ('"hello"', "invalid_frame"),
            ("{'a':1}", "invalid_json"),
        ):
            client.connection.send(text)
            error = client.until("error")
            assert error["code"] == code
            assert ('such as {"type":"ping"}' in error["message"]) != (
                "double quotes" in error["message"]
            )
        client.send(type="publish", channel=channel("chat"), data={})
        assert "its schema is at /v1/types/chat" in client.until("error")["message"]
        client.send(type="publish", channel="iot.>", data={})
        assert "iot.>" in client.until("error")["message"]


# Lenient handling


@pytest.mark.parametrize("how", ["header", "address"])
@pytest.mark.parametrize(
    ("content", "accepted", "rejected"),
    [
        (b'{"value":1}', 1, 0), (b'{"value":"x"}', 0, 1), (b"nope", 0, 1), (b"", 0, 1),
        (b'"' + b"x" * 70_000 + b'"', 0, 1),
        (b"[" * 70 + b"]" * 70, 0, 1), (b'[{"value":1},{"value":"x"}]', 1, 1), (b'["x",1]', 0, 2),
        (b'[{"value":1},', 0, 1),
    ],
)  # fmt: skip
def test_a_lenient_publish_stores_valid_events_and_counts_the_others(
    lane_hub: EventHubServer,
    channel: Channel,
    how: str,
    content: bytes,
    accepted: int,
    rejected: int,
) -> None:
    before = metric(lane_hub.url, "eventhub_events_rejected_total")
    if how == "header":
        answer = post(lane_hub, channel("iot"), content, Prefer="respond-async, handling=lenient")
    else:
        answer = post(lane_hub, channel("iot") + "?handling=lenient", content)
    assert (answer.status_code, answer.headers["preference-applied"]) == (200, "handling=lenient")
    body = answer.json()
    assert (body["accepted"], body["rejected"], len(body["results"])) == (
        accepted,
        rejected,
        accepted + rejected,
    )
    assert metric(lane_hub.url, "eventhub_events_rejected_total") == before + rejected
    assert len(history(lane_hub, channel("iot"))) >= accepted


@pytest.mark.parametrize("known", [True, False])
def test_a_lenient_stream_is_answered_with_200_whatever_is_refused(
    hub: EventHubServer, channel: Channel, *, known: bool
) -> None:
    body = b"nope\n" + log("a")
    content = body if known else iter([body])
    answer = http.post(
        f"{hub.url}/v1/channels/{channel('logs')}?handling=lenient", content=content, headers=NDJSON
    )
    assert (answer.status_code, answer.headers["preference-applied"]) == (200, "handling=lenient")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert (lines[0]["error"]["code"], lines[-1]["accepted"], lines[-1]["rejected"]) == (
        "invalid_json",
        1,
        1,
    )
    nothing = http.post(
        f"{hub.url}/v1/channels/{channel('logs')}",
        content=b"x\n",
        headers={**NDJSON, "Prefer": "handling=lenient"},
    )
    assert nothing.status_code == 200


def test_a_lenient_conflict_is_counted_too(hub: EventHubServer, channel: Channel) -> None:
    lenient = {"Prefer": "handling=lenient", "Idempotency-Key": "k"}
    assert post(hub, channel("iot"), '{"value":1}', **lenient).json()["accepted"] == 1
    again = post(hub, channel("iot"), '{"value":1}', **lenient)
    assert (again.json()["accepted"], again.headers["idempotent-replayed"]) == (1, "true")
    other = post(hub, channel("iot"), '{"value":2}', **lenient)
    assert (other.status_code, other.json()["results"][0]["error"]["code"]) == (
        200,
        "idempotency_conflict",
    )


@pytest.mark.parametrize(
    ("target", "content", "headers", "status"),
    [
        ("nothing.a", "1", {}, 404), ("iot.a", "1", {"Content-Encoding": "br"}, 415),
        ("iot.a", "1", {"Idempotency-Key": "a b"}, 400),
        ("iot.a", "[" + "1," * 10_000 + "1]", {}, 413),
        ("iot.a", " " * (4 * 1024 * 1024 + 1), {}, 413),
    ],
)  # fmt: skip
def test_an_error_of_a_lenient_request_stays_an_error(
    hub: EventHubServer, target: str, content: str, headers: dict[str, str], status: int
) -> None:
    assert post(hub, target, content, Prefer="handling=lenient", **headers).status_code == status


def test_a_temporary_error_of_a_lenient_publish_stays_an_error(
    start: Callable[..., EventHubServer],
) -> None:
    hub = start("limits: {channels: 1}\nchannels: {iot: {payload: reading}}")
    assert post(hub, "iot.a", '{"value":1}').status_code == 201
    for content, kind in (('{"value":1}', {}), ('[{"value":1}]', {}), ('{"value":1}\n', NDJSON)):
        for handling in ("strict", "lenient"):
            answer = post(hub, "iot.b", content, Prefer=f"handling={handling}", **kind)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1"), (
                content,
                handling,
            )


@pytest.mark.parametrize(
    "query", ["since=5", "handling=leniant", "handling=lenient&handling=lenient"]
)
@pytest.mark.parametrize("headers", [{}, NDJSON])
def test_an_unknown_parameter_of_a_publish_is_an_error(
    hub: EventHubServer, channel: Channel, query: str, headers: dict[str, str]
) -> None:
    answer = post(hub, f"{channel('iot')}?{query}", '{"value":1}', **headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "path",
    [
        "channels/chat.a/presence",
        "channels/chat.a",
        "types",
        "types/chat",
        "channels/chat.a/sse",
        "sse",
    ],
)
def test_an_unknown_query_parameter_is_an_error_on_every_read_route(
    hub: EventHubServer, path: str
) -> None:
    answer = http.get(f"{hub.url}/v1/{path}?sinse=5")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert "'sinse'" in answer.json()["detail"]


# CloudEvents


@pytest.mark.parametrize(
    "head",
    [
        {"ce-id": "1.0"},
        {"ce-specversion": "1.0", "ce-source": "/a", "ce-type": "t"},
    ],
)
@pytest.mark.parametrize("body", ["[1,2,3]", "[]", " [[1]]"])
def test_a_cloudevent_in_binary_mode_is_one_event_whatever_its_data(
    start_free: EventHubServer, channel: Channel, head: dict[str, str], body: str
) -> None:
    head = {"ce-id": body.strip(), "Content-Type": "application/json", **head}
    answer = post(start_free, channel("free"), body, **head)
    assert (answer.status_code, set(answer.json())) == (201, {"id", "channel", "time"})
    assert history(start_free, channel("free"))[-1] == json.loads(body)


def test_an_array_without_such_headers_is_a_batch_whose_items_share_the_attributes(
    start_free: EventHubServer, channel: Channel
) -> None:
    headers = {
        "ce-type": "reading",
        "ce-source": "/a",
        "ce-subject": "b",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    assert post(start_free, channel("free"), "[1,2,3]", **headers).json()["accepted"] == 3
    events = http.get(f"{start_free.url}/v1/channels/{channel('free')}").json()["events"]
    shared = {
        "type": "reading",
        "source": "/a",
        "subject": "b",
        "traceparent": headers["traceparent"],
    }
    assert [event["attributes"] for event in events] == [shared] * 3


def test_lines_of_a_stream_get_the_attributes_of_the_head(
    start_free: EventHubServer, channel: Channel
) -> None:
    assert (
        post(start_free, channel("free"), "1\n2\n", **{"ce-source": "/a"}, **NDJSON).status_code
        == 200
    )
    events = http.get(f"{start_free.url}/v1/channels/{channel('free')}").json()["events"]
    assert [event["attributes"] for event in events] == [{"source": "/a"}] * 2
    for field in ("ce-id", "ce-specversion"):
        refused = post(start_free, channel("free"), "1\n2\n", **{field: "1"}, **NDJSON)
        assert (refused.status_code, "one CloudEvent" in refused.json()["detail"]) == (415, True)


@pytest.fixture(scope="module")
def start_free(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server with a channel type that accepts any JSON."""
    with EventHubServer(tmp_path_factory.mktemp("free"), "channels: {free: {}}") as server:
        yield server
