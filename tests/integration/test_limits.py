"""Limits on connections, commands and time, and the errors beyond them."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from eventhub.server.http.admission import HEALTH_PROBE_SECONDS, UNREAD_SECONDS
from eventhub.server.security.connection_limits import HEALTH_PROBES
from tests.harness.clients import (
    SECONDS,
    WsClient,
    close_code,
    exactly,
    frame,
    http,
    masked,
    metric,
    ndjson,
    raw,
    sse,
    upgrade,
)
from tests.harness.eventhub import EventHubServer
from tests.harness.http import everything

Start = Callable[..., EventHubServer]
UPLOAD = (
    b"POST /v1/channels/chat.a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n"
    + b"x" * 100_000
)
REQUEST = b"GET /v1/types HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def refused(answer: bytes) -> tuple[bytes, str, bool]:
    """The status, the code, and whether there is a Retry-After."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return head[9:12], json.loads(body)["code"], b"\r\nretry-after: 1" in head.lower()


def test_a_full_node_answers_503_whatever_is_sent_and_serves_again_when_there_is_room(
    start: Start,
) -> None:
    hub = start("limits: {connections: 3}")
    with ExitStack() as stack:
        inside = [stack.enter_context(upgrade(hub.port)) for _ in range(3)]
        for request in (b"", REQUEST, UPLOAD):
            with raw(hub.port) as sock:
                sock.sendall(request)
                assert refused(everything(sock)) == (b"503", "node_full", True)
        inside[0].close()
        hub.answers("/v1/types", 200)
        for sock in inside[1:]:
            frame(sock)


def test_a_full_node_is_alive_and_can_be_scraped_but_is_not_ready(start: Start) -> None:
    hub = start("limits: {connections: 3}")
    with ExitStack() as stack:
        inside = [stack.enter_context(upgrade(hub.port)) for _ in range(3)]
        for _ in range(2 * HEALTH_PROBES):  # answered and refused clients hold no place
            assert [
                http.get(hub.url + path).status_code
                for path in ("/livez", "/readyz", "/metrics?x=1")
            ] == [200, 503, 200]
        assert (
            metric(hub.url, "eventhub_connections_limit")
            == metric(hub.url, "eventhub_connections")
            == 3
        )
        with raw(hub.port) as sock:
            sock.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" + REQUEST)
            answer = everything(sock)
        assert answer.count(b"HTTP/1.1 ") == 1, "one question, then it is another's turn"
        assert b"\r\nconnection: close\r\n" in answer.lower()
        with raw(hub.port) as sock:
            sock.sendall(
                b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
                b"Upgrade: websocket\r\n\r\n"
            )
            assert refused(everything(sock)) == (b"503", "node_full", True)
        inside[0].close()
        hub.answers("/readyz", 200)
        inside.append(stack.enter_context(upgrade(hub.port)))
        with raw(hub.port) as sock:
            sock.sendall(REQUEST)
            assert refused(everything(sock)) == (b"503", "node_full", True), (
                "what was let in beyond the limit has left no room"
            )


def test_health_probes_of_a_full_node_must_ask_soon_and_silent_ones_are_replaced(
    start: Start,
) -> None:
    hub = start("limits: {connections: 3}")
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(upgrade(hub.port))
        took, deadline = HEALTH_PROBE_SECONDS, time.monotonic() + 4 * SECONDS
        while (
            took >= HEALTH_PROBE_SECONDS
        ):  # it need not wait for their time to be up; on a busy machine, look again
            assert time.monotonic() < deadline
            silent = [stack.enter_context(raw(hub.port)) for _ in range(HEALTH_PROBES + 1)]
            assert refused(everything(silent[0])) == (b"503", "node_full", True), "the oldest"
            begin = time.monotonic()
            assert http.get(f"{hub.url}/livez").status_code == 200
            took = time.monotonic() - begin
            assert refused(everything(silent[1])) == (b"503", "node_full", True)
            assert refused(everything(silent[-1])) == (b"503", "node_full", True), "it never asked"


