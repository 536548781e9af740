"""Nodes that fail, and checks of what the proxy before them answers."""

import re
import socket
import threading

from tests.harness.clients import http

STOPPING = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
READY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Failing:
    """A node that dies of each request, or gives this answer.

    `taken` counts the requests. Its health check always succeeds.
    """

    def __init__(self, answer: bytes = b"") -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.taken = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            with sock:
                if sock.recv(65536).startswith(b"GET /readyz "):
                    sock.sendall(READY)
                    continue
                self.taken += 1
                sock.sendall(self._answer)


def assert_all_come_back(url: str, status: int) -> None:
    """An EventSource gets 200, because it gives up at any other status (WHATWG HTML, 9.2.3).

    Other clients get this status and Retry-After.
    """
    for path in ("/v1/sse?channel=chat.a", "/v1/channels/chat.a/sse"):
        answer = http.get(url + path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
        assert answer.headers["access-control-allow-origin"] == "*", (
            "a page of another origin would not see that it is 200"
        )
        hint = re.fullmatch(r"retry: (\d+)\n\n", answer.text)
        assert hint is not None, answer.text
        assert 1000 <= int(hint[1]) <= 3000
    channel = "/v1/channels/chat.a"
    for method, path in (("POST", channel), ("PUT", channel), ("GET", channel), ("GET", "/v1/ws")):
        answer = http.request(method, url + path, json={})
        assert (answer.status_code, answer.headers["content-type"]) == (
            status,
            "application/problem+json",
        ), method + path
        assert answer.json()["code"] == "no_node"
        assert 1 <= int(answer.headers["retry-after"]) <= 3
        assert answer.headers["cache-control"] == "no-store"
