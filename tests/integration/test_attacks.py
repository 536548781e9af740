"""Attacks by strangers. During each, an honest subscriber gets every event in order, the server's
memory stays within a bound, the attacker gets an error, and the server shuts down normally.

Attackers have an address of their own, because the limits by address would otherwise affect the
honest clients.
"""

import json
import re
import resource
import socket
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from eventhub.auth.keys import hash_key
from tests.harness.clients import (
    SECONDS,
    WsClient,
    close_code,
    exactly,
    frame,
    http,
    masked,
    metric,
    raw,
    read_until,
    upgrade,
)
from tests.harness.eventhub import EventHubServer
from tests.harness.witness import Witness, resident
from tests.integration.test_tls import CONFIG as TLS
from tests.integration.test_tls import authority as authority
from tests.integration.test_tls import files as files

Start = Callable[..., EventHubServer]
FOE = "127.0.0.66"
CHANNELS = (
    "channels: {witness: {publish: [client, producer]}, "
    "chat: {payload: chat, publish: [client, producer]}}\n"
)
POST = b"POST /v1/channels/chat.a HTTP/1.1\r\nHost: localhost\r\n"


@contextmanager
def attacked(hub: EventHubServer, megabytes: float) -> Iterator[Witness]:
    """A server under attack. In the end it may hold `megabytes` more than before."""
    before = resident(hub)
    with Witness(hub) as witness:
        yield witness
        grown = resident(hub) - before
    assert witness.delays, "the honest one was served"
    assert grown < megabytes, f"{grown:.0f} MiB more than before"
    assert hub.stop() == 0
    assert "Traceback" not in hub.log.read_text()


def drip(socks: list[socket.socket], seconds: float) -> dict[socket.socket, bytes]:
    """Send a byte on each socket again and again, until each was answered or the time is up.

    Returns the beginnings of the answers.
    """
    answers: dict[socket.socket, bytes] = {}
    deadline = time.monotonic() + seconds
    for sock in socks:
        sock.settimeout(0)
    while len(answers) < len(socks) and time.monotonic() < deadline:
        time.sleep(0.05)  # the attack: slow
        for sock in socks:
            if sock in answers:
                continue
            with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                sock.send(b"x")
            with suppress(BlockingIOError):
                try:
                    answers[sock] = sock.recv(4096)
                except ConnectionResetError:
                    answers[sock] = b"reset"
    return answers


def flood(socks: list[socket.socket], data: bytes, seconds: float) -> int:
    """Send as fast as the server reads, and read nothing.

    Returns the number of bytes that the server read.
    """
    taken, deadline = dict.fromkeys(socks, 0), time.monotonic() + seconds
    for sock in socks:
        sock.settimeout(0)
    while time.monotonic() < deadline:
        for sock in socks:
            with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                taken[sock] += sock.send(data[taken[sock] % len(data) :])
        time.sleep(0.001)  # the attacker shares this machine with the witness
    return sum(taken.values())


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


def answer(sock: socket.socket) -> bytes:
    """The next message, a JSON object."""
    return read_until(sock, b"}")


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


def test_slow_frames_are_closed_with_4408(start: Start) -> None:
    hub = start(CHANNELS + "limits: {body_seconds: 1}")
    with attacked(hub, 20), ExitStack() as stack:
        socks = [
            stack.enter_context(upgrade(hub.port, "?channel=chat.a", source=FOE))
            for _ in range(300)
        ]
        for sock in socks:
            frame(sock), frame(sock)  # hello, subscribed
            sock.sendall(b"\x81\xfe\xea\x60key!")  # 60,000 bytes follow, says the header
        answers = drip(socks, 60)
        assert len(answers) == 300
        assert all(b"request_timeout" in answer for answer in answers.values())


def test_tls_handshakes_that_do_not_end_are_given_up(
    start: Start, files: Mapping[str, str]
) -> None:
    hub = start(TLS.replace("buffer_bytes", "head_seconds: 1, buffer_bytes"), files=files)
    before = resident(hub)
    with ExitStack() as stack:
        silent = [stack.enter_context(raw(hub.port, source=FOE)) for _ in range(150)]
        begun = [stack.enter_context(raw(hub.port, source=FOE)) for _ in range(150)]
        for sock in begun:
            sock.sendall(
                b"\x16\x03\x01\x02\x00\x01\x00\x01"
            )  # a ClientHello of 512 bytes, its beginning
        for sock in silent + begun:
            assert sock.recv(1) == b""
        assert http.get(f"{hub.url}/livez").status_code == 200
    assert resident(hub) - before < 60
    assert hub.stop() == 0
    assert "Traceback" not in hub.log.read_text()


