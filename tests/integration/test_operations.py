"""Health, metrics, documents, logs and start-up, as operators see them."""

import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.harness.clients import WsClient, exactly, http, raw
from tests.harness.eventhub import EventHubServer
from tests.harness.eventually import eventually

Channel = Callable[[str], str]
Start = Callable[..., EventHubServer]


def post(hub: EventHubServer, channel: str, body: str) -> int:
    return http.post(f"{hub.url}/v1/channels/{channel}", content=body).status_code


def test_a_running_server_is_live_and_ready(hub: EventHubServer) -> None:
    assert http.get(f"{hub.url}/livez").json() == {"status": "ok"}
    assert http.get(f"{hub.url}/readyz").json() == {"status": "ok", "reasons": {}}
    assert http.get(f"{hub.url}/readyz?exclude=broker").json() == {"status": "ok", "reasons": {}}
    assert http.get(f"{hub.url}/readyz?exclude=hub").status_code == 400


def test_the_openapi_document_describes_publishing(hub: EventHubServer) -> None:
    document = http.get(f"{hub.url}/openapi.json").json()
    assert set(document["paths"]["/v1/channels/{channel}"]) == {"delete", "get", "post", "put"}
    body = document["paths"]["/v1/channels/{channel}"]["post"]["requestBody"]["content"]
    assert set(body) == {
        "application/json",
        "application/x-ndjson",
        "application/cloudevents+json",
        "application/cloudevents-batch+json",
        "application/senml+json",
    }
    assert http.get(f"{hub.url}/docs").status_code == 200


def test_each_channel_type_serves_its_schemas(hub: EventHubServer) -> None:
    types = {kind["name"]: kind for kind in http.get(f"{hub.url}/v1/types").json()["types"]}
    assert types["chat"] == {
        "name": "chat", "payload": "chat", "key": None,
        "history": {"events": 500, "age": 86400.0, "latest": False},
        "presence": True,
        "sender": "any", "slow": "disconnect", "publish": ["client", "producer"],
        "signals": ["client", "producer"], "version": None, "compatibility": None,
    }  # fmt: skip
    schemas = http.get(f"{hub.url}/v1/types/iot").json()["schemas"]
    assert [schemas[name]["required"] for name in ("accepted", "stored")] == [["value"]] * 2
    unknown = http.get(f"{hub.url}/v1/types/chatt")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_channel")
    assert "did you mean 'chat'" in unknown.json()["detail"]


PAGE_HEADERS = {
    "x-frame-options": "DENY", "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin", "cache-control": "no-cache",
}  # fmt: skip


def test_pages_come_with_security_headers(lane_hub: EventHubServer) -> None:
    for path in (
        "/",
        "/chat/lobby",
        "/operate",
        "/explore",
        "/logs/logs.>",
        "/iot/iot.>",
        "/docs",
        "/static/client.js",
        "/static/pages/common/base.css",
    ):
        response = http.get(lane_hub.url + path)
        assert response.status_code == 200, path
        assert PAGE_HEADERS.items() <= response.headers.items()
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "camera=()" in response.headers["permissions-policy"]
    assert http.get(lane_hub.url + "/static/../pyproject.toml").status_code == 404
    assert http.get(lane_hub.url + "/static/%2e%2e/pyproject.toml").status_code == 404


def test_no_answer_can_be_taken_for_a_script_or_sets_a_cookie(
    lane_hub: EventHubServer, channel: Channel
) -> None:
    base = lane_hub.url
    own = f"{base}/v1/channels/{channel('chat')}"
    asked = [f"{base}{path}" for path in (
        "/", "/chat", "/explore", "/logs", "/logs/x", "/docs", "/static/pages/chat/chat.js",
        "/openapi.json",
        "/asyncapi.json", "/livez", "/readyz", "/metrics",
        "/v1/types", "/v1/types/chat", "/v1/types/none", "/v1/ws", "/v1/sse", "/nothing",
        "/static/nothing",
    )]  # fmt: skip
    answers = [http.get(url) for url in (*asked, own, f"{own}/presence", f"{own}?since=x")]
    answers += [
        http.post(own, content=body)
        for body in ('{"sender":"a","text":"b"}', "{", '[{"sender":"a","text":"b"},1]')
    ]
    answers.append(
        http.post(
            own,
            content='{"sender":"a","text":"b"}\n',
            headers={"content-type": "application/x-ndjson"},
        )
    )
    answers.append(http.request("DELETE", own))
    for kind in ("sse", "ndjson"):
        with http.stream("GET", f"{own}/{kind}") as response:
            answers.append(response)
    for answer in answers:
        where = f"{answer.request.method} {answer.url}: {answer.status_code}"
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"], where
        assert answer.headers.get_list("cross-origin-resource-policy") == ["same-origin"], where
        assert "set-cookie" not in answer.headers, where


