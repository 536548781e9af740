"""Slow and steady readers, over real sockets and with short heartbeats, stay under every policy.
Dead clients are disconnected.
"""

import json
import socket
import time
from collections.abc import Callable

import pytest

from tests.harness.background import repeated
from tests.harness.certificates import Authority
from tests.harness.clients import SECONDS, close_code, http, metric, raw
from tests.harness.eventhub import EventHubServer
from tests.integration.steady_readers import WEBSOCKET, Steady, get, read

Start = Callable[..., EventHubServer]

HEARTBEAT = 1
BEATS = 5
"""Heartbeats that readers are slow for."""
CONFIG = f"""
heartbeat: {HEARTBEAT}
limits: {{buffer_bytes: 65536}}
compression: true
channels:
  strict: {{history: {{events: 100000}}, slow: disconnect}}
  newest: {{history: {{events: 100000}}, slow: latest}}
  lossy: {{history: {{events: 100000}}, slow: drop}}
"""
BATCH = json.dumps([{"n": n, "pad": "x" * 900} for n in range(80)])


@pytest.fixture(params=["plain", pytest.param("tls", marks=pytest.mark.proof)])
def connect(
    request: pytest.FixtureRequest, start: Start, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], socket.socket]:
    """Opens connections with a small receive buffer to a server whose log `strict.old` is long, and
    `lossy.a` and `newest.a` are busy.
    """
    if request.param != "tls":
        hub = start(CONFIG)
        request.node.hub = hub
        return lambda: raw(hub.port, receive_buffer=4096)
    authority = Authority(tmp_path_factory.mktemp("authority"))
    hub = request.node.hub = start(
        CONFIG + "tls: {certificate: cert.pem, key: key.pem}",
        files=authority.issue("eventhub").files(),
    )
    trust = authority.trust()
    return lambda: trust.wrap_socket(
        raw(hub.port, receive_buffer=4096), server_hostname="127.0.0.1"
    )


def test_slow_readers_stay_under_every_policy_and_transport(
    connect: Callable[[], socket.socket], request: pytest.FixtureRequest
) -> None:
    hub: EventHubServer = request.node.hub
    for body in [BATCH] * 8 + ['"the end"']:
        http.post(f"{hub.url}/v1/channels/strict.old", content=body).raise_for_status()
    deflate = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
    live = [
        Steady(connect(), WEBSOCKET.format("?channel=lossy.a", "")),
        Steady(connect(), WEBSOCKET.format("?channel=newest.a", "")),
        Steady(connect(), get(hub.port, "/v1/channels/lossy.a/sse")),
        Steady(connect(), get(hub.port, "/v1/channels/newest.a/ndjson")),
    ]
    replay = [
        Steady(connect(), WEBSOCKET.format("?channel=strict.old&since=earliest", ""), pace)
        for pace in (3_000, 20_000, 60_000)
    ]
    replay += [
        Steady(connect(), WEBSOCKET.format("?channel=strict.old&since=earliest", deflate), 3_000),
        Steady(connect(), get(hub.port, "/v1/channels/strict.old/sse?since=earliest")),
    ]

    def load() -> None:  # some five times what the readers read
        for name in ("lossy.a", "newest.a"):
            http.post(f"{hub.url}/v1/channels/{name}", content=BATCH).raise_for_status()

    with repeated(load, pause=0.4):
        read([*live, *replay], BEATS * HEARTBEAT)
    assert [reader.ended for reader in (*live, *replay)] == [""] * 9
    for reader in (*live, *replay):
        reader.pace = 10_000_000
    deadline = time.monotonic() + SECONDS
    while not all(b'"type":"gap"' in reader.text for reader in live) or not all(
        b"the end" in reader.text for reader in replay
    ):
        assert time.monotonic() < deadline, (
            "it was not told what it missed, or its replay stands still"
        )
        read([*live, *replay], HEARTBEAT)
    read([*live, *replay], 3 * HEARTBEAT)
    assert [reader.ended for reader in (*live, *replay)] == [""] * 9, (
        "and nobody is ended afterwards"
    )
    assert all(reader.pings for reader in (*live, *replay) if reader.websocket)
    for reader in (*live, *replay):
        reader.sock.close()


def test_unread_data_at_the_client_delays_the_pong_that_is_due(start: Start) -> None:
    hub = start(CONFIG)
    sock = raw(hub.port, receive_buffer=200_000)
    reader = Steady(sock, WEBSOCKET.format("?channel=strict.a", ""))
    http.post(f"{hub.url}/v1/channels/strict.a", content=BATCH).raise_for_status()
    read(
        [reader], 3.0
    )  # the server has nothing more to send, and its pings lie behind what has not been read
    assert (reader.ended, reader.pings) == ("", 0)
    read([reader], 5.0)
    assert reader.ended == ""
    assert reader.pings
    sock.close()


DEAD = CONFIG.replace("limits: {", "limits: {stalled_seconds: 1.5, ")


@pytest.mark.parametrize(
    "path", ["/v1/ws?channel=lossy.a", "/v1/channels/lossy.a/sse", "/v1/channels/newest.a/ndjson"]
)
def test_a_peer_that_reads_nothing_is_disconnected_in_bounded_time(start: Start, path: str) -> None:
    hub = start(DEAD)
    request = (
        WEBSOCKET.format(path.removeprefix("/v1/ws"), "") if "/ws" in path else get(hub.port, path)
    )
    channel = "newest.a" if "newest" in path else "lossy.a"
    # begun before, because a ping that arrives before other data would have to be answered
    load = repeated(
        lambda: http.post(f"{hub.url}/v1/channels/{channel}", content=BATCH).raise_for_status(),
        pause=0.2,
    )
    with raw(hub.port, receive_buffer=4096) as sock, load:
        Steady(sock, request)
        hub.shows("eventhub_connections", 0)  # though it takes nothing
    assert metric(hub.url, 'eventhub_refused_total{limit="stalled_seconds"}') == 1, (
        hub.log.read_text()
    )


def test_a_peer_that_reads_everything_and_answers_no_ping_is_closed_with_a_reason(
    start: Start,
) -> None:
    hub = start(DEAD)
    with raw(hub.port) as sock:
        reader = Steady(sock, WEBSOCKET.format("?channel=lossy.a", ""))
        assert reader.websocket
        with repeated(
            lambda: http.post(f"{hub.url}/v1/channels/lossy.a", content="[1]").raise_for_status(),
            pause=0.05,
        ):
            sock.settimeout(SECONDS)
            assert close_code(sock) == 4408, "events that a proxy swallows are no sign of life"
