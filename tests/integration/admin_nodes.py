"""Two real nodes on one Redis, their operator, and their clients."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import jwt
import pytest

from eventhub.auth.keys import hash_key, new_key
from tests.harness.clients import WsClient, http
from tests.harness.eventhub import EventHubServer
from tests.harness.redis_servers import RedisServer

OPERATOR, PRODUCER, SLOW, SLOW_TOO = new_key(), new_key(), new_key(), new_key()
SECRET = "not a secret at all, but of 32 bytes"
CONFIG = f"""
log: {{level: info}}
limits: {{connections_per_principal: 5}}
channels:
  chat: {{payload: json, publish: [client, producer], rate: 10}}
  logs: {{payload: json}}
auth:
  tokens: {{keys: [{{algorithm: HS256, secret: "{SECRET}"}}]}}
  keys:
    - {{name: root, hash: "{hash_key(OPERATOR)}", operator: true}}
    - {{name: producer, hash: "{hash_key(PRODUCER)}", publish: [">"], subscribe: [">"]}}
    - {{name: slow, hash: "{hash_key(SLOW)}", publish: [">"], rate: 2}}
    - {{name: slow.too, hash: "{hash_key(SLOW_TOO)}", publish: [">"], rate: 2}}
"""
OPERATOR_HEADERS = {"Authorization": f"Bearer {OPERATOR}"}


@pytest.fixture(name="redis", scope="module")
def redis_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The broker of both nodes."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(name="nodes", scope="module")
def nodes_fixture(
    redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[EventHubServer]]:
    """Two nodes, shared by the tests: each test uses its own principals."""
    servers = [
        EventHubServer(
            tmp_path_factory.mktemp("node"), f"broker: redis://127.0.0.1:{redis.port}{CONFIG}"
        )
        for _ in range(2)
    ]
    for server in servers:
        server.start()
    for server in servers:
        server.eventually(
            "two nodes", partial(connections, server), lambda seen: len(seen["nodes"]) == 2
        )
    yield servers
    for server in servers:
        server.stop()


def token(subject: str, **claims: Any) -> str:
    """A token that may subscribe to everything and publish to chat."""
    grants = {"subscribe": [">"], "publish": ["chat.>"]}
    return jwt.encode(
        {
            "sub": subject,
            "exp": datetime.now(UTC) + timedelta(hours=1),
            "channels": grants,
            **claims,
        },
        SECRET,
        "HS256",
    )


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


def connect(node: EventHubServer, credential: str) -> WsClient:
    client = WsClient(node.ws_url, additional_headers=bearer(credential))
    assert client.until("hello")
    return client


def connections(node: EventHubServer, **wanted: Any) -> dict[str, Any]:
    """The connections of all nodes.

    A node that is too busy to answer in time is missing, and the answer says so: then it asks
    again.
    """

    def look() -> dict[str, Any]:
        answer = http.get(
            f"{node.url}/v1/admin/connections", params=wanted, headers=OPERATOR_HEADERS
        )
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    return node.eventually("all nodes to answer", look, lambda found: found["complete"])


def has_connections(node: EventHubServer, subject: str, count: int) -> None:
    """Wait until this principal has this many connections at all nodes."""
    node.eventually(
        f"{count} connections of {subject}",
        lambda: connections(node, subject=subject)["connections"],
        lambda seen: len(seen) == count,
    )


def command(
    node: EventHubServer, path: str, status: int, method: str = "POST", **fields: Any
) -> dict[str, Any]:
    params, body = (fields, None) if method == "DELETE" else (None, fields)
    answer = http.request(
        method, f"{node.url}/v1/admin/{path}", headers=OPERATOR_HEADERS, params=params, json=body
    )
    assert answer.status_code == status, answer.text
    told: dict[str, Any] = answer.json() if answer.content else {}
    return told


# Long requests: their credential is checked again when they are complete


def head(
    path: str, credential: str, size: int | None, media_type: str = "application/json"
) -> bytes:
    length = f"Content-Length: {size}" if size is not None else "Transfer-Encoding: chunked"
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {credential}",
        f"Content-Type: {media_type}",
        length,
    ]
    return "\r\n".join([*lines, "", ""]).encode()