def test_a_scraper_of_a_full_node_that_does_not_read_loses_its_place(
    start: Start,
) -> None:
    types = ", ".join(f"t{number}: {{payload: json}}" for number in range(150))
    hub = start(f"{{limits: {{connections: 3}}, channels: {{{types}}}}}")
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(upgrade(hub.port))
        files = metric(hub.url, "process_open_fds")
        took, deadline = UNREAD_SECONDS, time.monotonic() + 4 * SECONDS
        # it gets a place before their time is up; on a busy machine, look again
        while took >= UNREAD_SECONDS:
            assert time.monotonic() < deadline
            unread = [
                stack.enter_context(raw(hub.port, receive_buffer=2304))
                for _ in range(HEALTH_PROBES)
            ]
            for sock in unread:
                sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            for sock in unread:
                assert sock.recv(4) == b"HTTP"
            begin = time.monotonic()
            assert [
                http.get(f"{hub.url}/livez").status_code for _ in range(HEALTH_PROBES // 2)
            ] == [200] * (HEALTH_PROBES // 2)
            took = time.monotonic() - begin
            hub.eventually(
                "files to be closed, for nobody wants their places any more",
                lambda: metric(hub.url, "process_open_fds"),
                lambda seen: seen <= files,
            )


def test_the_error_for_too_many_connections_of_an_address_names_the_setting(start: Start) -> None:
    hub = start("limits: {connections_per_address: 3}")
    with ExitStack() as stack:
        stack.enter_context(upgrade(hub.port))
        stack.enter_context(raw(hub.port))
        stack.enter_context(sse(f"{hub.url}/v1/channels/chat.a/sse"))
        answer = http.get(f"{hub.url}/livez")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert answer.json()["code"] == "too_many_connections"
        assert "name it in `proxies`" in answer.json()["detail"]
    hub.answers("/livez", 200)
    for _ in range(10):
        with WsClient(hub.ws_url) as client:
            client.until("hello")
    assert metric(hub.url, "eventhub_connections") < 3


@pytest.mark.parametrize("lane", ["fast", "asgi"])
def test_behind_a_trusted_proxy_each_client_has_its_own_limit(start: Start, lane: str) -> None:
    hub = start("proxies: [127.0.0.1]\nlimits: {connections_per_address: 2}", lane=lane)
    ana, bo = {"X-Forwarded-For": "192.0.2.1"}, {"X-Forwarded-For": "192.0.2.2"}
    stream = f"{hub.url}/v1/channels/chat.a/sse"

    def status(method: str, headers: dict[str, str], **more: Any) -> int:
        with http.stream(method, more.pop("url", stream), headers=headers, **more) as response:
            return response.status_code

    with WsClient(hub.ws_url, additional_headers=ana), http.stream("GET", stream, headers=ana):
        assert status("GET", ana) == 429
        assert status("GET", ana, url=f"{hub.url}/v1/channels/chat.a/ndjson") == 429
        lines = {**ana, "Content-Type": "application/x-ndjson"}
        assert status("POST", lines, url=f"{hub.url}/v1/channels/chat.a", content=b"{}\n") == 429
        with (
            pytest.raises(Exception, match="HTTP 429" if lane == "fast" else "HTTP 403"),
            WsClient(hub.ws_url, additional_headers=ana),
        ):
            pass
        assert status("GET", bo) == 200
        assert status("GET", ana, url=f"{hub.url}/livez") == 200, (
            "a request that ends soon needs no place"
        )
    while status("GET", ana) == 429:
        pass


@pytest.mark.parametrize("lane", ["fast", "asgi"])
def test_a_client_is_counted_once_however_a_proxy_writes_its_address(
    start: Start, lane: str
) -> None:
    """A proxy whose socket is of both families forwards IPv4 addresses as `::ffff:203.0.113.9`, its
    neighbour's among them.
    """
    hub = start(
        (
            "proxies: [127.0.0.1, 10.0.0.0/8]\nlimits: {connections_per_address: 2}\n"
            "log: {access: true, format: json}"
        ),
        lane=lane,
    )
    ways = [
        "203.0.113.9",
        "203.0.113.9, ::ffff:10.1.2.3",
        "::FFFF:203.0.113.9",
        "[::ffff:203.0.113.9]:4711, , 10.1.2.3",
    ]
    stream = f"{hub.url}/v1/channels/chat.a/sse"

    def status(forwarded: str) -> int:
        with http.stream("GET", stream, headers={"X-Forwarded-For": forwarded}) as response:
            return response.status_code

    with WsClient(hub.ws_url, additional_headers={"X-Forwarded-For": ways[1]}) as client:
        client.until("hello")
        with http.stream("GET", stream, headers={"X-Forwarded-For": ways[2]}):
            assert [status(way) for way in ways] == [429] * len(ways)
            assert status("203.0.113.10, ::ffff:10.1.2.3") == 200
    hub.stop()
    logged = re.findall(r"203\.0\.113\.\d+|10\.1\.2\.3|::ffff", hub.log.read_text(), re.IGNORECASE)
    assert set(logged) == {"203.0.113.9", "203.0.113.10"}


def test_a_trusted_proxy_may_have_as_many_connections_as_it_needs(start: Start) -> None:
    hub = start("proxies: [127.0.0.1]\nlimits: {connections_per_address: 2}")
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(raw(hub.port))
            stack.enter_context(upgrade(hub.port))
        with ndjson(f"{hub.url}/v1/channels/chat.a/ndjson") as messages:
            assert next(messages)["type"] == "subscribed"


@pytest.mark.parametrize("lane", ["fast", "asgi"])
def test_a_client_over_the_frame_limit_is_throttled_and_loses_nothing(
    start: Start, lane: str
) -> None:
    hub = start("limits: {commands: 50}", lane=lane)
    with WsClient(hub.ws_url) as client:
        client.until("hello")
        begun = time.monotonic()
        for number in range(200):
            client.send(type="ping", ref=number)
        assert [client.until("pong")["ref"] for number in range(200)] == list(range(200))
        assert 1.8 < time.monotonic() - begun < 30, "a hundred at once, the rest at fifty a second"


def test_control_frames_and_fragments_count_like_messages(start: Start) -> None:
    hub = start("limits: {commands: 50}")
    fragments = (
        masked(b'{"type":"ping"}', final=False)
        + masked(b"", opcode=0, final=False) * 148
        + masked(b"", opcode=0)
    )
    for flood, answer in (
        (masked(b"", opcode=9) * 150, 10),
        (fragments, 1),
        (masked(b"", opcode=10) * 150 + masked(b"", opcode=9), 10),
    ):
        with upgrade(hub.port) as sock:
            frame(sock)
            begun = time.monotonic()
            sock.sendall(flood + masked(b"last", opcode=9))
            while (got := frame(sock)) != (10, b"last"):
                assert got[0] == answer
            assert time.monotonic() - begun > 0.9


def test_a_client_that_flooded_stays_connected_and_answers_heartbeats_in_time(start: Start) -> None:
    hub = start("heartbeat: 1\nlimits: {commands: 20}")
    with WsClient(hub.ws_url, ping_interval=None) as client:  # its own pings would wait, too
        for number in range(120):  # four seconds' worth, or more where each takes long
            client.send(type="ping", ref=number)
        assert [client.until("pong")["ref"] for number in range(120)] == list(range(120))


def test_a_client_that_leaves_while_it_is_throttled_is_forgotten(start: Start) -> None:
    hub = start("heartbeat: 1\nlimits: {commands: 1}")
    with upgrade(hub.port) as sock:
        sock.sendall(masked(b"", opcode=9) * 5000)
    hub.shows('eventhub_connections{transport="websocket"}', 0)
    assert hub.stop() == 0


@pytest.mark.parametrize("lane", ["fast", "asgi"])
def test_a_websocket_that_sends_no_first_message_is_closed(start: Start, lane: str) -> None:
    hub = start("limits: {first_frame_seconds: 3}", lane=lane)
    with (
        WsClient(hub.ws_url) as mute,
        WsClient(hub.ws_url) as talker,
        WsClient(f"{hub.ws_url}?channel=chat.a") as listener,
    ):
        talker.send(type="ping")
        error = mute.until("error")
        assert (error["code"], "limits.first_frame_seconds" in error["message"]) == (
            "request_timeout",
            True,
        )
        with pytest.raises(ConnectionClosed) as closed:
            mute.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4408
        for client in (talker, listener):
            client.send(type="ping", ref="still")
            while client.until("pong").get("ref") != "still":
                pass


def test_pongs_do_not_count_as_the_first_message(start: Start) -> None:
    hub = start("limits: {first_frame_seconds: 1}")
    with upgrade(hub.port) as sock:
        sock.sendall(masked(b"", opcode=9))
        assert close_code(sock) == 4408


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    """A server with short times for what has begun, shared."""
    config = "limits: {body_seconds: 1}"
    with EventHubServer(tmp_path_factory.mktemp("impatient"), config) as server:
        yield server


@pytest.mark.parametrize(
    "begun",
    [
        b"\x81",
        masked(b'{"type":"ping"}')[:-1],
        masked(b"", final=False),
        masked(b'{"type":', final=False) + masked(b"mid", opcode=9),
    ],
)
def test_a_message_that_is_not_complete_in_time_closes_the_connection(
    impatient: EventHubServer, begun: bytes
) -> None:
    with upgrade(impatient.port, "?channel=chat.a") as sock:
        sock.sendall(begun)
        assert close_code(sock) == 4408


def test_a_large_message_over_a_slow_line_has_the_time_it_needs(impatient: EventHubServer) -> None:
    message = masked(b'{"type":"ping","ref":"' + b"x" * 12_000 + b'"}')
    with upgrade(impatient.port, "?channel=chat.a") as sock:
        frame(sock), frame(sock)
        for begin in range(0, len(message), 3000):
            sock.sendall(message[begin : begin + 3000])
            time.sleep(0.6)  # a slow line: 5 KB a second
        assert json.loads(frame(sock)[1])["code"] == "invalid_frame", (
            "it came whole: its ref is too long"
        )


def test_a_body_that_dribbles_is_given_up(impatient: EventHubServer) -> None:
    with raw(impatient.port) as sock:
        begun, answer = time.monotonic(), b""
        sock.sendall(
            b"POST /v1/channels/chat.a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
        )
        sock.settimeout(0.2)
        while not answer:
            sock.sendall(b"x")
            with suppress(TimeoutError):
                answer = sock.recv(65536)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert 0.9 < time.monotonic() - begun < 60, "although it never was silent for a second"


TIGHT = """
limits:
  {event_bytes: 300, body_bytes: 2000, batch: 3, depth: 4, page: 5, subscriptions: 1,
   connections: 6, channels: 3, commands: 30, head_seconds: 3, body_seconds: 3,
   first_frame_seconds: 3, connections_per_address: 4}
channels: {any: {publish: [client, producer], refused: false}}
"""


def test_each_limit_counts_what_it_refuses(start: Start) -> None:
    hub = start(TIGHT)
    channel = f"{hub.url}/v1/channels/any.a"
    assert http.post(channel, content='"' + "x" * 400 + '"').status_code == 413
    # An array, because a single event is refused for the limit that is checked first.
    assert http.post(channel, content='["' + "x" * 4000 + '"]').status_code == 413
    assert http.post(channel, content="[1,2,3,4]").status_code == 413
    assert http.post(channel, content="{}".join(["[" * 9, "]" * 9])).status_code in (400, 422)
    assert http.get(f"{channel}?limit=6").status_code == 400
    lines = {"Content-Type": "application/x-ndjson"}
    assert (
        "payload_too_large"
        in http.post(channel, content='"' + "x" * 400 + '"\n1\n', headers=lines).text
    )
    assert (
        sum(http.post(f"{channel}{number}", content="1").status_code == 503 for number in range(4))
        == 2
    )
    with raw(hub.port) as silent, raw(hub.port) as dribbling:
        dribbling.sendall(
            b"POST /v1/channels/any.a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n1"
        )
        assert (exactly(silent, 12), exactly(dribbling, 12)) == (b"HTTP/1.1 408", b"HTTP/1.1 408")
    with upgrade(hub.port) as mute:
        assert close_code(mute) == 4408
    with WsClient(f"{hub.ws_url}?channel=any.a") as client:
        for _ in range(2):
            client.send(type="subscribe", channel="any.b")
            assert client.until("error")["code"] == "too_many_subscriptions"
        client.send(type="publish", channel="any.a", data=[[[[[[1]]]]]])
        assert client.until("error")["code"] == "too_deep"
        for number in range(70):
            client.send(type="ping", ref=number)
        while client.until("pong")["ref"] < 69:
            pass
        client.send(type="ping", ref="x" * 300)
        assert client.until("error")["code"] == "payload_too_large"
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(raw(hub.port))
        with raw(hub.port) as sock:
            assert refused(everything(sock))[1] == "too_many_connections"
    hub.shows("eventhub_connections", 0)
    expected = {
        "event_bytes": 3, "body_bytes": 1, "batch": 1, "depth": 2, "page": 1, "channels": 2,
        "head_seconds": 1, "body_seconds": 1,
        "first_frame_seconds": 1, "subscriptions": 2, "connections_per_address": 1,
        "connections": 0, "connections_per_principal": 0,
    }  # fmt: skip
    assert {limit: refusals(hub, limit) for limit in expected} == expected
    assert refusals(hub, "commands") >= 1


def refusals(hub: EventHubServer, limit: str) -> float:
    return metric(hub.url, f'eventhub_refused_total{{limit="{limit}"}}')
