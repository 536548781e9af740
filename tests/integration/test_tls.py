"""TLS by EventHub itself, and the addresses of clients behind a proxy."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner
from websockets.exceptions import ConnectionClosed, InvalidMessage

from eventhub.cli import app
from eventhub_client.steps import Received
from eventhub_client.sync_transport import SyncSocket
from eventhub_client.transport import run
from tests.harness.certificates import Authority, Pair
from tests.harness.clients import SECONDS, WsClient, http, metric, raw, sse
from tests.harness.eventhub import EventHubServer

Start = Callable[..., EventHubServer]
TLS = "tls: {certificate: cert.pem, key: key.pem}"
SAID = '{"sender":"a","text":"oi"}'
END = "eventhub_certificate_not_after_timestamp_seconds"
CONFIG = f"""
{TLS}
limits: {{buffer_bytes: 65536}}
channels:
  chat: {{payload: chat, publish: [client, producer], presence: true}}
  strict: {{slow: disconnect}}
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def files(authority: Authority) -> Mapping[str, str]:
    """A certificate for 127.0.0.1, and its key."""
    return authority.issue("eventhub").files()


@pytest.fixture
def trust(authority: Authority) -> ssl.SSLContext:
    return authority.trust()


@pytest.fixture(scope="module")
def secure(
    files: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EventHubServer]:
    directory = tmp_path_factory.mktemp("secure")
    for name, text in files.items():
        (directory / name).write_text(text)
    with EventHubServer(directory, CONFIG) as server:
        yield server


@contextmanager
def serving(
    directory: Path, config: str, files: Mapping[str, str], client: httpx.Client = http
) -> Iterator[EventHubServer]:
    """A server in `directory`, with workers on the memory broker."""
    write(directory, files)
    with EventHubServer(directory, config, lane="workers", client=client) as server:
        yield server


