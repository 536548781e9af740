"""Mistakes of WebSocket clients. Commands are tested over both implementations, framing only over
EventHub's own.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.harness.clients import WsClient, exactly, frame, http, masked, metric, raw, upgrade
from tests.harness.eventhub import EventHubServer

Channel = Callable[[str], str]
Start = Callable[..., EventHubServer]


@pytest.mark.parametrize(
    ("text", "code", "ref"),
    [
        ("hello", "invalid_json", None),
        ("", "invalid_json", None),
        ("[1]", "invalid_frame", None),
        ("null", "invalid_frame", None),
        ('{"ref":1}', "invalid_frame", 1),
        ('{"type":"shout","ref":"a"}', "invalid_frame", "a"),
        ('{"type":5,"ref":"a"}', "invalid_frame", "a"),
        ('{"type":"subscribe","ref":1}', "invalid_frame", 1),
        ('{"type":"subscribe","ref":1,"channel":5}', "invalid_frame", 1),
        ('{"type":"subscribe","ref":1,"channel":"chat.a","sicne":"-1"}', "invalid_frame", 1),
        ('{"type":"subscribe","ref":1,"channel":"chat a"}', "invalid_channel", 1),
        ('{"type":"subscribe","ref":1,"channel":"nope.a"}', "unknown_channel", 1),
        ('{"type":"subscribe","ref":1,"channel":"chat.a","since":"soon"}', "invalid_since", 1),
        ('{"type":"subscribe","ref":1,"channel":"chat.a","member":""}', "invalid_frame", 1),
        ('{"type":"unsubscribe","ref":1,"channel":"chat.a"}', "not_subscribed", 1),
        ('{"type":"publish","ref":1,"channel":"chat.a"}', "invalid_frame", 1),
        ('{"type":"publish","ref":1,"channel":"chat.a","data":{},"key":"a b"}', "invalid_frame", 1),
        ('{"type":"ping","ref":' + "[" * 100 + "]" * 100 + "}", "too_deep", None),
        ('{"type":"ping","ref":{"a":1}}', "invalid_frame", None),
    ],
)
def test_a_bad_command_is_answered_and_the_connection_goes_on(
    lane_hub: EventHubServer, text: str, code: str, ref: Any
) -> None:
    with WsClient(lane_hub.ws_url) as client:
        client.connection.send(text)
        error = client.until("error")
        assert (error["code"], error.get("ref")) == (code, ref)
        assert error["message"]
        client.send(type="ping", ref="still")
        assert client.until("pong")["ref"] == "still"


def test_subscribing_twice_is_named(lane_hub: EventHubServer, channel: Channel) -> None:
    with WsClient(lane_hub.ws_url) as client:
        client.subscribe(channel("chat"))
        client.send(type="subscribe", channel=channel("chat"), ref=2)
        assert client.until("error")["code"] == "already_subscribed"


def test_a_thousand_subscriptions_stop_at_the_limit(
    lane_hub: EventHubServer, channel: Channel
) -> None:
    with WsClient(lane_hub.ws_url) as client:
        limit = client.receive()["limits"]["subscriptions"]
        answers = {"subscribed": 0, "error": 0}
        for begin in range(0, 1000, 500):
            for number in range(begin, begin + 500):
                client.send(type="subscribe", channel=f"{channel('chat')}-{number}")
            for _ in range(500):
                answer = client.receive()
                answers[answer["type"]] += 1
                assert answer.get("code", "too_many_subscriptions") == "too_many_subscriptions"
        assert answers == {"subscribed": limit, "error": 1000 - limit}


def test_a_message_over_the_limit_closes_with_4413(lane_hub: EventHubServer) -> None:
    with WsClient(lane_hub.ws_url) as client:
        client.send(type="publish", channel="chat.a", data={"sender": "a", "text": "x" * 70_000})
        assert client.until("error")["code"] == "payload_too_large", "in words, before the code"
        with pytest.raises(ConnectionClosed) as closed:
            client.until("published")
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4413, "payload_too_large")


def test_a_binary_message_closes_with_4415(lane_hub: EventHubServer) -> None:
    with WsClient(lane_hub.ws_url) as client:
        client.connection.send(b"{}")
        with pytest.raises(ConnectionClosed) as closed:
            client.until("pong")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4415


def test_an_unknown_channel_in_the_address_gets_an_error_and_closes_with_4404(
    lane_hub: EventHubServer,
) -> None:
    with WsClient(f"{lane_hub.ws_url}?channel=nope.a") as client:
        assert client.until("error")["code"] == "unknown_channel"
        with pytest.raises(ConnectionClosed) as closed:
            client.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4404


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (masked(b"\xff\xfe"), 1007),
        (masked(b"\xe2\x82", final=False) + masked(b"\x28", opcode=0), 1007),
        (b"\x81\x02hi", 1002),  # not masked
        (b"\xc1\x80\x00\x00\x00\x00", 1002),  # RSV1 without an extension
        (b"\x83\x80\x00\x00\x00\x00", 1002),  # reserved opcode
        (b"\x80\x80\x00\x00\x00\x00", 1002),  # nothing to continue
        (b"\x09\x80\x00\x00\x00\x00", 1002),  # fragmented ping
        (b"\x89\xfe\x00\x80", 1002),  # ping of 128 bytes
        (masked(b"a", final=False) + masked(b"b"), 1002),  # a new message within another
        (b"\x81\xfe\x00\x05", 1002),  # not the shortest length
        (b"\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00", 1002),  # the highest bit of the length
        (
            b"\x81\xff\x00\x00\x00\x10\x00\x00\x00\x00",
            4413,
        ),  # 64 GiB announced: refused before a byte of it came
        (masked(b"x" * 40_000, final=False) + masked(b"x" * 40_000, opcode=0), 4413),
        (masked(b"\x03\xe8", opcode=8), 1000),
        (masked(b"", opcode=8), None),
        (masked(b"\x03", opcode=8), 1002),
        (masked(b"\x03\xed", opcode=8), 1002),  # 1005 must not be sent
        (masked(b"\x03\xe8\xff", opcode=8), 1007),
    ],
)
def test_framing_faults_close_with_the_code_of_rfc_6455(
    hub: EventHubServer, data: bytes, code: int | None
) -> None:
    with upgrade(hub.port) as sock:
        sock.sendall(data)
        opcode = -1
        while opcode != 8:
            opcode, payload = frame(sock)
        assert (int.from_bytes(payload[:2]) if payload else None) == code
        assert sock.recv(1) == b"", "and the server closes the connection first (7.1.1)"


def test_fragments_with_pings_between_them_are_one_message(hub: EventHubServer) -> None:
    with upgrade(hub.port) as sock:
        frame(sock)
        for byte in (
            masked(b'{"type":"pi', final=False)
            + masked(b"mid", opcode=9)
            + masked(b'ng","ref":1}', opcode=0)
        ):
            sock.sendall(bytes((byte,)))
        assert frame(sock) == (10, b"mid")
        assert json.loads(frame(sock)[1]) == {"type": "pong", "ref": 1}


HEAD = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "{more}\r\n"
)
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
VERSION = "Sec-WebSocket-Version: 13\r\n"


@pytest.mark.parametrize(
    ("path", "more", "status", "code"),
    [
        ("/v1/other", KEY + VERSION, 404, "not_found"),
        ("/v1/ws", VERSION, 400, "invalid_request"),
        ("/v1/ws", "Sec-WebSocket-Key: c2hvcnQ=\r\n" + VERSION, 400, "invalid_request"),
        ("/v1/ws", "Sec-WebSocket-Key: \xff\r\n" + VERSION, 400, "invalid_request"),
        ("/v1/ws", KEY + "Sec-WebSocket-Version: 8\r\n", 400, "invalid_request"),
        ("/v1/ws", "Origin: http://evil.example\r\n" + VERSION, 400, "invalid_request"),
    ],
)
def test_a_bad_handshake_is_a_problem_document(
    hub: EventHubServer, path: str, more: str, status: int, code: str
) -> None:
    with raw(hub.port) as sock:
        sock.sendall(HEAD.format(path=path, more=more).encode("latin-1"))
        answer = b""
        while part := sock.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert json.loads(body)["code"] == code


def test_a_plain_http_request_for_a_websocket_gets_a_problem_document(hub: EventHubServer) -> None:
    response = http.get(hub.url + "/v1/ws")
    assert (response.status_code, response.json()["code"], response.headers["upgrade"]) == (
        426,
        "upgrade_required",
        "websocket",
    )


def test_garbage_instead_of_http_is_refused(hub: EventHubServer) -> None:
    with raw(hub.port) as sock:
        sock.sendall(b"\x16\x03\x01\x00 not http\r\n\r\n")
        assert exactly(sock, 12) == b"HTTP/1.1 400"


def test_replies_to_a_client_that_only_sends_are_bounded(start: Start) -> None:
    hub = start("limits: {buffer_bytes: 65536, commands: 1000000}")
    flood = masked(b'{"type":"nope","ref":"' + b"r" * 60 + b'"}') * 1000
    with upgrade(hub.port, receive_buffer=4096) as sock:
        sock.settimeout(1)
        sent = 0
        with suppress(TimeoutError):
            while sent < 200_000_000:
                sent += sock.send(flood)
        assert sent < 200_000_000
        buffered = metric(hub.url, "eventhub_buffered_bytes")
        assert 65536 <= buffered < 65536 + 4 * 1024 * 1024, (
            "the bound, and the answers to what one read can hold"
        )
