"""TLS by EventHub itself, and what is known of a client behind a proxy."""

import json
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.clients import SECONDS, WsClient, http, metric, raw, sse
from tests.harness import EventHubServer

Start = Callable[..., EventHubServer]
CONFIG = """
tls: {certificate: cert.pem, key: key.pem}
limits: {buffer_bytes: 65536}
channels:
  chat: {payload: chat, publish: [client, producer], presence: true}
  strict: {slow: disconnect}
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """A certificate for 127.0.0.1, and its key."""
    directory = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=eventhub", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, check=True, capture_output=True, cwd=directory)
    return {name: (directory / name).read_text() for name in ("cert.pem", "key.pem")}


@pytest.fixture
def trust(files: Mapping[str, str]) -> ssl.SSLContext:
    """A client that trusts that certificate alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=files["cert.pem"])
    return context


@pytest.fixture(scope="module")
def secure(files: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    directory = tmp_path_factory.mktemp("secure")
    for name, text in files.items():
        (directory / name).write_text(text)
    with EventHubServer(directory, CONFIG) as server:
        yield server


def test_every_transport_works_over_tls(secure: EventHubServer, trust: ssl.SSLContext) -> None:
    with WsClient(secure.ws_url, ssl=trust) as client, sse(f"{secure.url}/v1/channels/chat.a/sse") as blocks:
        client.subscribe("chat.a")
        next(block for block in blocks if block.name == "subscribed")
        client.send(type="publish", ref=1, channel="chat.a", data={"sender": "a", "text": "over the socket"})
        assert http.post(f"{secure.url}/v1/channels/chat.a", content='{"sender":"a","text":"over HTTP"}').status_code == 201
        assert [event["data"]["text"] for event in client.events(2)] == ["over the socket", "over HTTP"]
        messages = [next(block for block in blocks if block.name == "message").message for _ in range(2)]
        assert [message["data"]["text"] for message in messages if message] == ["over the socket", "over HTTP"]


def test_replies_and_events_of_all_sizes_arrive_whole_over_tls(secure: EventHubServer, trust: ssl.SSLContext) -> None:
    sizes = [1, 16_000, 3, 9_000, 500, 17_000, 2]
    with WsClient(secure.ws_url, ssl=trust) as client:
        client.subscribe("strict.order")
        for number in range(100):
            data = {"number": number, "text": "x" * sizes[number % len(sizes)]}
            assert http.post(f"{secure.url}/v1/channels/strict.order", content=json.dumps(data)).status_code == 201
            client.send(type="ping", ref=number)
            got = {message["type"]: message for message in (client.receive(), client.receive())}
            assert got["event"]["data"] == data
            assert got["pong"]["ref"] == number


def test_a_stalled_reader_over_tls_is_bounded_and_given_up(secure: EventHubServer, trust: ssl.SSLContext) -> None:
    sock = trust.wrap_socket(raw(secure.port, receive_buffer=4096), server_hostname="127.0.0.1")
    with sock:
        sock.sendall(
            b"GET /v1/ws?channel=strict.slow HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert b" 101 " in sock.recv(4096)
        deadline = time.monotonic() + SECONDS
        largest = 0.0
        while metric(secure.url, 'eventhub_slow_disconnects_total{type="strict"}') == 0:
            http.post(f"{secure.url}/v1/channels/strict.slow", content=json.dumps("x" * 30_000))
            largest = max(largest, metric(secure.url, "eventhub_buffered_bytes"))
            assert time.monotonic() < deadline, "the reader was not given up"
        assert largest < 4 * 65_536
        assert "Traceback" not in secure.log.read_text()


def test_plain_http_on_a_tls_port_is_not_answered_and_harms_nobody(secure: EventHubServer) -> None:
    with raw(secure.port) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(100)[:1] != b"H"
    assert http.get(f"{secure.url}/livez").status_code == 200


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("tls: {certificate: missing.pem}", "missing.pem"),
        ("tls: {certificate: empty.pem}", "empty.pem"),
        ("tls: {key: key.pem}", "there is a key and no certificate"),
        ("tls: {certificate: cert.pem}", "the key in it"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path, files: Mapping[str, str], config: str, message: str) -> None:
    for name, text in {**files, "empty.pem": "", "eventhub.yaml": config}.items():
        (tmp_path / name).write_text(text)
    for command in (["serve", "--port", "0"], ["check"]):
        done = subprocess.run(
            [sys.executable, "-m", "eventhub", *command], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 2, done
        assert message in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("trusted", [True, False])
def test_requests_are_logged_with_the_client_behind_a_trusted_proxy(start: Start, trusted: bool) -> None:  # noqa: FBT001  # a case
    hub = start("log: {access: true}\n" + ("proxies: 127.0.0.0/8" if trusted else ""))
    headers = {"X-Forwarded-For": "192.0.2.66, 198.51.100.7"}
    with WsClient(f"{hub.ws_url}?channel=chat.a&member=secret", additional_headers=headers) as client:
        client.until("subscribed")
    assert http.get(f"{hub.url}/v1/types/chat?x=secret", headers=headers).status_code == 200
    assert http.get(f"{hub.url}/nowhere", headers=headers).status_code == 404
    assert hub.stop() == 0
    text = hub.log.read_text()
    lines = [line for line in map(json.loads, text.splitlines()) if line["event"] == "request" and line["path"] != "/readyz"]
    client_address = "198.51.100.7" if trusted else "127.0.0.1"
    assert [(line["method"], line["path"], line["status"], line["client"]) for line in lines] == [
        ("GET", "/v1/ws", 101, client_address),
        ("GET", "/v1/types/chat", 200, client_address),
        ("GET", "/nowhere", 404, client_address),
    ]
    assert "secret" not in text
