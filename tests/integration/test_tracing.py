"""Traces of real servers at a real collector: from the producer's request through the broker to the
fan-out of every node.
"""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eventhub.observability.tracing import parent_of
from tests.harness.clients import WsClient, http, ndjson
from tests.harness.eventhub import EventHubServer
from tests.harness.otlp import Collector
from tests.harness.redis_servers import RedisServer

ROOT = Path(__file__).resolve().parents[2]

Start = Callable[..., EventHubServer]
INTERNAL, SERVER, PRODUCER, CONSUMER = 1, 2, 4, 5
CONFIG = """
log: {{format: json}}
tracing: {{endpoint: '{url}', sample: {sample}}}
channels: {{chat: {{payload: json, publish: [client, producer]}}}}
"""
FAST = {"OTEL_BSP_SCHEDULE_DELAY": "50"}
"""Of the SDK: milliseconds between two batches, instead of five seconds."""


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in FAST.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


def traceparent(number: int, flags: str = "01") -> tuple[str, str, str]:
    """A trace id, a span id, and the header."""
    trace, span = f"{number:032x}", f"{number:016x}"
    return trace, span, f"00-{trace}-{span}-{flags}"


def test_one_trace_from_the_request_to_the_fan_out_at_both_nodes_and_the_subscribers(
    start: Start, collector: Collector, tmp_path: Path
) -> None:
    trace, span, header = traceparent(0xABC)
    with RedisServer(tmp_path / "redis") as redis:
        config = CONFIG.format(url=collector.url, sample=0) + f"broker: {redis.url}\n"
        nodes = [start(config), start(config)]
        with (
            WsClient(nodes[0].ws_url) as near,
            WsClient(nodes[1].ws_url) as far,
            ndjson(f"{nodes[1].url}/v1/channels/chat.a/ndjson") as lines,
        ):
            for client in (near, far):
                client.subscribe("chat.a")
            assert next(lines)["type"] == "subscribed"
            answer = http.post(
                f"{nodes[0].url}/v1/channels/chat.a",
                json={"secret": "payload"},
                headers={"traceparent": header},
            )
            event_id = answer.json()["id"]
            for event in (*near.events(1), *far.events(1), next(lines)):
                assert event["attributes"] == {"traceparent": header}, (
                    "the context the event was created in"
                )
        spans = {
            (span.name, span.resource["service.instance.id"]): span
            for span in collector.trace(trace, 4)
        }
        publish, store, *fan_outs = sorted(
            spans.values(),
            key=lambda span: ("publish", "store", "deliver").index(span.name.split()[0]),
        )
        assert (publish.kind, publish.parent_id, publish.attributes["messaging.message.id"]) == (
            SERVER,
            span,
            event_id,
        )
        assert (store.kind, store.parent_id) == (INTERNAL, publish.span_id)
        assert [
            (one.name, one.parent_id, one.attributes["messaging.message.id"]) for one in fan_outs
        ] == 2 * [("deliver chat.>", span, event_id)]
        assert {
            one.resource["service.instance.id"]: one.attributes["eventhub.subscribers"]
            for one in fan_outs
        } == {
            publish.resource["service.instance.id"]: 1,
            next(name for _, name in spans if name != publish.resource["service.instance.id"]): 2,
        }
        assert publish.begin <= store.begin <= min(one.begin for one in fan_outs)
        assert b"payload" not in collector.raw


def test_a_publish_without_a_context_begins_a_trace_that_subscribers_can_continue(
    start: Start, collector: Collector
) -> None:
    hub = start(CONFIG.format(url=collector.url, sample=1))
    with WsClient(hub.ws_url) as client:
        client.subscribe("chat.a")
        http.post(f"{hub.url}/v1/channels/chat.a", json=1)
        client.send(type="publish", channel="chat.a", data=2, attributes={"subject": "s"})
        first, second = (parent_of(event["attributes"]) for event in client.events(2))
    assert first is not None
    assert second is not None
    for parent, transport in ((first, "http"), (second, "websocket")):
        publish, store, deliver = sorted(
            collector.trace(parent.trace_id, 3), key=lambda span: (span.kind != PRODUCER, span.kind)
        )
        assert (publish.kind, publish.span_id, publish.parent_id) == (PRODUCER, parent.span_id, "")
        assert publish.attributes["network.protocol.name"] == transport
        assert (store.kind, store.parent_id, deliver.kind, deliver.parent_id) == (
            INTERNAL,
            parent.span_id,
            CONSUMER,
            parent.span_id,
        )


