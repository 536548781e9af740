"""Attacks by strangers with requests that are slow, unfinished or wrong.

What holds during each: tests/integration/attacks.py.
"""

import json
import re
import socket
import time
from contextlib import ExitStack, suppress

import pytest

from eventhub.auth.keys import hash_key
from tests.harness.clients import (
    WsClient,
    http,
    metric,
    raw,
)
from tests.integration.attacks import CHANNELS, FOE, HANDSHAKE, Start, answer, attacked, drip
from tests.integration.test_tls import authority as authority
from tests.integration.test_tls import files as files

POST = b"POST /v1/channels/chat.a HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    ("begun", "limit"),
    [
        (b"GET /livez HTTP/1.1\r\nHost: ", "head_seconds"),
        (POST + b"Content-Length: 100000\r\n\r\n", "body_seconds"),
    ],
)
def test_slow_heads_and_bodies_are_answered_408(start: Start, begun: bytes, limit: str) -> None:
    hub = start(CHANNELS + "limits: {head_seconds: 1, body_seconds: 1}")
    with attacked(hub, 20), ExitStack() as stack:
        socks = [stack.enter_context(raw(hub.port, source=FOE)) for _ in range(300)]
        for sock in socks:
            sock.sendall(begun)
        answers = drip(socks, 60)
        assert {answer[:12] for answer in answers.values()} <= {b"HTTP/1.1 408", b"reset"}, (
            "the answer may be lost behind a reset"
        )
        assert len(answers) == 300
        assert metric(hub.url, f'eventhub_refused_total{{limit="{limit}"}}') == 300


UNREAD = b" /livez HTTP/1.1\r\nHost: localhost\r\n"


def endings(socks: list[socket.socket], data: bytes, seconds: float) -> list[bytes]:
    """Everything that each socket receives to its end, while it sends `data` again and again."""
    answers = dict.fromkeys(socks, b"")
    waiting, deadline = set(socks), time.monotonic() + seconds
    for sock in socks:
        sock.settimeout(0)
    while waiting:
        assert time.monotonic() < deadline, f"{len(waiting)} are still open"
        time.sleep(0.05)  # the attack: slow
        for sock in list(waiting):
            with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                sock.send(data)
            with suppress(BlockingIOError):
                if part := sock.recv(4096):
                    answers[sock] += part
                else:
                    waiting.discard(sock)
    return list(answers.values())


@pytest.mark.parametrize(
    ("begun", "more", "status"),
    [
        (b"POST" + UNREAD + b"Content-Length: 1000000\r\n\r\n", b"x", 405),
        (b"POST" + UNREAD + b"Content-Length: 1000000\r\nConnection: close\r\n\r\n", b"x", 405),
        (b"POST" + UNREAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 405),
        (b"GET" + UNREAD + b"Content-Length: 1000000\r\n\r\n", b"x", 200),
        (b"GET" + UNREAD + b"\r\n", b"\r\n", 200),
        (POST + b"Content-Length: 100000000\r\n\r\n", b"x" * 100_000, 413),
    ],
    ids=["refused", "refused and closed", "chunks", "not read", "line breaks", "too large"],
)
def test_bytes_sent_after_an_answer_keep_no_connection_open_and_the_answer_arrives(
    start: Start, begun: bytes, more: bytes, status: int
) -> None:
    hub = start(CHANNELS + "limits: {keep_alive_seconds: 2}")
    with attacked(hub, 20), ExitStack() as stack:
        socks = [stack.enter_context(raw(hub.port, source=FOE)) for _ in range(100)]
        for sock in socks:
            sock.sendall(begun)
        answers = endings(socks, more, 60)
        assert all(
            answer.startswith(b"HTTP/1.1 %d " % status) and answer.endswith(b"}")
            for answer in answers
        )
        assert all(answer.count(b"HTTP/1.1") == 1 for answer in answers)


def test_a_small_body_may_arrive_after_the_answer_and_the_connection_is_kept(start: Start) -> None:
    hub = start(CHANNELS)
    with raw(hub.port) as sock:
        for _ in range(3):
            sock.sendall(b"POST" + UNREAD + b"Content-Length: 3\r\n\r\n")
            assert answer(sock)[:12] == b"HTTP/1.1 405"
            sock.sendall(b"abc")
        time.sleep(1.5)  # longer than the rest of a body may take: it has arrived
        sock.sendall(b"GET" + UNREAD + b"\r\n")
        assert answer(sock)[:12] == b"HTTP/1.1 200"


KNOWN = {name: f"ehk_{name}" + "0" * 40 for name in ("foe", "friend", "root")}
GUARDED = f"""
limits: {{connections_per_principal: 20, body_seconds: 3}}
channels:
  witness: {{anonymous: [publish, subscribe]}}
  chat: {{payload: json}}
auth:
  public_metrics: true
  keys:
    - {{name: foe, hash: "{hash_key(KNOWN["foe"])}", publish: [">"]}}
    - {{name: friend, hash: "{hash_key(KNOWN["friend"])}", publish: [">"]}}
    - {{name: root, hash: "{hash_key(KNOWN["root"])}", operator: true}}
"""


def authorized(name: str, length: int, path: str = "/v1/channels/chat.a") -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {KNOWN[name]}\r\nContent-Length: {length}\r\n\r\n".encode()
    )


