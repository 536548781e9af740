"""Limits on connections, and what who is refused gets to see."""

import json
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from tests.clients import WsClient, frame, http, metric, ndjson, raw, sse, upgrade
from tests.harness import EventHubServer

Start = Callable[..., EventHubServer]
REQUEST = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def everything(sock: socket.socket) -> bytes:
    answer = b""
    while part := sock.recv(65536):
        answer += part
    return answer


def refused(answer: bytes) -> tuple[bytes, str, bool]:
    """Status, code and whether it says when to come again."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return head[9:12], json.loads(body)["code"], b"\r\nretry-after: 1" in head.lower()


def test_a_full_node_says_so_whatever_is_sent_and_serves_again_when_there_is_room(start: Start) -> None:
    hub = start("limits: {connections: 3}")
    with ExitStack() as stack:
        inside = [stack.enter_context(upgrade(hub.port)) for _ in range(3)]
        for request in (b"", REQUEST, b"POST /v1/channels/chat.a HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + b"x" * 100_000):
            with raw(hub.port) as sock:
                sock.sendall(request)
                assert refused(everything(sock)) == (b"503", "node_full", True)
        inside[0].close()
        while http.get(f"{hub.url}/livez").status_code != 200:
            pass  # until the server has seen it go
        for sock in inside[1:]:
            frame(sock)


def test_an_address_with_too_many_connections_is_told_what_to_do(start: Start) -> None:
    hub = start("limits: {connections_per_address: 3}")
    with ExitStack() as stack:
        stack.enter_context(upgrade(hub.port))
        stack.enter_context(raw(hub.port))
        stack.enter_context(sse(f"{hub.url}/v1/channels/chat.a/sse"))
        answer = http.get(f"{hub.url}/livez")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert answer.json()["code"] == "too_many_connections"
        assert "name it in `proxies`" in answer.json()["detail"]
    while http.get(f"{hub.url}/livez").status_code != 200:
        pass
    for _ in range(10):
        with WsClient(hub.ws_url) as client:
            client.until("hello")
    assert metric(hub.url, "eventhub_connections") < 3


@pytest.mark.parametrize("lane", ["fast", "asgi"])
def test_behind_a_proxy_each_client_has_a_share_of_its_own(start: Start, lane: str) -> None:
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
        with pytest.raises(Exception, match="HTTP 429" if lane == "fast" else "HTTP 403"), WsClient(hub.ws_url, additional_headers=ana):
            pass
        assert status("GET", bo) == 200
        assert status("GET", ana, url=f"{hub.url}/livez") == 200, "a request that ends soon needs no place"
    while status("GET", ana) == 429:
        pass


def test_a_trusted_proxy_may_have_as_many_connections_as_it_needs(start: Start) -> None:
    hub = start("proxies: [127.0.0.1]\nlimits: {connections_per_address: 2}")
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(raw(hub.port))
            stack.enter_context(upgrade(hub.port))
        with ndjson(f"{hub.url}/v1/channels/chat.a/ndjson") as messages:
            assert next(messages)["type"] == "subscribed"
