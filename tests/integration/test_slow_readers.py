"""Readers that stop reading, over real sockets: each policy acts, nobody else is disturbed, and
memory stays bounded.
"""

import json
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from typing import Any

import pytest

from tests.harness.clients import WsClient, frame, http, metric, raw, upgrade
from tests.harness.eventhub import EventHubServer

Start = Callable[..., EventHubServer]

BUFFER = 64 * 1024
CONFIG = f"""
limits: {{buffer_bytes: {BUFFER}}}
channels:
  strict: {{history: {{events: 100000}}, slow: disconnect}}
  newest: {{history: {{events: 100000}}, slow: latest}}
  lossy: {{history: {{events: 100000}}, slow: drop}}
"""
PAD = "x" * 2000
EVENT_BYTES = 2200
ROUNDS = 90
PER_ROUND = 40
TOTAL = ROUNDS * PER_ROUND
"""Events of at most EVENT_BYTES: 7 MB, many times what the server and both kernels hold."""


class Stalled:
    """A subscriber with a small receive window that reads only when told to."""

    def __init__(self, hub: EventHubServer, transport: str, channel: str) -> None:
        self.messages = (
            self._ndjson(hub, channel) if transport == "ndjson" else self._websocket(hub, channel)
        )
        self.begin = next(message for message in self.messages if message["type"] == "subscribed")

    def close(self) -> None:
        self.sock.close()

    def _websocket(self, hub: EventHubServer, channel: str) -> Iterator[dict[str, Any]]:
        self.sock = upgrade(hub.port, f"?channel={channel}", receive_buffer=4096)
        return self._frames()

    def _frames(self) -> Iterator[dict[str, Any]]:
        while True:
            opcode, payload = frame(self.sock)
            if opcode == 8:
                yield {"type": "close", "code": int.from_bytes(payload[:2])}
                return
            if opcode == 1:
                yield json.loads(payload)

    def _ndjson(self, hub: EventHubServer, channel: str) -> Iterator[dict[str, Any]]:
        self.sock = raw(hub.port, receive_buffer=4096)
        self.sock.sendall(
            f"GET /v1/channels/{channel}/ndjson HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        )
        response = HTTPResponse(self.sock)
        response.begin()
        return (json.loads(line) for line in iter(response.readline, b"") if line.strip())


def publish(hub: EventHubServer, channel: str, first: int, count: int) -> None:
    body = json.dumps([{"n": n, "pad": PAD} for n in range(first, first + count)])
    headers = {"ce-subject": f"series-{first % 5}"}
    assert (
        http.post(f"{hub.url}/v1/channels/{channel}", content=body, headers=headers).status_code
        == 201
    )


def flood(hub: EventHubServer, channel: str) -> None:
    """Publish TOTAL events.

    An honest reader gets all of them, and the buffers stay within their bound.
    """
    with WsClient(f"{hub.ws_url}?channel={channel}", max_queue=None) as honest:
        honest.until("subscribed")
        for number in range(ROUNDS):
            publish(hub, channel, number * PER_ROUND, PER_ROUND)
            if number % 8 == 7:  # a scrape takes longer than a round
                assert buffered(hub) < 2 * BUFFER + PER_ROUND * EVENT_BYTES, (
                    "the bound and one tick's events"
                )
            first = number * PER_ROUND
            assert [event["data"]["n"] for event in honest.events(PER_ROUND)] == list(
                range(first, first + PER_ROUND)
            )


def buffered(hub: EventHubServer) -> float:
    return metric(hub.url, "eventhub_buffered_bytes")


@pytest.fixture(params=["fast", pytest.param("plain", marks=pytest.mark.proof), "asgi", "ndjson"])
def case(request: pytest.FixtureRequest, start: Start) -> tuple[EventHubServer, str]:
    hub = start(
        ("native: false" if request.param == "plain" else "") + CONFIG,
        lane="asgi" if request.param == "asgi" else "fast",
    )
    return hub, "ndjson" if request.param == "ndjson" else "websocket"


def test_disconnect_ends_the_connection_after_a_whole_prefix_and_resuming_gives_the_rest(
    case: tuple[EventHubServer, str],
) -> None:
    hub, transport = case
    reader = Stalled(hub, transport, "strict.a")
    total = 0
    while metric(hub.url, 'eventhub_slow_disconnects_total{type="strict"}') == 0:
        publish(hub, "strict.a", total, PER_ROUND)
        total += PER_ROUND
        assert total < TOTAL
    read = [message for message in reader.messages if message["type"] in ("event", "close")]
    if transport == "websocket":
        assert read.pop() == {"type": "close", "code": 4408}
    reader.close()
    assert 0 < len(read) < total
    with WsClient(hub.ws_url) as client:
        client.send(type="subscribe", channel="strict.a", since=read[-1]["id"])
        read += client.events(total - len(read))
    assert [event["data"]["n"] for event in read] == list(range(total)), (
        "nothing lost, nothing twice"
    )


def test_a_reader_that_never_reads_again_is_cut_off_and_nobody_else_notices(
    case: tuple[EventHubServer, str],
) -> None:
    hub, transport = case
    reader = Stalled(hub, transport, "strict.a")
    flood(hub, "strict.a")
    assert metric(hub.url, 'eventhub_slow_disconnects_total{type="strict"}') == 1
    hub.shows("eventhub_buffered_bytes", 0)  # though it never takes what is in its buffer
    reader.close()


def test_drop_sends_a_gap_with_the_number_of_lost_events_and_goes_on(
    case: tuple[EventHubServer, str],
) -> None:
    hub, transport = case
    reader = Stalled(hub, transport, "lossy.a")
    flood(hub, "lossy.a")
    read: list[dict[str, Any]] = []
    for message in reader.messages:
        read.append(message)
        if message["type"] == "gap":
            publish(hub, "lossy.a", TOTAL, 1)
        elif message["data"]["n"] == TOTAL:
            break
    reader.close()
    (gap,) = [message for message in read if message["type"] == "gap"]
    before = read[: read.index(gap)]
    assert [event["data"]["n"] for event in before] == list(range(len(before)))
    assert (gap["reason"], gap["after"], gap["skipped"]) == (
        "slow",
        before[-1]["id"],
        TOTAL - len(before),
    )
    assert read[-1]["id"] == gap["before"], "the gap ends where delivery goes on"
    assert (
        metric(hub.url, 'eventhub_events_dropped_total{policy="drop",type="lossy"}')
        == gap["skipped"]
    )


def test_latest_gives_the_newest_of_each_series_and_counts_the_rest(
    case: tuple[EventHubServer, str],
) -> None:
    hub, transport = case
    reader = Stalled(hub, transport, "newest.a")
    flood(hub, "newest.a")
    for number in range(5):  # one last event of each series, all of them after the stall
        publish(hub, "newest.a", TOTAL + number, 1)
    read: list[dict[str, Any]] = []
    while not read or read[-1].get("data", {}).get("n") != TOTAL + 4:
        read.append(next(reader.messages))
    reader.close()
    events = [message for message in read if message["type"] == "event"]
    gaps = [message for message in read if message["type"] == "gap"]
    assert {gap["reason"] for gap in gaps} == {"conflated"}
    assert len(events) + sum(gap["skipped"] for gap in gaps) == TOTAL + 5, (
        "delivered and skipped are all there were"
    )
    numbers = [event["data"]["n"] for event in events]
    assert numbers == sorted(numbers)
    assert numbers[-5:] == [TOTAL + n for n in range(5)]


def test_replay_to_a_slow_reader_goes_at_its_pace_and_loses_nothing(
    case: tuple[EventHubServer, str],
) -> None:
    hub, _ = case
    for number in range(ROUNDS):
        publish(hub, "strict.b", number * PER_ROUND, PER_ROUND)
    sock = upgrade(hub.port, "?channel=strict.b&since=earliest", receive_buffer=4096)
    publish(hub, "strict.b", TOTAL, 1)
    assert buffered(hub) < 2 * BUFFER + 256 * 1024, "the bound and one page"
    numbers: list[int] = []
    while not numbers or numbers[-1] != TOTAL:
        message = json.loads(frame(sock)[1])
        assert message["type"] != "gap"
        if message["type"] == "event":
            numbers.append(message["data"]["n"])
    sock.close()
    assert numbers == list(range(TOTAL + 1))


def test_a_stalled_reader_of_one_channel_gets_another_channel_by_its_own_policy(
    start: Start,
) -> None:
    hub = start(CONFIG)
    sock = upgrade(hub.port, "?channel=lossy.a&channel=strict.a", receive_buffer=4096)
    flood(hub, "lossy.a")
    messages = iter(lambda: json.loads(frame(sock)[1]), None)
    assert next(m for m in messages if m["type"] == "gap")["channel"] == "lossy.a"
    publish(hub, "strict.a", 7, 1)
    assert next(m for m in messages if m["type"] == "event")["channel"] == "strict.a", (
        "nothing came on it meanwhile: it goes on"
    )
    sock.close()


def test_a_connection_that_is_being_closed_leaves_its_other_channels_at_once(
    case: tuple[EventHubServer, str],
) -> None:
    hub, transport = case
    if transport == "websocket":
        sock = upgrade(hub.port, "?channel=strict.a&channel=lossy.a", receive_buffer=4096)
    else:
        sock = raw(hub.port, receive_buffer=4096)
        sock.sendall(
            b"GET /v1/sse?channel=strict.a&channel=lossy.a HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
    hub.shows("eventhub_subscriptions", 2)
    flood(hub, "strict.a")
    hub.shows('eventhub_slow_disconnects_total{type="strict"}', 1)
    assert metric(hub.url, "eventhub_subscriptions") == 0, (
        "though what it was sent before is still on its way"
    )
    sock.close()


def test_the_node_still_works_after_many_readers_were_too_slow_together(start: Start) -> None:
    hub = start(CONFIG)
    readers = [
        Stalled(hub, transport, "strict.a") for transport in ("websocket", "websocket", "ndjson")
    ]
    total = 0
    while metric(hub.url, 'eventhub_slow_disconnects_total{type="strict"}') < 3:
        publish(hub, "strict.a", total, PER_ROUND)
        total += PER_ROUND
        assert total < 2 * TOTAL
    for reader in readers:
        reader.close()
    hub.shows("eventhub_connections", 0)
    assert metric(hub.url, "eventhub_connections") == metric(hub.url, "eventhub_subscriptions") == 0
    with WsClient(f"{hub.ws_url}?channel=strict.a&since=-1") as client:
        assert client.events(1)[0]["data"]["n"] == total - 1
    assert hub.stop() == 0
    assert "Traceback" not in hub.log.read_text()