def test_a_flood_of_connections_ends_at_the_limit_of_its_address(start: Start) -> None:
    hub = start(
        CHANNELS
        + "limits: {connections_per_address: 300, first_frame_seconds: 60, head_seconds: 60}"
    )
    with attacked(hub, 20), ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(upgrade(hub.port, source=FOE))
        refused = 0
        for _ in range(700):
            with raw(hub.port, source=FOE) as sock:
                refused += exactly(sock, 12) == b"HTTP/1.1 429"
        assert refused == 700


def test_a_node_without_free_descriptors_keeps_its_connections_and_recovers(start: Start) -> None:
    hub = start(CHANNELS + "limits: {connections_per_address: 1000}")
    assert hub.process is not None
    with attacked(hub, 20), WsClient(f"{hub.ws_url}?channel=chat.a") as early:
        early.until("subscribed")
        resource.prlimit(
            hub.process.pid, resource.RLIMIT_NOFILE, (100, 100)
        )  # it does not know: as if files had leaked
        with ExitStack() as stack:
            socks = [stack.enter_context(raw(hub.port, source=FOE)) for _ in range(400)]
            for sock in socks[-50:]:
                assert sock.recv(1) == b"", (
                    "accepted and closed: left waiting they would be announced again and again"
                )
            begin, used = time.monotonic(), cpu_seconds(hub.process.pid)
            time.sleep(1)  # during which an accept that spins would use up the core
            assert cpu_seconds(hub.process.pid) - used < 0.7 * (time.monotonic() - begin)
            early.send(type="ping", ref=1)
            early.until("pong")
        hub.answers("/livez", 200)


def test_watchers_with_full_buffers_disturb_nobody_and_get_the_members_once_they_read(
    start: Start,
) -> None:
    config = (
        "limits: {buffer_bytes: 65536}\n"
        "channels: {witness: {}, logs: {}, chat: {payload: chat, presence: true}}\n"
    )
    hub = start(config)
    lines = json.dumps([{"pad": "x" * 2000}] * 200)
    assert http.post(f"{hub.url}/v1/channels/logs.long", content=lines).status_code == 201
    with attacked(hub, 200), ExitStack() as stack:
        socks = [
            stack.enter_context(upgrade(hub.port, receive_buffer=4096, source=FOE))
            for _ in range(190)
        ]
        for number, sock in enumerate(socks):
            command = {
                "type": "subscribe",
                "channel": "chat.a",
                "member": f"m{number}",
                "presence": True,
            }
            sock.sendall(masked(json.dumps(command).encode()))
        hub.eventually("190 members", lambda: members(hub), lambda seen: len(seen) == 190)
        for sock in socks:  # they read nothing of their answers
            sock.sendall(masked(b'{"type":"subscribe","channel":"logs.long","since":"earliest"}'))
        hub.eventually(
            "full buffers",
            lambda: metric(hub.url, "eventhub_buffered_bytes"),
            lambda seen: seen > 190 * 2 * 65536,
        )
        before = metric(hub.url, "eventhub_buffered_bytes")
        with WsClient(hub.ws_url) as ana:
            ana.send(type="subscribe", channel="chat.a", member="ana", presence=True)
            known = {member["id"] for member in ana.until("subscribed")["members"]}
            for sock in socks[1:]:
                sock.close()
            while known != {"m0", "ana"}:
                message = ana.receive()
                if message["type"] == "presence":
                    known = {member["id"] for member in message["members"]}
                else:
                    known ^= {message["member"]["id"]}
            assert metric(hub.url, "eventhub_buffered_bytes") <= before, (
                "who has no room is written nothing"
            )
            told = iter(
                lambda: json.loads(frame(socks[0])[1]), None
            )  # some get a list, some the changes since they began
            assert any(message.get("members") == [{"id": "m0"}, {"id": "ana"}] for message in told)