def write(directory: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (directory / name).write_text(text)


def curl(
    hub: EventHubServer, authority: Authority, own: Pair | None
) -> subprocess.CompletedProcess[str]:
    """Ask with curl whether the server lives."""
    shows: list[str | Path] = ["--cert", own.certificate, "--key", own.key] if own else []
    command: list[str | Path] = [
        "curl",
        "-sS",
        "--cacert",
        authority.file,
        *shows,
        f"{hub.url}/livez",
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


def shown(hub: EventHubServer, authority: Authority) -> str:
    """The name in the certificate that a new connection gets."""
    with authority.trust().wrap_socket(raw(hub.port), server_hostname="127.0.0.1") as sock:
        subject: Any = (sock.getpeercert() or {})["subject"]
        return str(subject[0][0][1])


def logged(hub: EventHubServer, event: str) -> list[dict[str, Any]]:
    """The log lines whose event begins so."""
    return [line for line in hub.lines() if line["event"].startswith(event)]


def test_every_transport_works_over_tls(secure: EventHubServer, trust: ssl.SSLContext) -> None:
    with (
        WsClient(secure.ws_url, ssl=trust) as client,
        sse(f"{secure.url}/v1/channels/chat.a/sse") as blocks,
    ):
        client.subscribe("chat.a")
        next(block for block in blocks if block.name == "subscribed")
        client.send(
            type="publish", ref=1, channel="chat.a", data={"sender": "a", "text": "over the socket"}
        )
        assert (
            http.post(
                f"{secure.url}/v1/channels/chat.a", content='{"sender":"a","text":"over HTTP"}'
            ).status_code
            == 201
        )
        assert [event["data"]["text"] for event in client.events(2)] == [
            "over the socket",
            "over HTTP",
        ]
        messages = [
            next(block for block in blocks if block.name == "message").message for _ in range(2)
        ]
        assert [message["data"]["text"] for message in messages if message] == [
            "over the socket",
            "over HTTP",
        ]


def test_a_request_that_is_sent_while_a_session_ticket_is_read_is_answered(
    secure: EventHubServer, trust: Any
) -> None:
    """Python's SSL sockets lose it (before 3.13), and the server waits until it answers 408."""
    trust._msg_callback = lambda *message: time.sleep(0.1 * ("TICKET" in str(message)))
    hub_socket = SyncSocket(secure.ws_url, {}, trust)
    reply = run(hub_socket.receive(SECONDS))
    run(hub_socket.close())
    assert isinstance(reply, Received)
    assert reply.message["type"] == "hello"


def test_replies_and_events_of_all_sizes_are_complete_over_tls(
    secure: EventHubServer, trust: ssl.SSLContext
) -> None:
    sizes = [1, 16_000, 3, 9_000, 500, 17_000, 2]
    with WsClient(secure.ws_url, ssl=trust) as client:
        client.subscribe("strict.order")
        for number in range(100):
            data = {"number": number, "text": "x" * sizes[number % len(sizes)]}
            assert (
                http.post(
                    f"{secure.url}/v1/channels/strict.order", content=json.dumps(data)
                ).status_code
                == 201
            )
            client.send(type="ping", ref=number)
            got = {message["type"]: message for message in (client.receive(), client.receive())}
            assert got["event"]["data"] == data
            assert got["pong"]["ref"] == number


def test_a_stalled_reader_over_tls_is_bounded_and_given_up(
    secure: EventHubServer, trust: ssl.SSLContext
) -> None:
    sock = trust.wrap_socket(raw(secure.port, receive_buffer=4096), server_hostname="127.0.0.1")
    with sock:
        sock.sendall(
            b"GET /v1/ws?channel=strict.slow HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert b" 101 " in sock.recv(4096)
        buffered = list[float]()

        def publish() -> float:
            http.post(f"{secure.url}/v1/channels/strict.slow", content=json.dumps("x" * 30_000))
            buffered.append(metric(secure.url, "eventhub_buffered_bytes"))
            return metric(secure.url, 'eventhub_slow_disconnects_total{type="strict"}')

        secure.eventually("the reader to be given up", publish)
        assert max(buffered) < 4 * 65_536
        assert "Traceback" not in secure.log.read_text()


def test_plain_http_on_a_tls_port_gets_no_answer_and_disturbs_nobody(
    secure: EventHubServer,
) -> None:
    with raw(secure.port) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert sock.recv(100)[:1] != b"H"
    assert http.get(f"{secure.url}/livez").status_code == 200


@pytest.mark.parametrize("workers", [1, 2])
def test_clients_need_a_certificate_of_the_authorities(
    tmp_path: Path, authority: Authority, files: Mapping[str, str], workers: int
) -> None:
    partners, strangers = (Authority(tmp_path, name) for name in ("partners", "strangers"))
    member, stranger = partners.issue("member"), strangers.issue("stranger")
    settings = (
        f"tls: {{certificate: cert.pem, key: key.pem, clients: clients.pem}}\nworkers: {workers}"
    )
    with (
        httpx.Client(verify=authority.trust(member), timeout=SECONDS) as client,
        serving(
            tmp_path, settings, {**files, "clients.pem": partners.file.read_text()}, client
        ) as hub,
        WsClient(f"{hub.ws_url}?channel=chat.a", ssl=authority.trust(member)) as reader,
    ):
        reader.until("subscribed")
        assert client.post(f"{hub.url}/v1/channels/chat.a", content=SAID).status_code == 201
        for _ in range(8):  # whichever worker is met
            assert curl(hub, authority, member).stdout == '{"status":"ok"}'
            for refused in (stranger, None):
                assert (done := curl(hub, authority, refused)).returncode != 0
                assert done.stdout == ""
                with pytest.raises((OSError, EOFError, InvalidMessage, ConnectionClosed)):
                    WsClient(hub.ws_url, ssl=authority.trust(refused)).receive()
        assert "Traceback" not in hub.log.read_text()


def test_a_new_certificate_is_used_without_a_restart_and_no_connection_ends(
    tmp_path: Path, authority: Authority
) -> None:
    """Mounted as in Kubernetes: the files are links through `..data`, which is replaced."""
    for name, days in (("old", 2), ("new", 5)):
        (tmp_path / name).mkdir()
        write(tmp_path / name, authority.issue(name, days=days).files())
    (tmp_path / "..data").symlink_to("old")
    links = "tls: {certificate: ..data/cert.pem, key: ..data/key.pem}"
    with (
        EventHubServer(tmp_path, links) as hub,
        WsClient(f"{hub.ws_url}?channel=chat.a", ssl=authority.trust()) as reader,
    ):
        reader.until("subscribed")
        old_end = metric(hub.url, END)
        said = 0
        (tmp_path / "..next").symlink_to("new")
        (tmp_path / "..next").rename(tmp_path / "..data")
        while shown(hub, authority) == "old":
            assert http.post(f"{hub.url}/v1/channels/chat.a", content=SAID).status_code == 201
            said += 1
        assert http.post(f"{hub.url}/v1/channels/chat.a", content=SAID).status_code == 201
        assert len({event["id"] for event in reader.events(said + 1)}) == said + 1
        assert metric(hub.url, END) - old_end == pytest.approx(3 * 86_400, abs=60)
        # The new one serves before the line about it is written.
        hub.eventually("a line about it", lambda: logged(hub, "certificate_"))
        assert [line["event"] for line in logged(hub, "certificate_")] == ["certificate_loaded"]


def by_both(hub: EventHubServer, event: str) -> None:
    """Wait until both workers have logged it."""
    hub.eventually(
        f"{event} of both workers",
        lambda: {line["worker"] for line in logged(hub, event)},
        lambda seen: seen == {0, 1},
    )


def test_certificate_files_that_cannot_be_used_are_logged_and_the_old_certificate_stays(
    tmp_path: Path, authority: Authority
) -> None:
    """With workers: one is replaced meanwhile and has the same certificate as the others."""
    old, new = authority.issue("old"), authority.issue("new")
    with serving(tmp_path, f"workers: 2\n{TLS}", old.files()) as hub:
        write(tmp_path, {"cert.pem": new.files()["cert.pem"]})  # its key is on the way
        by_both(hub, "certificate_unusable")
        assert {line["level"] for line in logged(hub, "certificate_unusable")} == {"error"}
        os.kill(
            next(line["pid"] for line in logged(hub, "worker_started") if line["worker"] == 0),
            signal.SIGKILL,
        )
        hub.eventually(
            "the new worker to find it as well",
            lambda: [line["worker"] for line in logged(hub, "certificate_unusable")],
            lambda seen: seen.count(0) == 2,
        )
        assert {shown(hub, authority) for _ in range(16)} == {"old"}
        write(tmp_path, new.files())
        by_both(hub, "certificate_loaded")
        assert {shown(hub, authority) for _ in range(16)} == {"new"}
        assert "key values mismatch" in logged(hub, "certificate_unusable")[0]["reason"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("tls: {certificate: missing.pem}", "missing.pem"),
        ("tls: {certificate: empty.pem}", "empty.pem"),
        ("tls: {key: key.pem}", "there is a key and no certificate"),
        ("tls: {certificate: cert.pem}", "the key in it"),
        ("tls: {clients: cert.pem}", "there are authorities of clients and no certificate"),
        (
            "tls: {certificate: cert.pem, key: key.pem, clients: missing.pem}",
            "missing.pem cannot be used: No such file",
        ),
        (
            "tls: {certificate: cert.pem, key: key.pem, clients: empty.pem}",
            "empty.pem cannot be used",
        ),
    ],
)
def test_a_certificate_that_cannot_be_used_is_named(
    tmp_path: Path,
    files: Mapping[str, str],
    config: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, text in {**files, "empty.pem": "", "eventhub.yaml": config}.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["check"])
    assert done.exit_code == 2, done
    assert message in done.stderr


def test_a_server_does_not_start_with_a_certificate_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "eventhub.yaml").write_text("tls: {certificate: missing.pem}")
    command = [sys.executable, "-m", "eventhub", "serve", "--port", "0"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2, done
    assert "missing.pem" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("trusted", [True, False])
def test_the_access_log_has_the_client_behind_a_trusted_proxy(
    start: Start,
    trusted: bool,  # noqa: FBT001  # a case
) -> None:
    hub = start("log: {access: true}\n" + ("proxies: 127.0.0.0/8" if trusted else ""))
    headers = {"X-Forwarded-For": "192.0.2.66, 198.51.100.7"}
    with WsClient(
        f"{hub.ws_url}?channel=chat.a&member=secret", additional_headers=headers
    ) as client:
        client.until("subscribed")
    assert http.get(f"{hub.url}/v1/types/chat?x=secret", headers=headers).status_code == 400
    assert http.get(f"{hub.url}/nowhere", headers=headers).status_code == 404
    assert hub.stop() == 0
    text = hub.log.read_text()
    lines = [line for line in hub.lines("request") if line["path"] != "/readyz"]
    client_address = "198.51.100.7" if trusted else "127.0.0.1"
    assert [(line["method"], line["path"], line["status"], line["client"]) for line in lines] == [
        ("GET", "/v1/ws", 101, client_address),
        ("GET", "/v1/types/chat", 400, client_address),
        ("GET", "/nowhere", 404, client_address),
    ]
    assert "secret" not in text