def test_batches_streams_and_refusals_are_traced_too(start: Start, collector: Collector) -> None:
    hub = start(CONFIG.format(url=collector.url, sample=0))
    url = f"{hub.url}/v1/channels/chat.a"
    (batch, _, first), (stream, _, second), (refused, _, third), (unsampled, _, fourth) = (
        traceparent(1), traceparent(2), traceparent(3), traceparent(4, "00"),
    )  # fmt: skip
    http.post(url, content="[1,2,3]", headers={"traceparent": first})
    http.post(
        url,
        content="1\n2\n",
        headers={"traceparent": second, "content-type": "application/x-ndjson"},
    )
    http.post(url, content="{", headers={"traceparent": third})
    http.post(url, content="4", headers={"traceparent": fourth})
    for trace, count in ((batch, 3), (stream, 2)):
        publish = next(span for span in collector.trace(trace, 2) if span.name != "store")
        assert publish.attributes["messaging.batch.message_count"] == count
    (publish,) = collector.trace(refused, 1)
    assert (publish.failed, publish.attributes["error.type"]) == (True, "invalid_json")
    hub.stop()
    assert all(span.trace_id != unsampled for span in collector.until(bool)), (
        "its producer has decided"
    )


def test_spans_that_still_wait_are_sent_at_the_shutdown(
    start: Start, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
    monkeypatch.setenv("FLUSH_SECONDS", "100")
    hub = start(CONFIG.format(url=collector.url, sample=1), lane="workers")
    http.post(f"{hub.url}/v1/channels/chat.a", json=1)
    assert hub.stop() == 0
    assert {span.name for span in collector.until(bool)} == {"publish chat.>", "store"}


def test_a_missing_collector_is_logged_once_and_slows_nothing(start: Start) -> None:
    hub = start(CONFIG.format(url="http://127.0.0.1:9", sample=1))
    for number in range(20):
        assert http.post(f"{hub.url}/v1/channels/chat.a", json=number).status_code == 201
    assert hub.stop() == 0
    log = hub.log.read_text()
    assert log.count("spans_not_taken") + log.count("spans_not_sent") >= 1
    assert log.count("spans_not_taken") <= 1
    assert "Traceback" not in log


def test_spans_that_the_collector_does_not_take_are_counted(
    start: Start, collector: Collector
) -> None:
    collector.status = 400
    hub = start(CONFIG.format(url=collector.url, sample=1))
    http.post(f"{hub.url}/v1/channels/chat.a", json=1)
    hub.shows("eventhub_spans_dropped_total", 2)


def test_each_worker_exports_its_own_spans(start: Start, collector: Collector) -> None:
    hub = start("workers: 2\n" + CONFIG.format(url=collector.url, sample=1), lane="workers")

    def senders() -> set[str]:
        http.post(f"{hub.url}/v1/channels/chat.a", json=1)
        return {span.resource["service.instance.id"] for span in collector.until(bool)}

    def not_taken() -> list[dict[str, Any]]:
        http.post(f"{hub.url}/v1/channels/chat.a", json=1)
        return hub.lines("spans_not_taken")

    # the kernel chooses the worker
    hub.eventually("spans of both workers", senders, lambda seen: len(seen) == 2)
    collector.status = 400
    assert "worker" in hub.eventually("spans that are not taken", not_taken)[0]
    assert hub.stop() == 0
    assert "Traceback" not in hub.log.read_text()


def install_command() -> str:
    """The command of docs/tracing.md for a checkout."""
    [command] = re.findall(
        r"^```sh\n(.*pip install.*)\n```", (ROOT / "docs/tracing.md").read_text(), re.MULTILINE
    )
    return str(command)


def test_the_command_for_the_extra_works_in_a_checkout_and_installs_all_it_declares() -> None:
    command = install_command().replace(".venv/bin/pip", f"{sys.executable} -m pip")
    # All of it is here already, in these versions: nothing is fetched.
    subprocess.run(
        [*shlex.split(command), "--dry-run", "--no-index"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]["otel"]
    installed = re.findall(
        r"^([a-z-]+)==", (ROOT / shlex.split(command)[-1]).read_text(), re.MULTILINE
    )
    assert {requirement.partition(">")[0] for requirement in declared} <= set(installed)


def test_without_the_extra_it_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "eventhub.yaml").write_text("tracing: {endpoint: 'http://127.0.0.1:4318'}")
    hide = (
        "import sys; sys.modules['opentelemetry.exporter'] = None; from eventhub.cli import app; "
        "app()"
    )
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("EVENTHUB_")
    }
    for command in ("check", "serve"):
        done = subprocess.run(
            [sys.executable, "-c", hide, command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert f"`{install_command()}`" in done.stderr
        assert "Traceback" not in done.stderr