def members(hub: EventHubServer) -> list[dict[str, str]]:
    """The members of chat.a."""
    found: list[dict[str, str]] = http.get(f"{hub.url}/v1/channels/chat.a/presence").json()[
        "members"
    ]
    return found


def test_a_flood_of_subscriptions_stops_at_the_limit_and_gives_its_memory_back(
    start: Start,
) -> None:
    hub = start(CHANNELS + "limits: {commands: 100000}")
    with attacked(hub, 60):
        with ExitStack() as stack:
            clients = [
                stack.enter_context(WsClient(hub.ws_url, source_address=(FOE, 0)))
                for _ in range(30)
            ]
            for number, client in enumerate(clients):
                for channel in range(200):
                    client.send(type="subscribe", channel=f"chat.{number}-{channel}")
            for client in clients:
                kinds = [client.receive()["type"] for _ in range(201)]
                assert (kinds.count("subscribed"), kinds.count("error")) == (128, 72)
        hub.shows("eventhub_channels", 1)


def test_subscribing_to_ever_new_channels_leaves_nothing_behind(start: Start) -> None:
    hub = start(CHANNELS + "limits: {commands: 100000, channels: 500}")
    with attacked(hub, 30), WsClient(hub.ws_url, source_address=(FOE, 0)) as client:
        client.until("hello")
        for begin in range(0, 5_000, 100):
            for number in range(begin, begin + 100):
                client.send(type="subscribe", channel=f"chat.{number}")
                client.send(type="unsubscribe", channel=f"chat.{number}")
            for _ in range(100):
                client.until("unsubscribed")
        assert metric(hub.url, 'eventhub_channels{type="chat"}') == 0


@pytest.mark.parametrize(
    "data",
    [
        masked(b"x" * 125, opcode=9) * 400,
        masked(b"", opcode=10) * 8000,
        masked(b'{"type":"nope"}') * 2000,
        masked(b"[", final=False)
        + masked(b"", opcode=0, final=False) * 8000
        + masked(b"]", opcode=0),
    ],
    ids=["large pings", "pongs", "nonsense", "empty fragments"],
)
def test_a_flood_of_frames_is_taken_at_its_pace(start: Start, data: bytes) -> None:
    hub = start(CHANNELS + "limits: {commands: 100}")
    with attacked(hub, 40) as witness, ExitStack() as stack:
        socks = [stack.enter_context(upgrade(hub.port, source=FOE)) for _ in range(40)]
        before, deadline = len(witness.delays), time.monotonic() + 8 * SECONDS
        flood(socks, data, 2)
        while len(witness.delays) < before + 10:
            assert time.monotonic() < deadline, (
                "the honest one is served meanwhile; `make flood` measures how soon"
            )
            flood(socks, data, 0.5)
        # their share of the loop may be smaller than their pace: then their messages wait
        while metric(hub.url, 'eventhub_refused_total{limit="commands"}') < len(socks):
            assert time.monotonic() < deadline, "each of them is made to wait"


def test_pipelined_requests_are_bounded(start: Start) -> None:
    hub = start(CHANNELS)
    with attacked(hub, 40), ExitStack() as stack:
        socks = [stack.enter_context(raw(hub.port, source=FOE)) for _ in range(50)]
        flood(socks, b"GET /v1/types HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200, 3)


def test_a_compressed_message_is_inflated_up_to_the_limit_and_no_further(start: Start) -> None:
    hub = start(CHANNELS + "compression: true")
    pack = zlib.compressobj(wbits=-15)
    bomb = pack.compress(bytes(50_000_000)) + pack.flush(zlib.Z_SYNC_FLUSH)[:-4]
    assert len(bomb) < 60_000
    packed = masked(bomb)
    with attacked(hub, 30):
        for _ in range(50):
            with raw(hub.port, source=FOE) as sock:
                sock.sendall(HANDSHAKE + bytes((packed[0] | 0x40,)) + packed[1:])
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += sock.recv(1)
                assert b"permessage-deflate" in head
                assert close_code(sock) == 4413
        answer = http.post(
            f"{hub.url}/v1/channels/chat.a", content=bomb, headers={"Content-Encoding": "deflate"}
        )
        assert answer.status_code == 415


HANDSHAKE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)


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


def alive(hub: EventHubServer) -> bool:
    with suppress(Exception):
        return http.get(f"{hub.url}/livez").status_code == 200
    return False


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
