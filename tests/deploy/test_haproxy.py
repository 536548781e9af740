"""deploy/haproxy.cfg in front of two real nodes."""

import json
import operator
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from eventhub.config.settings import Settings
from tests.deploy.failing import STOPPING, Failing, assert_all_come_back
from tests.deploy.transports import MESSAGE, assert_all_receive_at_once
from tests.harness.clients import NdjsonProducer, WsClient, http, raw, sse
from tests.harness.eventhub import EventHubServer
from tests.harness.haproxy import CONFIG, HAProxy
from tests.harness.redis_servers import RedisServer

NODE = "broker: {}\nproxies: [127.0.0.1]\nlog: {{access: true}}\nheartbeat: 1"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[EventHubServer]]:
    with ExitStack() as running:
        redis = running.enter_context(RedisServer(tmp_path_factory.mktemp("redis")))
        yield [
            running.enter_context(
                EventHubServer(tmp_path_factory.mktemp("node"), NODE.format(redis.url))
            )
            for _ in range(2)
        ]


@pytest.fixture(scope="module")
def front(
    nodes: list[EventHubServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HAProxy]:
    with HAProxy(tmp_path_factory.mktemp("haproxy"), nodes) as front:
        yield front


def test_an_event_reaches_all_subscribers_at_once_over_every_transport(front: HAProxy) -> None:
    assert_all_receive_at_once(front.url, front.ws_url)


def test_a_streamed_line_is_stored_and_answered_before_the_request_ends(front: HAProxy) -> None:
    with NdjsonProducer(front.port, "chat.stream") as producer, WsClient(front.ws_url) as client:
        client.subscribe("chat.stream")
        for number in (1, 2, 3):
            producer.send(json.dumps(MESSAGE).encode() + b"\n")
            assert producer.progress()["accepted"] == number
            client.until("event")
        producer.end()
        assert producer.progress()["done"] is True


def test_a_heartbeat_of_a_silent_stream_arrives(front: HAProxy) -> None:
    with sse(f"{front.url}/v1/channels/chat.silent/sse") as blocks:
        next(block for block in blocks if block.comment)


def test_nodes_see_the_client_s_address_whatever_it_forwards_itself(
    front: HAProxy, nodes: list[EventHubServer]
) -> None:
    with raw(front.port, source="127.0.0.5") as sock:
        head = (
            f"Host: 127.0.0.1:{front.port}\r\nX-Forwarded-For: 192.0.2.7\r\nConnection: close\r\n"
        )
        sock.sendall(f"GET /v1/types/chat HTTP/1.1\r\n{head}\r\n".encode())
        assert sock.makefile("rb").read().startswith(b"HTTP/1.1 200 ")
    seen = [line for node in nodes for line in node.lines()]
    assert [line["client"] for line in seen if line.get("path") == "/v1/types/chat"] == [
        "127.0.0.5"
    ]


def test_clients_that_connect_while_no_node_is_ready_reconnect(tmp_path: Path) -> None:
    with ExitStack() as running:
        redis = running.enter_context(RedisServer(tmp_path / "redis"))
        node = running.enter_context(EventHubServer(tmp_path, NODE.format(redis.url)))
        front = running.enter_context(HAProxy(tmp_path, [node]))
        redis.kill()
        front.eventually("node1 to be down", lambda: front.is_up("node1"), operator.not_)
        assert_all_come_back(front.url, 503)


def test_clients_that_connect_just_after_the_only_node_died_reconnect(tmp_path: Path) -> None:
    with EventHubServer(tmp_path) as node, HAProxy(tmp_path / "haproxy", [node]) as front:
        node.kill()  # no check has found it yet
        assert_all_come_back(front.url, 503)


def test_clients_that_got_no_answer_reconnect(tmp_path: Path) -> None:
    with HAProxy(tmp_path / "haproxy", [Failing()]) as front:
        assert_all_come_back(front.url, 502)


def test_the_proxy_passes_a_node_s_own_503_on_unchanged(tmp_path: Path) -> None:
    with HAProxy(tmp_path / "haproxy", [Failing(STOPPING)]) as front:
        for path in ("/v1/sse?channel=chat.a", "/v1/types"):
            answer = http.get(front.url + path)
            assert (answer.status_code, answer.content) == (503, b"")
            assert "access-control-allow-origin" not in answer.headers


def test_metrics_are_not_for_clients(front: HAProxy) -> None:
    assert http.get(f"{front.url}/metrics").status_code == 404
    assert http.get(f"{front.url}/livez").status_code == 200


def test_streams_are_given_up_after_some_heartbeats_and_not_before() -> None:
    times = re.findall(r"(?:timeout tunnel|set-timeout server) (\d+)s", CONFIG.read_text())
    heartbeat = Settings.model_fields["heartbeat"].default
    assert len(times) == 2
    assert all(3 * heartbeat <= int(time) <= 5 * heartbeat for time in times)
