"""Event streams and lines as HTTP clients and proxies see them."""

import json
import re
import subprocess

import pytest

from tests.harness.clients import (
    frame,
    http,
    masked,
    upgrade,
)
from tests.harness.eventhub import EventHubServer
from tests.integration.readers import Channel, Start, publish


def test_curl_reads_a_stream(hub: EventHubServer, channel: Channel) -> None:
    publish(hub, channel("iot"), 42)
    command = ["curl", "-sN", f"{hub.url}/v1/channels/{channel('iot')}/ndjson?since=-1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        assert json.loads(client.stdout.readline())["type"] == "subscribed"
        assert json.loads(client.stdout.readline())["data"] == {"value": 42.0}
        client.terminate()


def test_heartbeats_keep_idle_connections_open(start: Start) -> None:
    hub = start("heartbeat: 2")  # a pong is due as soon
    with upgrade(hub.port) as sock:
        assert frame(sock)[0] == 1
        for _ in range(2):
            assert frame(sock)[0] == 9
            sock.sendall(masked(b"", opcode=10))
        sock.sendall(masked(b'{"type":"ping"}'))
        while (got := frame(sock))[0] == 9:
            sock.sendall(masked(b"", opcode=10))
        assert json.loads(got[1])["type"] == "pong"


@pytest.mark.parametrize("path", ["sse", "ndjson"])
def test_no_proxy_may_transform_a_stream_nor_keep_it(
    lane_hub: EventHubServer, channel: Channel, path: str
) -> None:
    own = f"{lane_hub.url}/v1/channels/{channel('chat')}"
    lines = iter([b'{"sender":"a","text":"b"}\n'])  # of unknown length, so the answer is progress
    with (
        http.stream("GET", f"{own}/{path}") as live,
        http.stream(
            "POST", own, content=lines, headers={"content-type": "application/x-ndjson"}
        ) as progress,
    ):
        for answer in (live, progress):
            assert answer.headers.get_list("cache-control") == ["no-store, no-transform"]


def test_every_block_of_an_event_stream_has_data_and_its_id_after_the_data(
    start: Start,
) -> None:
    """Some clients parse a block without data as JSON, and keep an id before its event."""
    hub = start("heartbeat: 0.1")
    with http.stream("GET", f"{hub.url}/v1/channels/iot/sse") as response:
        text, published = "", False
        for (
            part
        ) in response.iter_text():  # which may hold several heartbeats, and one behind the event
            text += part
            if ": heartbeat" in text and not published:
                publish(hub, "iot", 1)
                published = True
            if '"event"' in text and text.count("\n\n") == 2:
                break
    first, second, rest = text.split("\n\n")
    assert re.fullmatch(r"retry: \d{4}\nevent: subscribed\ndata: {.*}\nid: \S+", first)
    assert re.fullmatch(r"(: heartbeat\n)+data: {.*}\nid: \S+", second)
    assert rest.replace(": heartbeat\n", "") in ": heartbeat\n", (
        "of a later one there may be a part"
    )


def test_heartbeats_show_on_streams(start: Start) -> None:
    hub = start("heartbeat: 0.1")
    with http.stream("GET", f"{hub.url}/v1/channels/iot.a/sse") as response:
        assert (
            sum(
                line == ": heartbeat"
                for line, _ in zip(response.iter_lines(), range(20), strict=False)
            )
            >= 3
        )
    with http.stream("GET", f"{hub.url}/v1/channels/iot.a/ndjson") as response:
        assert [line for line, _ in zip(response.iter_lines(), range(4), strict=False)][1:] == [
            "",
            "",
            "",
        ]
