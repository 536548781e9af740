"""A scrape of a running server reports what really happened."""

import operator
import os
import re
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.harness.clients import NdjsonProducer, WsClient, http, metric, ndjson, sse
from tests.harness.eventhub import EventHubServer
from tests.harness.redis_servers import RedisServer

Start = Callable[..., EventHubServer]
CONDITIONAL = {"eventhub_memory_limit_bytes", "eventhub_events_not_upcast"}
"""Documented, and there only where there is one."""


def post(hub: EventHubServer, channel: str, body: str) -> int:
    return http.post(f"{hub.url}/v1/channels/{channel}", content=body).status_code


def test_metrics_count_what_happens(start: Start) -> None:
    hub = start()
    with (
        WsClient(f"{hub.ws_url}?channel=iot.a&channel=iot.b") as client,
        sse(f"{hub.url}/v1/channels/chat.a/sse") as blocks,
    ):
        client.until("subscribed")
        client.until("subscribed")
        next(block for block in blocks if block.name == "subscribed")
        assert post(hub, "iot.a", '[{"value":1},{"value":2},{"value":"x"}]') == 207
        assert post(hub, "chat.a", '{"sender":"a","text":"b"}') == 201
        assert post(hub, "stranger-<script>.a", "{}") == 400
        assert post(hub, "stranger.a", "{}") == 404
        last = client.events(2)[-1]["id"]
        next(block for block in blocks if block.name == "message")
        expected = {
            'eventhub_connections{transport="websocket"}': 1,
            'eventhub_connections{transport="sse"}': 1,
            'eventhub_subscriptions{type="iot"}': 2,
            'eventhub_channels{type="iot"}': 2,
            'eventhub_events_published_total{type="iot"}': 2,
            'eventhub_events_rejected_total{code="invalid_event",type="iot"}': 1,
            'eventhub_events_rejected_total{code="unknown_channel",type="unknown"}': 1,
            'eventhub_events_rejected_total{code="invalid_channel",type="unknown"}': 1,
            'eventhub_events_delivered_total{type="iot"}': 2,
            'eventhub_events_delivered_total{type="chat"}': 1,
            'eventhub_publish_to_socket_seconds_count{type="iot"}': 2,
            'eventhub_fanout_seconds_count{type="chat"}': 1,
        }
        assert {name: metric(hub.url, name) for name in expected} == expected
        with WsClient(hub.ws_url) as other:
            other.subscribe("iot.a", since=last)
            other.subscribe("iot.b", since="0ther-1")
        assert metric(hub.url, 'eventhub_resumed_total{type="iot"}') == 1
        assert metric(hub.url, 'eventhub_gaps_total{reason="reset",type="iot"}') == 1


def test_gauges_fall_when_connections_go(start: Start) -> None:
    hub = start()
    for _ in range(3):
        with WsClient(f"{hub.ws_url}?channel=chat.a") as client:
            client.until("subscribed")
        with sse(f"{hub.url}/v1/channels/chat.a/sse") as blocks:
            next(block for block in blocks if block.name == "subscribed")
    with WsClient(
        f"{hub.ws_url}?channel=chat.b"
    ) as client:  # the server is done with the others when this one counts alone
        client.until("subscribed")
        hub.shows("eventhub_connections", 1)
        assert (
            metric(hub.url, "eventhub_subscriptions") == metric(hub.url, "eventhub_channels") == 1
        )


def test_a_scrape_does_not_grow_with_channels(start: Start) -> None:
    hub = start("limits: {subscriptions: 1000, commands: 1_000_000}")

    def shape() -> str:
        """The scrape without the values of its series."""
        return re.sub(
            r" [-+.\deInf]+$", "", http.get(f"{hub.url}/metrics").text, flags=re.MULTILINE
        )

    with WsClient(hub.ws_url) as client:
        client.subscribe("chat.a")
        assert post(hub, "chat.a", '{"sender":"a","text":"b"}') == 201
        before = shape()
        for number in range(999):
            client.send(type="subscribe", channel=f"chat.{number}")
        for _ in range(999):
            client.until("subscribed")
        for number in range(100):
            assert post(hub, f"chat.{number}", '{"sender":"a","text":"b"}') == 201
        assert metric(hub.url, "eventhub_channels") == 1000
        assert shape() == before


def test_metrics_are_in_prometheus_format_and_documented(hub: EventHubServer) -> None:
    families = list(text_string_to_metric_families(http.get(f"{hub.url}/metrics").text))
    names = {family.name for family in families}
    assert len(families) == len(names) > 10
    documented = Path("docs/metrics.md").read_text()
    for family in families:
        assert family.documentation
        assert f"`{family.name}`" in documented, f"{family.name} is not in docs/metrics.md"
    listed = set(re.findall(r"^\| `((?:eventhub|process)_\w+)`", documented, re.MULTILINE))
    assert listed - names <= CONDITIONAL, "docs/metrics.md names what does not exist"


