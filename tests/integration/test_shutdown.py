"""SIGTERM: goodbye, flushed buffers, 1012, and readers that come back."""

import json
import signal
import threading
import time
from collections.abc import Callable

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.clients import SECONDS, WsClient, frame, http, ndjson, raw, sse, upgrade
from tests.harness import EventHubServer

Start = Callable[..., EventHubServer]


def stopping(hub: EventHubServer) -> threading.Thread:
    """Stop the server in the background."""
    thread = threading.Thread(target=hub.stop)
    thread.start()
    return thread


def publish(hub: EventHubServer, channel: str, *texts: str) -> list[str]:
    body = json.dumps([{"sender": "a", "text": text} for text in texts])
    return [result["id"] for result in http.post(f"{hub.url}/v1/channels/{channel}", content=body).json()["results"]]


@pytest.fixture(params=["fast", "asgi"])
def lane(request: pytest.FixtureRequest) -> str:
    assert isinstance(request.param, str)
    return request.param


def test_a_websocket_gets_what_is_due_then_goodbye_then_1012(start: Start) -> None:
    hub = start("shutdown: {reconnect_within: 3}")
    with WsClient(f"{hub.ws_url}?channel=chat.a") as client:
        client.until("subscribed")
        publish(hub, "chat.a", *map(str, range(100)))
        thread = stopping(hub)
        assert [event["data"]["text"] for event in client.events(100)] == [str(n) for n in range(100)]
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


def test_each_client_is_told_a_moment_of_its_own(start: Start) -> None:
    hub = start()
    sockets = [upgrade(hub.port) for _ in range(20)]
    for sock in sockets:
        frame(sock)
    thread = stopping(hub)
    moments = {json.loads(frame(sock)[1])["reconnect_in"] for sock in sockets}
    for sock in sockets:
        sock.close()
    thread.join()
    assert len(moments) > 10


def test_streams_say_goodbye_and_end(start: Start) -> None:
    hub = start()
    with sse(f"{hub.url}/v1/channels/chat.a/sse") as blocks, ndjson(f"{hub.url}/v1/channels/chat.a/ndjson") as lines:
        assert next(lines)["type"] == "subscribed"
        thread = stopping(hub)
        *_, last = blocks
        assert (last.name, last.message is not None and last.message["code"]) == ("goodbye", "shutting_down")
        assert last.message is not None
        assert last.retry == str(round(last.message["reconnect_in"] * 1000))
        *_, line = lines
        assert line["type"] == "goodbye"
        thread.join()


def test_a_producer_mid_stream_is_told_what_is_stored(start: Start) -> None:
    hub = start()
    with raw(hub.port) as sock:
        sock.sendall(
            b"POST /v1/channels/logs.a HTTP/1.1\r\nHost: [::1]\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        line = b'{"level":"info","message":"a"}\n'
        sock.sendall(b"%x\r\n%b\r\n" % (len(line), line))
        answer = b""
        while b'"accepted":1' not in answer:
            answer += sock.recv(65536)
        thread = stopping(hub)
        while part := sock.recv(65536):
            answer += part
        thread.join()
    assert b'"accepted":1,"rejected":0' in answer
    assert b'"done":false,"error":{"code":"shutting_down"' in answer


def test_a_client_that_does_not_go_is_cut_off_within_the_bound(start: Start) -> None:
    hub = start("{limits: {buffer_bytes: 65536}, shutdown: {grace: 0.5}}")
    with upgrade(hub.port, "?channel=chat.a", receive_buffer=4096) as sock:
        frame(sock)
        begin = time.monotonic()
        assert hub.stop() == 0, "an orderly stop is a success"
        assert time.monotonic() - begin < SECONDS
    assert "Traceback" not in hub.log.read_text()


def test_a_stream_that_does_not_read_is_cut_off_within_the_bound(start: Start) -> None:
    hub = start("{limits: {buffer_bytes: 4194304, body_bytes: 8388608}, shutdown: {grace: 0.5}, channels: {big: {history: {events: 0}}}}")
    with raw(hub.port, receive_buffer=4096) as sock:
        sock.sendall(b"GET /v1/channels/big.a/ndjson HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while b"subscribed" not in sock.recv(4096):
            pass
        body = json.dumps(["x" * 50_000] * 60)
        assert http.post(f"{hub.url}/v1/channels/big.a", content=body).status_code == 201
        begin = time.monotonic()
        assert hub.stop() == 0
        assert time.monotonic() - begin < SECONDS
    log = hub.log.read_text()
    assert '"event": "cut_off"' in log
    assert "Traceback" not in log


def test_sigint_stops_as_well(start: Start) -> None:
    hub = start()
    with WsClient(hub.ws_url) as client:
        client.until("hello")
        assert hub.process is not None
        hub.process.send_signal(signal.SIGINT)
        client.until("goodbye")
        hub.process.wait(timeout=SECONDS)


def test_while_it_drains_it_is_not_ready_and_takes_nothing_new(start: Start) -> None:
    hub = start("shutdown: {grace: 2}")
    with httpx.Client(timeout=SECONDS) as kept, upgrade(hub.port, "?channel=chat.a") as stays:
        kept.get(f"{hub.url}/livez")  # a connection that was open before
        thread = stopping(hub)
        while json.loads(frame(stays)[1])["type"] != "goodbye":
            pass
        ready = kept.get(f"{hub.url}/readyz")
        assert (ready.status_code, ready.json()["reasons"]) == (503, {"server": "about to stop"})
        refused = kept.post(f"{hub.url}/v1/channels/chat.a", content='{"sender":"a","text":"b"}')
        assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "shutting_down", "1")
        with pytest.raises(httpx.ConnectError):
            http.get(f"{hub.url}/livez")
    thread.join()


def test_after_a_restart_readers_are_told_that_the_memory_log_is_gone(start: Start, lane: str) -> None:
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
