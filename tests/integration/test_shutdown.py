"""SIGTERM: clients get their buffers, a goodbye and 1012, and reconnect."""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.harness.clients import (
    SECONDS,
    WsClient,
    busiest,
    frame,
    goodbyes,
    http,
    metric,
    ndjson,
    raw,
    read_until,
    sse,
    upgrade,
)
from tests.harness.eventhub import EventHubServer
from tests.harness.http import everything
from tests.harness.redis_servers import RedisServer

Start = Callable[..., EventHubServer]
HANDSHAKE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def stopping(hub: EventHubServer) -> threading.Thread:
    """Stop the server in the background."""
    thread = threading.Thread(target=hub.stop)
    thread.start()
    return thread


def publish(hub: EventHubServer, channel: str, *texts: str) -> list[str]:
    body = json.dumps([{"sender": "a", "text": text} for text in texts])
    return [
        result["id"]
        for result in http.post(f"{hub.url}/v1/channels/{channel}", content=body).json()["results"]
    ]


@pytest.fixture
def start_unforked(start: Start) -> Start:
    """Start a server as users do, for tests of how its process ends."""
    return partial(start, lane="started")


@pytest.fixture(params=["fast", "asgi"])
def lane(request: pytest.FixtureRequest) -> str:
    assert isinstance(request.param, str)
    return request.param


def test_a_websocket_gets_its_buffered_events_then_goodbye_then_1012(among_others: Start) -> None:
    hub = among_others("shutdown: {reconnect_within: 3}")
    with WsClient(f"{hub.ws_url}?channel=chat.a") as client:
        client.until("subscribed")
        publish(hub, "chat.a", *map(str, range(100)))
        thread = stopping(hub)
        assert [event["data"]["text"] for event in client.events(100)] == [
            str(n) for n in range(100)
        ]
        goodbye = client.until("goodbye")
        assert goodbye["code"] == "shutting_down"
        assert 0 < goodbye["reconnect_in"] <= 3
        with pytest.raises(ConnectionClosed) as closed:
            client.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        thread.join()


def test_under_another_server_clients_are_sent_away_with_1012_too(start: Start) -> None:
    hub = start(lane="asgi")
    with WsClient(f"{hub.ws_url}?channel=chat.a") as client:
        client.until("subscribed")
        thread = stopping(hub)
        with pytest.raises(ConnectionClosed) as closed:
            client.until("never")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        thread.join()


def test_each_client_gets_a_reconnect_delay_of_its_own(start: Start) -> None:
    hub = start()
    sockets = [upgrade(hub.port) for _ in range(20)]
    for sock in sockets:
        frame(sock)
    thread = stopping(hub)
    moments = {json.loads(frame(sock)[1])["reconnect_in"] for sock in sockets}
    for sock in sockets:
        sock.close()
    thread.join()
    assert len(moments) >= 10, "half a millisecond apart, told in milliseconds"


def test_streams_say_goodbye_and_end(start: Start) -> None:
    hub = start()
    with (
        sse(f"{hub.url}/v1/channels/chat.a/sse") as blocks,
        ndjson(f"{hub.url}/v1/channels/chat.a/ndjson") as lines,
    ):
        assert next(lines)["type"] == "subscribed"
        thread = stopping(hub)
        *_, last = blocks
        assert (last.name, last.message is not None and last.message["code"]) == (
            "goodbye",
            "shutting_down",
        )
        assert last.message is not None
        assert last.retry == str(round(last.message["reconnect_in"] * 1000))
        *_, line = lines
        assert line["type"] == "goodbye"
        thread.join()


