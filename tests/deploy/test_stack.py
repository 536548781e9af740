"""Runs what compose.yaml runs, on this machine: two nodes on a Valkey, nginx in front, Prometheus
beside them, each with its file of deploy/.

Only addresses and directories are changed.
"""

import asyncio
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from eventhub.config.settings import Settings
from tests.deploy.failing import STOPPING, Failing, assert_all_come_back
from tests.deploy.nginx import CONF, Nginx
from tests.deploy.prometheus import Prometheus
from tests.deploy.transports import MESSAGE, assert_all_receive_at_once
from tests.harness import yaml_text
from tests.harness.clients import WsClient, http, raw, sse
from tests.harness.eventhub import EventHubServer
from tests.harness.nodes import trial
from tests.harness.ports import free_port
from tests.harness.programs import program
from tests.harness.redis_servers import RedisServer

DEPLOY = CONF.parent
COMPOSE = yaml_text.read((DEPLOY.parent / "compose.yaml").read_text())
LINE = json.dumps(MESSAGE).encode() + b"\n"


@dataclass
class Stack:
    """Two nodes and the proxy before them."""

    nodes: list[EventHubServer]
    front: Nginx


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The services of compose.yaml, with other addresses."""
    with ExitStack() as running:
        options = COMPOSE["services"]["valkey"]["command"][1:]
        valkey = running.enter_context(
            RedisServer(tmp_path_factory.mktemp("valkey"), *options, name="valkey-server")
        )
        config = yaml_text.read((DEPLOY / "eventhub.yaml").read_text()) | {
            "broker": valkey.url,
            "proxies": ["127.0.0.1"],
        }
        nodes = [
            running.enter_context(
                EventHubServer(tmp_path_factory.mktemp("node"), yaml.safe_dump(config))
            )
            for _ in range(2)
        ]
        yield Stack(
            nodes,
            running.enter_context(
                Nginx(tmp_path_factory.mktemp("nginx"), [node.port for node in nodes])
            ),
        )


def test_an_event_reaches_all_subscribers_at_once_over_every_transport(stack: Stack) -> None:
    assert_all_receive_at_once(stack.front.url, stack.front.ws_url)


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_streamed_line_arrives_before_the_request_ends(stack: Stack, method: str) -> None:
    received = threading.Event()

    def body() -> Iterator[bytes]:
        yield LINE
        assert received.wait(10), "the first line did not arrive while the request went on"
        yield LINE

    url = f"{stack.front.url}/v1/channels/chat.{method}"
    with WsClient(stack.front.ws_url) as client:
        client.subscribe(f"chat.{method}")
        publisher = threading.Thread(
            target=lambda: http.request(
                method, url, content=body(), headers={"Content-Type": "application/x-ndjson"}
            )
        )
        publisher.start()
        client.until("event")
        received.set()
        client.until("event")
        publisher.join(10)


def test_nodes_see_the_client_s_address_whatever_it_forwards_itself(stack: Stack) -> None:
    with raw(stack.front.port, source="127.0.0.5") as sock:
        head = (
            f"Host: 127.0.0.1:{stack.front.port}\r\nX-Forwarded-For: 192.0.2.7\r\n"
            "Connection: close\r\n"
        )
        sock.sendall(f"GET /v1/types/chat HTTP/1.1\r\n{head}\r\n".encode())
        assert sock.makefile("rb").read().startswith(b"HTTP/1.1 200 ")
    seen = [line for node in stack.nodes for line in node.lines()]
    assert [line["client"] for line in seen if line.get("path") == "/v1/types/chat"] == [
        "127.0.0.5"
    ]


def test_a_request_for_a_host_that_is_not_listed_is_refused(stack: Stack) -> None:
    assert (
        http.get(f"{stack.front.url}/v1/types", headers={"Host": "rebound.example"}).status_code
        == 421
    )
    assert (
        http.get(
            f"{stack.front.url}/v1/types", headers={"Host": f"localhost:{stack.front.port}"}
        ).status_code
        == 200
    )


def test_pages_of_the_server_may_publish_and_foreign_pages_may_not(stack: Stack) -> None:
    url = f"{stack.front.url}/v1/channels/chat.page"
    assert http.post(url, json=MESSAGE, headers={"Origin": stack.front.url}).status_code == 201
    assert (
        http.post(url, json=MESSAGE, headers={"Origin": "http://evil.example"}).status_code == 403
    )


def test_metrics_are_not_for_clients(stack: Stack) -> None:
    assert http.get(f"{stack.front.url}/metrics").status_code == 404


def test_no_credential_is_logged(stack: Stack) -> None:
    assert http.get(f"{stack.front.url}/v1/types?access_token=s3cret").status_code in (200, 400)
    http.get(f"{stack.front.url}/livez")
    stack.front.eventually(  # nginx logs after its answer
        "GET /livez to be logged", stack.front.log.read_text, lambda seen: "GET /livez" in seen
    )
    assert "s3cret" not in stack.front.log.read_text()


def test_promtool_takes_the_configuration_of_prometheus() -> None:
    command = [program("promtool"), "check", "config", str(DEPLOY / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_finds_both_nodes(stack: Stack, tmp_path: Path) -> None:
    text = (DEPLOY / "prometheus.yml").read_text()
    for number, node in enumerate(stack.nodes, 1):
        text = text.replace(f"eventhub-{number}:8000", f"127.0.0.1:{node.port}")
    rules = DEPLOY.parent / "helm/eventhub/files/alerts.yaml"
    with Prometheus(
        tmp_path, yaml_text.read(text)["scrape_configs"], rules.read_text()
    ) as prometheus:
        found = prometheus.until(
            'up{job="eventhub"} == 1 and on(instance) eventhub_ready == 1', count=2
        )
    assert {labels["instance"] for labels, _ in found} == {
        f"127.0.0.1:{node.port}" for node in stack.nodes
    }


def test_nodes_that_are_killed_lose_nothing_and_clients_resume_at_the_other(stack: Stack) -> None:
    async def scenario() -> None:
        async with trial([stack.front]) as running:
            for node in stack.nodes:
                await running.more(40)
                await asyncio.to_thread(node.kill)
                running.faults += 1
                await running.more(40)
                await asyncio.to_thread(node.start)
        assert running.books().clean, running.books()
        assert running.books().gaps == 0
        assert all(reader.connections > 1 for reader in running.readers)

    asyncio.run(scenario())


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(("answer", "status"), [(b"", 502), (STOPPING, 503)])
def test_a_publish_that_may_have_been_stored_is_not_sent_to_another_node(
    tmp_path: Path, method: str, answer: bytes, status: int
) -> None:
    nodes = Failing(answer), Failing(answer)
    with Nginx(tmp_path, [node.port for node in nodes]) as front:
        assert (
            http.request(method, f"{front.url}/v1/channels/chat.a", json=MESSAGE).status_code
            == status
        )
        assert sum(node.taken for node in nodes) == 1


def test_clients_of_a_node_that_is_about_to_stop_are_served_by_the_other(
    stack: Stack, tmp_path: Path
) -> None:
    stopping = Failing(STOPPING)
    with Nginx(tmp_path, [stopping.port, stack.nodes[0].port]) as front:
        for _ in range(4):
            with (
                WsClient(front.ws_url) as client,
                sse(f"{front.url}/v1/channels/chat.a/sse") as blocks,
            ):
                client.until("hello")
                next(block for block in blocks if block.name == "subscribed")
    assert stopping.taken


def test_a_node_that_is_down_is_skipped_by_the_proxy(stack: Stack, tmp_path: Path) -> None:
    with Nginx(tmp_path, [free_port(), stack.nodes[0].port]) as front:
        answers = {
            http.post(f"{front.url}/v1/channels/chat.over", json=MESSAGE).status_code
            for _ in range(10)
        }
        assert answers == {201}


def test_clients_that_connect_while_no_node_runs_reconnect(tmp_path: Path) -> None:
    with Nginx(tmp_path, [free_port(), free_port()]) as front:
        assert_all_come_back(front.url, 502)


def test_clients_that_got_no_answer_reconnect(tmp_path: Path) -> None:
    with Nginx(tmp_path, [Failing().port, Failing().port]) as front:
        assert_all_come_back(front.url, 502)


def test_the_proxy_passes_a_node_s_own_503_on_unchanged(tmp_path: Path) -> None:
    with Nginx(tmp_path, [Failing(STOPPING).port, Failing(STOPPING).port]) as front:
        for path in ("/v1/sse?channel=chat.a", "/v1/types"):
            answer = http.get(front.url + path)
            assert (answer.status_code, answer.content) == (503, b"")


def test_streams_are_given_up_after_some_heartbeats_and_not_before() -> None:
    times = re.findall(r"proxy_read_timeout (\d+)([sh]);", CONF.read_text())
    *streams, publish, put = (int(count) * {"s": 1, "h": 3600}[unit] for count, unit in times)
    heartbeat = Settings.model_fields["heartbeat"].default
    assert all(3 * heartbeat <= stream <= 5 * heartbeat for stream in streams)
    assert publish == put == 3600, "a producer that streams may be silent, and so is its answer"
    assert "client_body_timeout 1h;" in CONF.read_text()
