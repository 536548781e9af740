"""Frames are charged by what they cost the server: unpacked bytes and CPU time. Clients without a
credential may send little.
"""

import json
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from eventhub.auth.keys import hash_key
from tests.harness.clients import WsClient, close_code, frame, masked, raw, read_until, upgrade
from tests.harness.credentials import SECRET, token
from tests.harness.eventhub import EventHubServer
from tests.integration.attacks import HANDSHAKE

Start = Callable[..., EventHubServer]
KEY = "ehk_producer-0123456789"
AUTH = f"""
auth:
  keys: [{{name: backend, hash: "{hash_key(KEY)}", publish: ['>'], subscribe: ['>']}}]
  tokens: {{keys: [{{algorithm: HS256, secret: "{SECRET.decode()}"}}]}}
"""
QUIET = AUTH + "channels: {raw: {publish: [client, producer], anonymous: [subscribe]}}\n"
OPEN = (
    AUTH
    + "channels: {raw: {publish: [client, producer]}, "
    + "wall: {publish: [client], anonymous: [publish]}}\n"
)
LARGE = {"type": "publish", "channel": "raw.a", "data": "x" * 60_000}


@pytest.fixture(scope="module", params=["fast", "asgi"])
def quiet(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EventHubServer]:
    """A server where anonymous clients may only subscribe, for each implementation of WebSocket."""
    with EventHubServer(tmp_path_factory.mktemp("quiet"), QUIET, lane=request.param) as hub:
        yield hub


def credential(**claims: Any) -> str:
    return token(sub="ana", channels={"publish": [">"]}, **claims)


def test_a_client_without_a_credential_may_send_small_messages_and_the_error_names_the_setting(
    quiet: EventHubServer,
) -> None:
    with upgrade(quiet.port) as sock:
        frame(sock)  # hello
        sock.sendall(masked(json.dumps({"type": "subscribe", "channel": "raw.a"}).encode()))
        assert json.loads(frame(sock)[1])["type"] == "subscribed"
        sock.sendall(masked(json.dumps(LARGE).encode()))
        error = json.loads(frame(sock)[1])
        assert (error["type"], error["code"]) == ("error", "payload_too_large")
        assert "limits.stranger_bytes" in error["message"]
        assert close_code(sock) == 4413


def test_an_authenticated_client_may_send_large_messages_at_once(quiet: EventHubServer) -> None:
    with upgrade(quiet.port) as sock:
        auth = {"type": "auth", "token": credential()}
        sock.sendall(
            masked(json.dumps(auth).encode()) + masked(json.dumps(LARGE).encode())
        )  # in one packet
        assert [json.loads(frame(sock)[1])["type"] for _ in range(3)] == [
            "hello",
            "authenticated",
            "published",
        ]


def test_anonymous_clients_that_may_publish_may_send_messages_of_full_size(
    start: Start,
) -> None:
    hub = start(OPEN)
    with WsClient(hub.ws_url) as client:
        client.send(**{**LARGE, "channel": "wall.a"})
        assert client.until("published")["channel"] == "wall.a"


def packed(message: bytes) -> bytes:
    """A compressed frame."""
    deflate = zlib.compressobj(9, wbits=-15)
    small = (deflate.compress(message) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
    head = bytearray(masked(small))
    head[0] |= 0x40
    return bytes(head)


def test_compressed_messages_are_charged_by_their_unpacked_size(start: Start) -> None:
    hub = start("{compression: true, limits: {commands: 20}}")
    bomb = packed(b'{"type":"ping","x":[' + b"[]," * 21_000 + b"1]}")
    assert len(bomb) < 200
    with raw(hub.port) as sock:
        sock.sendall(HANDSHAKE)
        assert b"permessage-deflate" in read_until(sock, b"\r\n\r\n")
        frame(sock)
        # by their number, all could come at once; by their unpacked bytes, they count as 160
        sock.sendall(bomb * 40)
        hub.shows('eventhub_refused_total{limit="commands"}', 1)