UPGRADE = {
    "connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}  # fmt: skip


def test_a_host_that_may_have_been_rebound_is_refused(start: Start) -> None:
    for lane in ("fast", "asgi"):
        hub = start("origins: [https://events.example]", lane=lane)
        for path in (
            "/",
            "/chat",
            "/v1/types",
            "/v1/channels/chat.a",
            "/v1/channels/chat.a/sse",
            "/livez",
            "/nothing",
        ):
            answer = http.get(hub.url + path, headers={"host": f"evil.example:{hub.port}"})
            assert (answer.status_code, answer.json()["code"]) == (421, "misdirected_request"), path
        said = http.post(
            f"{hub.url}/v1/channels/chat.a",
            json={"sender": "eve", "text": "x"},
            headers={"host": "evil.example"},
        )
        assert said.status_code == 421
        assert "`origins`" in said.json()["detail"]
        client = {"host": "evil.example", **UPGRADE}
        assert http.get(f"{hub.url}/v1/ws", headers=client).status_code == (
            421 if lane == "fast" else 403
        )  # ASGI has no other
        for host in ("events.example", f"localhost:{hub.port}"):
            assert (
                http.get(f"{hub.url}/v1/channels/chat.a", headers={"host": host}).json()["events"]
                == []
            )


def test_logs_are_json_lines_without_payloads(start: Start) -> None:
    hub = start()
    post(hub, "chat.a", '{"sender":"a","text":"s3cret"}')
    post(hub, "chat.a", '{"sender":"a","text":5,"s3cret":1}')
    hub.stop()
    assert [line["event"] for line in hub.lines()] == ["listening", "draining", "stopped"]
    assert hub.lines()[0]["configuration"].endswith("/eventhub.yaml")
    assert "s3cret" not in hub.log.read_text()


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "eventhub", *arguments]
    return subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=120, check=False
    )


def test_listening_beyond_loopback_without_authentication_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "serve", "--host", "0.0.0.0", "--port", "0")
    assert done.returncode == 2
    assert "--insecure" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_configuration_that_cannot_be_used_is_reported_and_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "eventhub.yaml").write_text("chanels: {}")
    for command in ("check", "serve"):
        done = run(tmp_path, command)
        assert done.returncode == 2
        assert "chanels: unknown key; did you mean channels?" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_port_in_use_is_reported_and_ends_the_server(hub: EventHubServer, tmp_path: Path) -> None:
    done = run(tmp_path, "serve", "--port", str(hub.port))
    assert done.returncode == 2
    assert "Address already in use; choose others with --host and --port" in done.stderr
    assert "Traceback" not in done.stderr


ASKED = (
    "authorization, baggage, cache-control, content-type, idempotency-key, last-event-id, prefer, "
    "sentry-trace, traceparent, tracestate, "
    "x-requested-with"
)
"""Headers of pages: what PROTOCOL.md names, and what tracing libraries and polyfills of EventSource
add.
"""


def preflight(hub: EventHubServer, origin: str, **more: str) -> httpx.Response:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": ASKED,
        **more,
    }
    return http.options(f"{hub.url}/v1/channels/chat.a", headers=asked)


CORS = ("access-control-allow-origin", "access-control-allow-credentials")


@pytest.mark.parametrize("lane", ["fast", "asgi"])
def test_a_page_of_a_listed_origin_may_read_and_publish(start: Start, lane: str) -> None:
    hub = start("origins: ['https://app.example', 'https://*.example.com', 'null']", lane=lane)
    url = f"{hub.url}/v1/channels/chat.a"
    for origin in ("https://app.example", "https://a.b.example.com"):
        answer = preflight(hub, origin)
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-headers"] == ASKED
        assert {"GET", "POST", "PUT"} <= set(
            answer.headers["access-control-allow-methods"].split(", ")
        )
        assert "access-control-allow-private-network" not in answer.headers
        page = {"Origin": origin}
        posted = http.post(url, content='{"sender":"a","text":"b"}', headers=page)
        assert posted.status_code == 201
        refused = http.post(url, content="{", headers=page)
        secret = http.get(f"{url}?access_token=x", headers=page)  # refused before it is routed
        nothing = http.get(f"{hub.url}/nothing", headers=page)
        module = http.get(f"{hub.url}/static/client.js", headers=page)
        with http.stream("GET", url + "/sse", headers=page) as live:
            for answer in (answer, posted, refused, secret, nothing, module, live):  # noqa: B020
                assert [answer.headers.get_list(name) for name in CORS] == [[origin], ["true"]]
                assert "Origin" in answer.headers["vary"]
        assert "Retry-After" in posted.headers["access-control-expose-headers"]
    opaque = http.get(url, headers={"Origin": "null"})
    assert [opaque.headers.get(name) for name in CORS] == ["null", None], (
        "anybody's frame may be in a sandbox"
    )
    stranger = http.get(url, headers={"Origin": "https://evil.example"})
    assert [stranger.headers.get(name) for name in CORS] == [None, None]
    assert stranger.headers["vary"] == http.get(url).headers["vary"] == "Origin"
    asked = preflight(
        hub, "https://app.example", **{"Access-Control-Request-Private-Network": "true"}
    )
    assert asked.headers["access-control-allow-private-network"] == "true"


