"""Key sets of an issuer that come late, change, or are away, with real connections."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.harness.clients import SECONDS, WsClient, frame, http, masked, raw, upgrade
from tests.harness.credentials import jwk, private, token
from tests.harness.eventhub import EventHubServer
from tests.harness.jwks_server import JwksServer
from tests.integration.auth_servers import (  # noqa: F401
    EVERYTHING,
    LANES,
    MESSAGE,
    bearer,
    code,
    in_header,
    server_fixture,
    servers_fixture,
)

Start = Callable[..., EventHubServer]


def fetching(issuer: JwksServer) -> str:
    return (
        "log: {access: true, level: debug, format: json}\nlimits: {bad_credentials: 100000}\n"
        f"auth: {{tokens: {{jwks: '{issuer.url}', issuer: i, audience: a}}, "
        "public_metrics: true}\n"
        "channels: {chat: {payload: chat, publish: [client, producer]}}"
    )


def theirs(number: int = 1, **more: Any) -> str:
    return token(
        "RS256",
        private("RS256", number),
        header={"kid": str(number)},
        iss="i",
        aud="a",
        channels=EVERYTHING,
        **more,
    )


@pytest.mark.parametrize("lane", LANES)
def test_many_clients_that_arrive_before_the_key_set_are_served_after_one_fetch(
    start: Start, lane: str
) -> None:
    with JwksServer(jwk("RS256", "1", 1)) as issuer:
        issuer.open.clear()
        server = start(fetching(issuer), lane, ready=503)
        assert http.get(f"{server.url}/readyz").json()["reasons"] == {
            "auth": "the JSON Web Key Set has not been fetched yet"
        }

        def by_http(number: int) -> bool:
            return (
                http.post(
                    f"{server.url}/v1/channels/chat.a",
                    headers=bearer(theirs(sub=f"h{number}")),
                    json=MESSAGE,
                ).status_code
                == 201
            )

        def by_handshake(number: int) -> bool:
            with in_header(server, theirs(sub=f"w{number}")) as client:
                return bool(client.receive()["type"] == "hello")

        def by_message(number: int) -> bool:
            with WsClient(server.ws_url) as client:
                client.receive()
                for command in (
                    {"type": "auth", "token": theirs(sub=f"m{number}")},
                    {"type": "subscribe", "channel": "chat.b"},
                    {"type": "ping"},
                ):
                    client.connection.send(json.dumps(command))
                return client.receive()["type"] == "authenticated" and {
                    client.receive()["type"] for _ in range(2)
                } == {
                    "subscribed",
                    "pong",
                }

        with ThreadPoolExecutor(30) as pool:
            waiting = [
                pool.submit(way, number)
                for number in range(10)
                for way in (by_http, by_handshake, by_message)
            ]
            assert issuer.asked.wait(SECONDS)
            server.eventually(
                "connections to be counted",
                lambda: http.get(f"{server.url}/metrics").text,
                lambda seen: "eventhub_connections" in seen,
            )
            issuer.open.set()
            assert all(future.result() for future in waiting)
        assert len(issuer.requests) <= 2, (
            "one for thirty that ask, or two if it took more than five seconds"
        )
        assert http.get(f"{server.url}/readyz").json() == {"status": "ok", "reasons": {}}
        assert "eyJ" not in server.log.read_text()


def test_an_event_source_that_waits_for_the_keys_when_the_server_stops_comes_back(
    start: Start,
) -> None:
    with JwksServer() as issuer:
        issuer.open.clear()
        server = start(fetching(issuer), ready=503)
        with raw(server.port) as sock:
            sock.sendall(
                b"GET /v1/channels/chat.a/sse HTTP/1.1\r\nHost: localhost\r\n"
                b"Authorization: Bearer %b\r\n\r\n" % theirs().encode()
            )
            assert issuer.asked.wait(SECONDS)
            assert server.stop() == 0
            answer = b"".join(iter(lambda: sock.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"event: goodbye\n" in answer
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("lane", LANES)
def test_while_the_key_set_is_away_clients_are_told_to_come_back_until_it_is_there(
    start: Start, lane: str
) -> None:
    with JwksServer() as issuer:
        port = issuer.port
    server = start(fetching(issuer), lane, ready=503)
    url = f"{server.url}/v1/channels/chat.a"
    server.eventually(
        "a reason why it is not ready",
        lambda: http.get(f"{server.url}/readyz").json()["reasons"]["auth"],
        lambda seen: "URLError" in seen,
    )
    answer = http.post(url, headers=bearer(theirs()), json=MESSAGE)
    assert code(answer) == (503, "keys_unavailable")
    assert answer.headers["retry-after"] == "1"
    with WsClient(server.ws_url) as client:
        client.send(type="auth", token=theirs())
        assert client.until("error")["code"] == "keys_unavailable"
        with pytest.raises(InvalidStatus) as refused:
            in_header(server, theirs())
        assert refused.value.response.status_code == (503 if lane == "fast" else 403)
        with JwksServer(jwk("RS256", "1", 1), port=port):
            server.answers("/readyz", 200)
        assert http.post(url, headers=bearer(theirs()), json=MESSAGE).status_code == 201
        client.send(type="auth", token=theirs())
        client.until("authenticated")


def test_a_key_that_the_issuer_adds_is_found_and_one_that_it_removes_is_refused(
    start: Start,
) -> None:
    with JwksServer(jwk("RS256", "1", 1)) as issuer:
        server = start(fetching(issuer))
        url = f"{server.url}/v1/channels/chat.a"
        assert http.post(url, headers=bearer(theirs(1)), json=MESSAGE).status_code == 201
        issuer.keys[:] = [jwk("RS256", "2", 2)]
        with in_header(server, theirs(1)) as client:
            # at most one fetch in ten seconds, whatever strangers send

            def is_known() -> bool:
                client.send(type="auth", token=theirs(2))
                known: bool = client.receive()["type"] == "authenticated"
                assert len(issuer.requests) <= 2
                return known

            server.eventually("the new key to be known", is_known)
        assert len(issuer.requests) == 2
        assert http.post(url, headers=bearer(theirs(2)), json=MESSAGE).status_code == 201
        assert code(http.post(url, headers=bearer(theirs(1)), json=MESSAGE)) == (
            503,
            "keys_unavailable",
        )  # until the next fetch is allowed


def test_clients_that_name_unknown_keys_and_leave_disturb_nobody(start: Start) -> None:
    with JwksServer(jwk("RS256", "1", 1)) as issuer:
        issuer.open.clear()
        server = start(fetching(issuer), ready=503)
        gone = []
        for number in range(60):
            sock = raw(server.port)
            text = theirs(number % 2 + 1)
            sock.sendall(
                "GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Authorization: Bearer {text}\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                "Sec-WebSocket-Version: 13\r\n\r\n".encode()
                + masked(b'{"type":"ping"}')
            )
            gone.append(sock)
        for _ in range(20):
            sock = upgrade(server.port)
            frame(sock)
            sock.sendall(
                masked(json.dumps({"type": "auth", "token": theirs()}).encode())
                + masked(b'{"type":"ping"}') * 100
            )
            gone.append(sock)
        for number, sock in enumerate(gone):
            if number % 3 == 0:
                sock.setsockopt(1, 13, b"\x01\x00\x00\x00\x00\x00\x00\x00")  # SO_LINGER: a reset
            sock.close()
        issuer.open.set()
        server.answers("/readyz", 200)
        with in_header(server, theirs()) as client:
            client.subscribe("chat.a")
        assert "Traceback" not in server.log.read_text()
        assert {line["event"] for line in server.lines() if line["level"] == "error"} <= {
            "jwks_unavailable"
        }
