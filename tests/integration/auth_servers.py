"""Servers with authentication, and credentials for them."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.typing import Subprotocol

from eventhub.auth.keys import hash_key
from tests.harness.clients import WsClient
from tests.harness.credentials import SECRET, private, public_pem, token
from tests.harness.eventhub import EventHubServer

Channel = Callable[[str], str]
BACKEND, OPERATOR, READER = (
    "ehk_backend-0123456789",
    "ehk_operator-0123456789",
    "ehk_reader-0123456789",
)
CONFIG = f"""
log: {{access: true, level: debug, format: json}}
auth:
  query: true
  keys:
  - {{name: backend, hash: "{hash_key(BACKEND)}", publish: ['>'], subscribe: ['>'],
      presence: ['>']}}
  - {{name: operator, hash: "{hash_key(OPERATOR)}", operator: true}}
  - {{name: reader, hash: "{hash_key(READER)}", subscribe: ['>']}}
  tokens:
    leeway: 0
    warning: 5
    keys:
    - {{algorithm: HS256, id: old, secret: "{SECRET.decode()}"}}
    - {{algorithm: ES256, id: new, file: public.pem}}
channels:
  chat: {{payload: chat, presence: true, publish: [client, producer]}}
  open: {{payload: json, presence: true, publish: [client, producer], anonymous: [subscribe]}}
"""
FILES = {"public.pem": public_pem(private("ES256")).decode()}
EVERYTHING = {"subscribe": [">"], "publish": [">"], "presence": [">"]}
MESSAGE = {"sender": "ana", "text": "oi"}
LANES = ("fast", "asgi")


@pytest.fixture(name="servers", scope="session")
def servers_fixture(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, EventHubServer]]:
    """A server for each implementation of WebSocket, shared.

    At the end, the log of ours holds no credential. Plain uvicorn writes a log of its own.
    """
    with ExitStack() as stack:
        found = {}
        for lane in LANES:
            directory = tmp_path_factory.mktemp(lane)
            (directory / "public.pem").write_text(FILES["public.pem"])
            found[lane] = stack.enter_context(EventHubServer(directory, CONFIG, lane=lane))
        yield found
        with in_query(found["fast"], BACKEND):
            found["fast"].logs("eventhub.access")
        log = found["fast"].log.read_text()
    for secret in ("ehk_", "eyJ", SECRET.decode(), "access_token", "Traceback"):
        assert secret not in log


@pytest.fixture(name="server", params=LANES)
def server_fixture(
    request: pytest.FixtureRequest, servers: dict[str, EventHubServer]
) -> EventHubServer:
    return servers[request.param]


def ana(seconds: float = 600, key_id: str = "old", **more: Any) -> str:
    """A token that ends in so many seconds."""
    algorithm = "HS256" if key_id == "old" else "ES256"
    return token(
        algorithm,
        header={"kid": key_id},
        exp=time.time() + seconds,
        **{"channels": EVERYTHING, **more},
    )


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# WebSockets, opened with a credential in each of the places


def in_header(server: EventHubServer, credential: str) -> WsClient:
    return WsClient(server.ws_url, additional_headers=bearer(credential))


def in_query(server: EventHubServer, credential: str) -> WsClient:
    return WsClient(f"{server.ws_url}?access_token={credential}")


def in_subprotocol(server: EventHubServer, credential: str) -> WsClient:
    return WsClient(
        server.ws_url,
        subprotocols=[Subprotocol("eventhub.v1"), Subprotocol(f"eventhub.bearer.{credential}")],
    )