def test_a_server_that_stops_tells_a_streaming_producer_which_lines_are_stored(
    start: Start,
) -> None:
    hub = start()
    with raw(hub.port) as sock:
        sock.sendall(
            b"POST /v1/channels/logs.a HTTP/1.1\r\nHost: [::1]\r\n"
            b"Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        line = b'{"level":"info","message":"a"}\n'
        sock.sendall(b"%x\r\n%b\r\n" % (len(line), line))
        answer = read_until(sock, b'"accepted":1')
        thread = stopping(hub)
        answer += everything(sock)
        thread.join()
    assert b'"accepted":1,"rejected":0' in answer
    assert b'"done":false,"error":{"code":"shutting_down"' in answer
    last = json.loads(
        answer.rpartition(b'{"line":')[1] + answer.rpartition(b'{"line":')[2].partition(b"\n")[0]
    )
    assert last["line"] == 1, "to go on with the second"
    assert 0 < last["error"]["retry_after"] <= 11, "from ten seconds on a start is not believed"


def test_a_client_that_does_not_close_is_cut_off_within_the_bound(start_unforked: Start) -> None:
    hub = start_unforked("{limits: {buffer_bytes: 65536}, shutdown: {grace: 0.5}}")
    with upgrade(hub.port, "?channel=chat.a", receive_buffer=4096) as sock:
        frame(sock)
        begin = time.monotonic()
        assert hub.stop() == 0, "an orderly stop is a success"
        assert time.monotonic() - begin < 10
    assert "Traceback" not in hub.log.read_text()


def test_a_stream_that_does_not_read_is_cut_off_within_the_bound(start: Start) -> None:
    hub = start(
        "{limits: {buffer_bytes: 4194304, body_bytes: 8388608}, shutdown: {grace: 0.5}, "
        "channels: {big: {history: {events: 0}}}}"
    )
    with raw(hub.port, receive_buffer=4096) as sock:
        sock.sendall(b"GET /v1/channels/big.a/ndjson HTTP/1.1\r\nHost: localhost\r\n\r\n")
        read_until(sock, b"subscribed")
        body = json.dumps(["x" * 50_000] * 60)
        assert http.post(f"{hub.url}/v1/channels/big.a", content=body).status_code == 201
        begin = time.monotonic()
        assert hub.stop() == 0
        assert time.monotonic() - begin < 10
    log = hub.log.read_text()
    assert '"event": "cut_off"' in log
    assert "Traceback" not in log


def test_sigint_stops_as_well(start_unforked: Start) -> None:
    hub = start_unforked()
    with WsClient(hub.ws_url) as client:
        client.until("hello")
        assert hub.process is not None
        hub.process.send_signal(signal.SIGINT)
        client.until("goodbye")
        hub.process.wait(timeout=SECONDS)


EVENT = '{"sender":"a","text":"b"}'


@contextmanager
def draining(hub: EventHubServer) -> Iterator[None]:
    """While the context lasts, the server drains: it waits for a client that does not leave."""
    with upgrade(hub.port, "?channel=chat.other") as stays:
        frame(stays)
        thread = stopping(hub)
        while json.loads(frame(stays)[1])["type"] != "goodbye":
            pass
        yield
    thread.join()


def test_a_draining_node_is_not_ready_and_answers_single_requests(
    among_others: Start,
) -> None:
    hub = among_others("shutdown: {grace: 60}")
    with httpx.Client(verify=False, timeout=SECONDS, trust_env=False) as kept:
        assert "connection" not in kept.get(f"{hub.url}/livez").headers
        with draining(hub):
            stored = kept.post(f"{hub.url}/v1/channels/chat.a", content=EVENT)
            assert (stored.status_code, stored.headers["connection"]) == (201, "close"), (
                "whoever keeps connections shall go elsewhere"
            )
            for client in (kept, http):  # on new connections, because the idle one was closed
                ready = client.get(f"{hub.url}/readyz")
                assert (
                    ready.status_code,
                    ready.json()["reasons"],
                    ready.headers["connection"],
                ) == (
                    503,
                    {"server": "about to stop"},
                    "close",
                )
            events = http.get(f"{hub.url}/v1/channels/chat.a?since=-1").json()["events"]
            assert [event["id"] for event in events] == [stored.json()["id"]]
            assert metric(hub.url, "eventhub_connections{") == 1
    with pytest.raises(httpx.ConnectError):
        http.get(f"{hub.url}/livez")


def test_a_draining_node_refuses_streams_with_retry_after(
    among_others: Start,
) -> None:
    hub = among_others("shutdown: {grace: 60, reconnect_within: 20}")
    with draining(hub):
        moments = set()
        for _ in range(20):
            with raw(hub.port) as sock:
                sock.sendall(HANDSHAKE)
                answer = everything(sock)
            head, _, body = answer.decode().partition("\r\n\r\n")
            assert (head[:12], json.loads(body)["code"]) == ("HTTP/1.1 503", "shutting_down")
            moments.add(int(head.partition("Retry-After: ")[2].split()[0]))
        assert len(moments) > 3, "each its own"
        assert moments <= set(range(4, 21))
        for refused in (
            http.get(f"{hub.url}/v1/channels/chat.a/ndjson"),
            http.post(
                f"{hub.url}/v1/channels/chat.a",
                content=EVENT,
                headers={"content-type": "application/x-ndjson"},
            ),
        ):
            assert (refused.status_code, refused.json()["code"], refused.headers["connection"]) == (
                503,
                "shutting_down",
                "close",
            )
            assert int(refused.headers["retry-after"]) in range(4, 21)


def test_a_draining_node_sends_an_event_source_away_with_a_goodbye_and_no_error(
    among_others: Start,
) -> None:
    hub = among_others("shutdown: {grace: 60}\nchannels: {chat: {payload: json, presence: true}}")
    with (
        draining(hub),
        sse(f"{hub.url}/v1/channels/chat.a/sse?member=late", last_event_id="k3x9-4") as blocks,
    ):
        *_, last = blocks
        assert "late" not in http.get(f"{hub.url}/v1/channels/chat.a/presence").text, (
            "nobody joins a node that is about to stop"
        )
        assert (last.name, last.id) == ("goodbye", None), "it keeps its Last-Event-ID"
        assert last.message is not None
        assert last.retry == str(round(last.message["reconnect_in"] * 1000))


def test_a_single_node_that_drains_answers_one_more_request_on_an_idle_connection(
    start: Start,
) -> None:
    hub = start()
    with httpx.Client(verify=False, timeout=SECONDS, trust_env=False) as kept:
        kept.get(f"{hub.url}/livez")
        thread = stopping(hub)
        hub.logs("draining")
        assert kept.post(f"{hub.url}/v1/channels/chat.a", content=EVENT).status_code == 201
    thread.join()


def test_a_producer_whose_body_is_not_complete_at_the_shutdown_gets_retry_after(
    start: Start,
) -> None:
    hub = start("log: {access: true, format: json}")
    with raw(hub.port) as sock:
        sock.sendall(
            b"POST /v1/channels/chat.a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
        )
        thread = stopping(hub)
        answer = everything(sock)
        thread.join()
    head, _, body = answer.decode().partition("\r\n\r\n")
    assert (head[:12], json.loads(body)["code"]) == ("HTTP/1.1 503", "shutting_down")
    assert "\r\nretry-after: " in head.lower()
    log = hub.log.read_text()
    assert "Traceback" not in log
    assert '"status": 503' in log


def test_goodbyes_are_spread_and_until_its_own_each_client_is_served(among_others: Start) -> None:
    hub = among_others("shutdown: {spread: 2}")
    sockets = [upgrade(hub.port, "?channel=chat.a") for _ in range(240)]
    for sock in sockets:
        assert [frame(sock)[0] for _ in range(2)] == [1, 1]
    begin = time.monotonic()
    thread = stopping(hub)
    (published,) = publish(hub, "chat.a", "while it drains")
    told = list(goodbyes(sockets))
    thread.join()
    moments = [moment - begin for moment, _, _ in told]
    assert 1.5 < moments[-1] < 15
    assert busiest(moments, 1) < 170, "half of all, and some play"
    assert sum(messages[0].get("id") == published for _, _, messages in told) > 200, (
        "who had not been told yet got the event"
    )
    order = [sockets.index(sock) for _, sock, _ in told]
    assert sorted(order) != order, "in no order that groups of clients have"


def test_a_second_signal_ends_it_at_once_and_says_so_by_its_exit_code(among_others: Start) -> None:
    hub = among_others("shutdown: {grace: 60}")
    publish(hub, "chat.a", "1")
    with upgrade(hub.port, "?channel=chat.a") as stays:
        frame(stays)
        assert hub.process is not None
        hub.process.send_signal(signal.SIGTERM)
        while json.loads(frame(stays)[1])["type"] != "goodbye":
            pass
        hub.process.send_signal(signal.SIGHUP)  # is not one
        assert hub.stop(signal.SIGINT) == 1
    assert "Traceback" not in hub.log.read_text()
    assert '"event": "stopped"' in hub.log.read_text(), "in good order: files are closed"


def test_a_second_signal_does_not_wait_for_requests_either(start_unforked: Start) -> None:
    hub = start_unforked()
    with raw(hub.port) as sock:
        sock.sendall(
            b"POST /v1/channels/chat.a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert sock.recv(12) == b"HTTP/1.1 100"
        assert hub.process is not None
        hub.process.send_signal(signal.SIGTERM)
        hub.logs("draining")
        assert hub.stop() == 1
        assert b" 503 " in b"".join(iter(lambda: sock.recv(65536), b""))
    log = hub.log.read_text()
    assert "Traceback" not in log
    assert "timeout graceful shutdown exceeded" not in log, (
        "that is what requests have after a first one"
    )
    assert '"event": "stopped"' in log, "and it was not given up"


@pytest.mark.parametrize("signals", [1, 2])
def test_a_shutdown_that_does_not_end_is_given_up(
    start: Start, monkeypatch: pytest.MonkeyPatch, signals: int
) -> None:
    monkeypatch.setenv("END_HANGS", "1")
    hub = start(lane="workers")
    assert hub.process is not None
    for _ in range(signals):
        hub.process.send_signal(signal.SIGTERM)
        hub.logs("draining")
    assert hub.process.wait(timeout=SECONDS) == 1
    assert '"event": "end_hangs"' in hub.log.read_text()


def test_a_closing_terminal_drains_the_server(start_unforked: Start) -> None:
    hub = start_unforked()
    with WsClient(hub.ws_url) as client:
        client.until("hello")
        assert hub.process is not None
        hub.process.send_signal(signal.SIGHUP)
        client.until("goodbye")
        assert hub.process.wait(timeout=SECONDS) == 0


def test_under_nohup_sighup_does_not_drain(start: Start) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which processes inherit
    try:
        hubs = [start(f"workers: {workers}", lane="unforked workers") for workers in (1, 2)]
    finally:
        signal.signal(signal.SIGHUP, before)
    for hub in hubs:
        assert hub.process is not None
        hub.process.send_signal(signal.SIGHUP)
        assert http.get(f"{hub.url}/livez").status_code == 200
        assert hub.stop() == 0


def test_a_broker_that_hangs_delays_no_goodbye(start: Start, tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        hub = start(f"broker: {redis.url}")
        with WsClient(f"{hub.ws_url}?channel=chat.a") as client:
            client.until("subscribed")
            redis.send_signal(signal.SIGSTOP)
            try:
                begin = time.monotonic()
                thread = stopping(hub)
                client.until("goodbye")
                assert time.monotonic() - begin < 4, (
                    "it would wait for five seconds for an answer of the broker"
                )
                thread.join()
            finally:
                redis.send_signal(signal.SIGCONT)
    assert "Traceback" not in hub.log.read_text()


def test_after_a_restart_with_the_memory_broker_readers_get_a_reset_gap(
    start: Start, lane: str
) -> None:
    hub = start(lane=lane)
    (cursor,) = publish(hub, "chat.a", "before")
    hub.restart()
    with WsClient(hub.ws_url) as client:
        (after,) = publish(hub, "chat.a", "after")
        assert client.subscribe("chat.a", since=cursor)["recovered"] is False
        gap = client.until("gap")
        assert (gap["after"], gap["before"], gap["reason"]) == (cursor, after, "reset")
        assert client.events(1)[0]["data"]["text"] == "after"


def test_after_kill_9_the_server_starts_again_on_the_same_port(start: Start) -> None:
    hub = start()
    with WsClient(hub.ws_url) as client:
        client.until("hello")
        hub.kill()
        with pytest.raises(ConnectionClosed):
            client.receive()
        hub.start()
    with WsClient(hub.ws_url) as client:
        client.until("hello")