def test_no_credentials_are_allowed_to_all(start: Start) -> None:
    hub = start("origins: ['*']")
    for answer in (
        preflight(hub, "https://evil.example"),
        http.get(f"{hub.url}/v1/types", headers={"Origin": "https://evil.example"}),
    ):
        assert answer.status_code in (200, 204)
        assert [answer.headers.get(name) for name in CORS] == ["*", None]


def test_the_preflight_of_a_page_that_is_not_listed_is_refused_and_logged(start: Start) -> None:
    for config in ("", "origins: ['https://app.example']"):
        hub = start(config)
        for _ in range(3):
            answer = preflight(hub, "https://evil.example")
            assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")
            assert "access-control-allow-origin" not in answer.headers
        (line,) = hub.lines("origin_refused")
        assert (line["origin"], line["setting"]) == ("https://evil.example", "origins")
        assert http.options(f"{hub.url}/v1/channels/chat.a").status_code == 405, (
            "which is no preflight"
        )


@pytest.mark.parametrize(
    "path", ["/", "/livez", "/v1/types", "/v1/channels/chat.a", "/v1/channels/chat.a/sse"]
)
def test_head_has_the_headers_of_get_and_no_body(hub: EventHubServer, path: str) -> None:
    response = http.head(hub.url + path)
    assert (response.status_code, response.content) == (200, b"")


def answers_to(sock: socket.socket, more: bytes) -> bytes:
    """The answer to a further piece of a request that does not end."""
    with suppress(ConnectionError):  # it has been answered and is not read any more
        sock.sendall(more)
    sock.settimeout(0.2)
    with suppress(TimeoutError):
        return sock.recv(65536)
    return b""


def test_a_head_over_the_limit_is_refused_however_it_arrives(start: Start) -> None:
    hub = start("limits: {head_seconds: 60}")
    for rest, more in (
        (b"a: " + b"x" * 40_000, b"x" * 10_000),
        (b"a: b\r\n" * 8000, b"a: b\r\n" * 1000),
        (b"x" * 60_000, b"x" * 10_000),
    ):
        with raw(hub.port) as sock:
            sock.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + rest)
            # It may have come in one read that showed no end: the next read decides.
            readable = eventually("an answer", partial(answers_to, sock, more))
            assert readable.startswith(b"HTTP/1.1 431 ")
    assert http.get(f"{hub.url}/livez", headers={"a": "x" * 20_000}).status_code == 200
    assert http.get(f"{hub.url}/livez", headers={"a": "x" * 40_000}).status_code == 431


def test_a_head_that_is_not_complete_in_time_is_given_up(start: Start) -> None:
    hub = start("limits: {head_seconds: 0.5}")
    with raw(hub.port) as silent, raw(hub.port) as slow:
        slow.sendall(b"GET /livez HTTP/1.1\r\nHo")
        assert slow.recv(12) == b"HTTP/1.1 408"
        assert silent.recv(12) == b"HTTP/1.1 408"


@pytest.mark.parametrize("query", ["sinse=1", "since=-1&since=-2", "limit=1&limit=2"])
def test_a_misspelt_or_repeated_parameter_is_refused(hub: EventHubServer, query: str) -> None:
    for path in ("", "/sse", "/ndjson"):
        response = http.get(f"{hub.url}/v1/channels/chat.a{path}?{query}")
        assert (response.status_code, response.json()["code"]) == (400, "invalid_request")


