"""Attacks by strangers with many connections, subscriptions and frames.

What holds during each: tests/integration/attacks.py.
"""

import json
import resource
import socket
import time
import zlib
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

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
    upgrade,
)
from tests.harness.eventhub import EventHubServer
from tests.harness.witness import resident
from tests.integration.attacks import CHANNELS, FOE, HANDSHAKE, Start, attacked, drip
from tests.integration.test_tls import CONFIG as TLS
from tests.integration.test_tls import authority as authority
from tests.integration.test_tls import files as files


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
        assert answer.status_code == 413


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