def test_unfinished_bodies_count_among_the_connections_of_their_principal(start: Start) -> None:
    hub = start(GUARDED.replace("body_seconds: 3", "body_seconds: 30"))
    with attacked(hub, 120), ExitStack() as stack:  # 20 bodies are 80 MiB
        held = [stack.enter_context(raw(hub.port, source=FOE)) for _ in range(20)]
        beginning = b"[" + b"1" * 4_000_000
        for sock in held:
            sock.sendall(authorized("foe", 4_000_002) + beginning)

        def one_more() -> bool:
            with raw(hub.port, source=FOE) as sock:
                sock.sendall(authorized("foe", 4_000_002) + beginning[:100])
                sock.settimeout(0.2)
                with suppress(TimeoutError):  # until all twenty are read
                    return b"too_many_connections" in answer(sock)
            return False

        hub.eventually("one body too many to be refused", one_more)
        for name in ("foe", "friend"):
            with raw(hub.port) as sock:
                sock.sendall(authorized(name, 1) + b"1")
                assert answer(sock).startswith(b"HTTP/1.1 201"), (
                    "a body that comes with its head needs no place"
                )
        with raw(hub.port) as sock:
            sock.sendall(authorized("friend", 3) + b"[")
            time.sleep(0.1)  # so that the body comes in pieces
            sock.sendall(b"1]")
            assert answer(sock).startswith(b"HTTP/1.1 201"), (
                "another principal has places of its own"
            )
        for sock in held:
            sock.close()
        hub.shows("eventhub_connections", 1)


def test_an_operator_s_body_that_does_not_end_is_given_up(start: Start) -> None:
    hub = start(GUARDED.replace("body_seconds: 3", "body_seconds: 1"))
    with attacked(hub, 20), raw(hub.port, source=FOE) as sock:
        sock.sendall(authorized("root", 4000, "/v1/admin/blocks") + b"{")
        (got,) = endings([sock], b" ", 60)
        assert got.startswith(b"HTTP/1.1 408")
        assert metric(hub.url, 'eventhub_refused_total{limit="body_seconds"}') == 1


def test_two_hosts_are_refused(start: Start) -> None:
    hub = start(CHANNELS)
    for request in (b"GET" + UNREAD, HANDSHAKE[:-2]):
        with raw(hub.port) as sock:
            sock.sendall(request + b"host: elsewhere\r\n\r\n")
            got = everything(sock)
            assert got.startswith(b"HTTP/1.1 400")
            assert b"more than one header Host" in got


def test_a_line_that_never_ends_is_not_kept(start: Start) -> None:
    hub = start(CHANNELS)
    with attacked(hub, 30), raw(hub.port, source=FOE) as sock:
        sock.sendall(
            POST + b"Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(640):
            sock.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        sock.sendall(b"1\r\n\n\r\n0\r\n\r\n")
        answer = b""
        while part := sock.recv(65536):
            answer += part
        assert b"payload_too_large" in answer
        assert b'"line":1,"accepted":0,"rejected":1' in answer


NAMES = [
    "a\nb", "a\r\nX-Evil: yes", "\x1b[31mred\x1b[0m", "\x00", "a%00b", "%0a%0d", "%1b%5b31m",
    "%252e%252e", "..", "chat..a", ".chat",
    "chat.", "x" * 201, "chat." + "x" * 5000, "chat.\u202ea", "chat.a b", "<script>", '"}',
    "chat.{}", "chat.a;b", "chat.%s%n", "${jndi:ldap://x}",
]  # fmt: skip


@pytest.mark.parametrize(
    ("lane", "log"), [("fast", "json"), ("fast", "console"), ("asgi", "console")]
)
def test_hostile_names_reach_no_log_no_label_and_no_header(
    start: Start, lane: str, log: str
) -> None:
    hub = start(CHANNELS + f"log: {{access: true, level: debug, format: {log}}}", lane=lane)
    with WsClient(hub.ws_url) as client:
        for name in NAMES:
            client.send(type="subscribe", channel=name)
            message = client.until("error")
            assert message["code"] in ("invalid_channel", "unknown_channel")
            assert len(message["message"]) < 600
            assert printable(message["message"])
    for name in NAMES:
        quoted = "".join(f"%{byte:02x}" for byte in name.encode())
        for path in (
            "POST /v1/channels/{}",
            "GET /v1/channels/{}/sse",
            "GET /v1/types/{}",
            "GET /v1/sse?channel={}",
            "GET /{}",
        ):
            with raw(hub.port) as sock:
                sock.sendall(
                    f"{path.format(quoted)} HTTP/1.1\r\nHost: localhost\r\n"
                    "Connection: close\r\nContent-Length: 0\r\n\r\n".encode()
                )
                head, _, body = everything(sock).partition(b"\r\n\r\n")
            assert 400 <= int(head[9:12]) < 500, (name, path, head)
            assert b"evil" not in head.lower()
            problem = json.loads(body)
            assert len(problem["detail"]) < 600
            assert printable(problem["detail"])
    text = http.get(f"{hub.url}/metrics").text
    assert not re.search(r"[Ee]vil|\[31m|<script|jndi|xxx", text)
    hub.stop()
    for line in hub.log.read_bytes().splitlines():
        assert printable(line.decode()), line
        if log == "json":
            json.loads(line)


def printable(text: str) -> bool:
    """Whether it has no character that moves a terminal's cursor or ends a line."""
    return all(character.isprintable() for character in text)


def everything(sock: socket.socket) -> bytes:
    got = b""
    with suppress(ConnectionResetError):
        while part := sock.recv(65536):
            got += part
    return got