def test_presence_of_a_channel_type_without_presence_is_404(hub: EventHubServer) -> None:
    with WsClient(hub.ws_url) as client:
        told = client.subscribe("logs.a", presence=True, member="ana")
        assert (told["count"], told["members"]) == (0, [])
    response = http.get(f"{hub.url}/v1/channels/logs.a/presence")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_a_model_beside_the_configuration_is_found(start: Start) -> None:
    module = "import pydantic\n\n\nclass Trade(pydantic.BaseModel):\n    price: float\n"
    hub = start("channels: {trades: {payload: 'mytrades:Trade'}}", files={"mytrades.py": module})
    assert post(hub, "trades.a", '{"price":1.5}') == 201
    assert post(hub, "trades.a", '{"price":[]}') == 422


def test_common_mistakes_with_curl_are_explained(hub: EventHubServer) -> None:
    url = f"{hub.url}/v1/channels/chat.a"
    cases = {
        "multipart/form-data": http.post(url, files={"sender": b"ana"}),
        "received compressed data": http.post(url, content=b"\x1f\x8b\x08"),
        "received nothing": http.post(url),
        "application/x-ndjson": http.post(
            url, content='{"sender":"a","text":"b"}\n{"sender":"a","text":"b"}'
        ),
        "/v1/channels/{channel}": http.post(f"{hub.url}/v1/channel/chat.a"),
        "70025 bytes; at most 65536": http.post(
            url, content='{"sender":"a","text":"' + "x" * 70_001 + '"}'
        ),
        "the body has 5000000 bytes; at most 4194304": http.post(url, content=b" " * 5_000_000),
        "expected one of GET": http.delete(f"{hub.url}/v1/types"),
        "(limits.page), received '5000'": http.get(url, params={"limit": "5000"}),
        "more than 64 bits": http.post(
            f"{hub.url}/v1/channels/logs.a",
            content='{"level":"info","message":"","n":' + "9" * 400 + "}",
        ),
    }
    for words, response in cases.items():
        assert words in response.json()["detail"], response.json()


def answers(sock: socket.socket) -> bytes:
    """Everything that arrives until the server closes."""
    got = b""
    with suppress(ConnectionError):
        while part := sock.recv(65536):
            got += part
    return got


def test_pipelined_requests_are_all_answered(hub: EventHubServer) -> None:
    body = b'{"sender":"a","text":"' + b"x" * 40_000 + b'"}'
    post_ = (
        b"POST /v1/channels/iot.a HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b"
        % (len(body), body)
    )
    with raw(hub.port) as sock:
        sock.sendall(post_ + b"GET /livez HT")
        sock.sendall(b"TP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        got = answers(sock)
    assert (got.count(b"HTTP/1.1 422 "), got.count(b"HTTP/1.1 200 ")) == (1, 1)


def test_a_flood_of_pipelined_requests_is_cut_off(hub: EventHubServer) -> None:
    with raw(hub.port) as sock, suppress(ConnectionError):
        sock.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5000)
        assert answers(sock).count(b"HTTP/1.1 200 ") < 5000
    assert http.get(f"{hub.url}/livez").status_code == 200


def test_a_handshake_with_a_strange_address_is_refused(start: Start) -> None:
    hub = start()
    for line in (
        "CONNECT h:80",
        "GET http://h",
        "GET http://h:99999999/v1/ws",
        "GET http://[::1/v1/ws",
        "GET http://@/v1/ws",
    ):
        with raw(hub.port) as sock:
            sock.sendall(
                f"{line} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                "Sec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            assert exactly(sock, 13) in (b"HTTP/1.1 400 ", b"HTTP/1.1 404 ", b"HTTP/1.1 405 "), line
    hub.stop()
    assert "Traceback" not in hub.log.read_text()


def test_an_upgrade_after_an_unanswered_request_waits_for_its_answer(
    hub: EventHubServer,
) -> None:
    with raw(hub.port) as sock:
        sock.sendall(
            b"GET /v1/channels/chat.mixed/ndjson?since=earliest HTTP/1.1\r\nHost: localhost\r\n\r\n"
            b"GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        got = exactly(sock, 12)
        while (
            b'"type":"event"' not in got
        ):  # which is published once it has begun, and replayed or live
            if got.endswith(b"HTTP/1.1 200"):
                assert post(hub, "chat.mixed", '{"sender":"ana","text":"oi"}') == 201
            part = sock.recv(65536)
            assert part, "it goes on"
            got += part
        assert b"101 Switching" not in got


def test_too_many_channels_on_one_event_stream_are_refused(hub: EventHubServer) -> None:
    response = http.get(
        f"{hub.url}/v1/sse?" + "&".join(f"channel=chat.{number}" for number in range(33))
    )
    assert (response.status_code, response.json()["code"]) == (400, "too_many_subscriptions")
