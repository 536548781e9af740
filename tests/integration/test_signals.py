"""Signals over real sockets: on every transport, on two nodes, beside events, and to a reader that
does not read.
"""

import json
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from tests.harness import nats_servers, redis_servers
from tests.harness.clients import WsClient, http, metric, ndjson, sse
from tests.harness.eventhub import EventHubServer
from tests.integration.test_slow_readers import BUFFER, Stalled

Start = Callable[..., EventHubServer]
CONFIG = f"""
limits: {{buffer_bytes: {BUFFER}}}
channels:
  room: {{slow: disconnect, signals: {{publish: [client, producer]}}, publish: [client, producer]}}
  quiet: {{}}
"""
TYPING = {"sender": "ana", "typing": True}
PAD = "x" * 3000


def send(hub: EventHubServer, channel: str, *data: object) -> None:
    items = [{"channel": channel, "data": each, "signal": True} for each in data]
    http.post(f"{hub.url}/v1/events", content=json.dumps(items)).raise_for_status()


def publish(hub: EventHubServer, channel: str, *data: object) -> None:
    http.post(f"{hub.url}/v1/channels/{channel}", json=list(data)).raise_for_status()


@pytest.mark.parametrize("lane", ["fast", "asgi"])
def test_a_signal_reaches_every_transport_and_has_no_id(start: Start, lane: str) -> None:
    hub = start(CONFIG, lane=lane)
    with ExitStack() as stack:
        ana = stack.enter_context(WsClient(f"{hub.ws_url}?channel=room.a"))
        streams = f"{hub.url}/v1/channels/room.a"
        single = stack.enter_context(sse(f"{streams}/sse"))
        several = stack.enter_context(sse(f"{hub.url}/v1/sse?channel=room.a&channel=quiet.a"))
        lines = stack.enter_context(ndjson(f"{streams}/ndjson"))
        for _ in range(2):
            next(block for block in several if block.name == "subscribed")
        next(block for block in single if block.name == "subscribed")
        assert next(lines)["type"] == "subscribed"
        ana.until("subscribed")
        ana.send(type="publish", channel="room.a", data=TYPING, signal=True, ref=1)
        assert ana.until("signaled") == {"type": "signaled", "ref": 1, "channel": "room.a"}
        posted = http.post(f"{streams}?signal=true", json=TYPING, headers={"ce-subject": "s"})
        assert (posted.status_code, posted.json()) == (202, {"channel": "room.a", "signal": True})
        first, second = ana.until("signal"), ana.until("signal")
        assert first | {"time": ""} == {
            "type": "signal", "channel": "room.a", "time": "", "data": TYPING,
        }  # fmt: skip
        assert second["attributes"] == {"subject": "s"}
        assert [next(lines), next(lines)] == [first, second]
        for stream in (single, several):
            blocks = [next(block for block in stream if block.name == "signal") for _ in range(2)]
            assert [block.message for block in blocks] == [first, second]
            assert [block.id for block in blocks] == [None, None]
        assert http.get(streams).json()["events"] == []


@pytest.mark.parametrize("kind", ["redis", "nats"])
def test_signals_cross_nodes_and_cost_no_event_its_place(
    start: Start, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    url = (
        redis_servers.single("redis-server").url
        if kind == "redis"
        else f"{nats_servers.single().url}?prefix={secrets.token_hex(4)}"
    )
    channel, config = f"room.{secrets.token_hex(4)}", f"broker: {url}\n{CONFIG}"
    here, there = start(config), start(config)
    with (
        WsClient(f"{here.ws_url}?channel={channel}") as ana,
        WsClient(f"{there.ws_url}?channel={channel}") as bob,
    ):
        for client in (ana, bob):
            client.until("subscribed")
        for number in range(50):
            ana.send(type="publish", channel=channel, data={"typing": number}, signal=True)
            ana.send(type="publish", channel=channel, data=number)
            send(there, channel, {"bob": number})
        publish(here, channel, "last")
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["data"] != "last":
            message = bob.receive()
            assert message["type"] in ("event", "signal")
            seen.append(message)
        events = [message["data"] for message in seen if message["type"] == "event"]
        assert events == [*range(50), "last"]
        signals = [message["data"] for message in seen if message["type"] == "signal"]
        from_ana = [data["typing"] for data in signals if "typing" in data]
        assert from_ana == sorted(set(from_ana)), "in their order, each at most once"
        assert signals
    page = http.get(f"{there.url}/v1/channels/{channel}?limit=100").json()
    assert [event["data"] for event in page["events"]] == events


@pytest.mark.parametrize("transport", ["websocket", "ndjson"])
def test_a_flood_of_signals_costs_a_reader_that_does_not_read_nothing(
    start: Start, transport: str
) -> None:
    hub = start(CONFIG)
    reader = Stalled(hub, transport, "room.a")
    sent = 0
    while metric(hub.url, 'eventhub_signals_dropped_total{reason="slow",type="room"}') == 0:
        send(hub, "room.a", *[{"n": sent, "pad": PAD}] * 50)
        sent += 50
        assert sent < 20_000, "60 MB: both kernels hold less"
    send(hub, "room.a", *[{"n": sent, "pad": PAD}] * 500)
    assert metric(hub.url, "eventhub_buffered_bytes") <= BUFFER // 4
    with WsClient(f"{hub.ws_url}?channel=room.a") as watcher:
        watcher.until("subscribed")
        publish(hub, "room.a", *range(20))
        assert [event["data"] for event in watcher.events(20)] == list(range(20))
    events: list[object] = []
    while len(events) < 20:
        message = next(reader.messages)
        assert message["type"] in ("event", "signal"), "no gap, and no end of the connection"
        if message["type"] == "event":
            events.append(message["data"])
    assert events == list(range(20))
    assert metric(hub.url, "eventhub_slow_disconnects_total") == 0
    reader.close()


def test_events_beside_a_flood_of_signals_are_complete_and_in_order(start: Start) -> None:
    hub = start(CONFIG)
    with WsClient(f"{hub.ws_url}?channel=room.a", max_queue=None) as reader:
        reader.until("subscribed")
        for number in range(40):
            send(hub, "room.a", *[{"n": number}] * 500)
            publish(hub, "room.a", 2 * number, 2 * number + 1)
        assert [event["data"] for event in reader.events(80)] == list(range(80))
    assert metric(hub.url, "eventhub_gaps_total") == 0
    assert metric(hub.url, "eventhub_signals_sent_total") == 40 * 500