def test_connections_are_counted_when_they_open_and_while_they_are_open(start: Start) -> None:
    hub = start("limits: {connections: 200}")
    opened, transports = (
        "eventhub_connections_opened_total",
        ("websocket", "sse", "ndjson", "producer"),
    )
    assert metric(hub.url, "eventhub_connections_limit") == 200
    for _ in range(2):
        with (
            WsClient(hub.ws_url) as client,
            sse(f"{hub.url}/v1/channels/chat.a/sse") as blocks,
            ndjson(f"{hub.url}/v1/channels/chat.a/ndjson") as lines,
            NdjsonProducer(hub.port, "logs.a") as producer,
        ):
            client.until("hello")
            next(block for block in blocks if block.name == "subscribed")
            next(lines)
            producer.send(b'{"level":"info","message":"a"}\n')
            producer.progress()
            assert metric(hub.url, "eventhub_connections") == 4
        hub.shows("eventhub_connections", 0)
    assert {
        name: metric(hub.url, f'{opened}{{transport="{name}"}}') for name in transports
    } == dict.fromkeys(transports, 2)


def test_the_time_that_producers_wait_is_measured_for_requests_and_websockets(start: Start) -> None:
    hub = start()
    count = 'eventhub_publish_seconds_count{type="chat"}'
    assert post(hub, "chat.a", '{"sender":"a","text":"b"}') == 201
    assert post(hub, "chat.a", '[{"sender":"a","text":"b"},{"sender":"a","text":"c"}]') == 201
    assert (
        metric(hub.url, count) == metric(hub.url, "eventhub_broker_publish_seconds_count") == 2
    ), "once a request"
    assert post(hub, "chat.a", '{"sender":"a"}') == 422
    assert metric(hub.url, count) == 3, "a refusal is an answer"
    assert metric(hub.url, "eventhub_broker_publish_seconds_count") == 2, (
        "which the broker had no part in"
    )
    with WsClient(hub.ws_url) as client:
        client.send(type="publish", ref=1, channel="chat.a", data={"sender": "a", "text": "b"})
        client.until("published")
        hub.shows(count, 4)
    assert 0 < metric(hub.url, 'eventhub_publish_seconds_sum{type="chat"}') < 60
    assert metric(hub.url, 'eventhub_publish_seconds_count{type="logs"}') == 0
    assert post(hub, "stranger.a", "{}") == 404, "no type, no series"
    assert metric(hub.url, "eventhub_publish_seconds_count") == 4


def test_the_memory_broker_s_history_is_measured_against_its_bound(start: Start) -> None:
    bound, event = 1 << 20, '"%s"' % ("x" * 60_000)
    hub = start(f"{{channels: {{blob: {{payload: json}}}}, limits: {{history_bytes: {bound}}}}}")
    assert metric(hub.url, "eventhub_history_bytes") == 0
    assert metric(hub.url, "eventhub_history_bytes_limit") == bound
    assert post(hub, "blob.a", event) == 201
    held = metric(hub.url, "eventhub_history_bytes")
    assert 60_000 < held < 61_000
    for _ in range(20):
        assert post(hub, "blob.a", event) == 201
        assert held < metric(hub.url, "eventhub_history_bytes") <= bound


def test_metrics_and_readiness_show_that_a_broker_is_lost_and_found_again(
    start: Start, tmp_path: Path
) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        hub = start(f"broker: {redis.url}")
        state = ("eventhub_broker_up", "eventhub_ready")
        assert [metric(hub.url, name) for name in state] == [1, 1]
        assert post(hub, "chat.a", '{"sender":"a","text":"b"}') == 201
        assert metric(hub.url, "eventhub_broker_publish_seconds_count") == 1
        redis.kill()
        for name in state:
            hub.shows(name, 0)
        assert http.get(f"{hub.url}/readyz").status_code == 503
        assert post(hub, "chat.a", '{"sender":"a","text":"b"}') == 503
        assert metric(hub.url, "eventhub_broker_publish_seconds_count") == 2, (
            "that it cannot is an answer, too"
        )
        redis.start()
        for name in state:
            hub.shows(name, 1)
        assert "eventhub_history_bytes" not in http.get(f"{hub.url}/metrics").text


def test_the_process_shows_what_it_takes(start: Start) -> None:
    hub = start()
    assert hub.process is not None
    process = Path(f"/proc/{hub.process.pid}")
    assert metric(hub.url, "process_resident_memory_bytes") > 20_000_000
    assert abs(metric(hub.url, "process_open_fds") - len(list((process / "fd").iterdir()))) <= 2
    assert metric(hub.url, "process_max_fds") == int(
        re.findall(r"Max open files +(\d+)", (process / "limits").read_text())[0]
    )
    before = metric(hub.url, "process_cpu_seconds_total")
    for name, least in (
        ("process_cpu_seconds_total", before),
        ("eventhub_loop_delay_seconds_count", 5),
    ):
        hub.eventually(
            f"{name} over {least}", partial(metric, hub.url, name), partial(operator.lt, least)
        )


def test_a_blocked_event_loop_shows_in_the_delay_metric(start: Start) -> None:
    hub = start()
    assert hub.process is not None
    late = 'eventhub_loop_delay_seconds_bucket{le="0.25"}'
    os.kill(hub.process.pid, signal.SIGSTOP)
    time.sleep(0.6)  # the process is late with whatever is due
    os.kill(hub.process.pid, signal.SIGCONT)
    hub.eventually(
        "a delay of more than a quarter of a second",
        lambda: (
            metric(hub.url, 'eventhub_loop_delay_seconds_bucket{le="+Inf"}') - metric(hub.url, late)
        ),
    )
