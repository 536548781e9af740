"""The admin interface over two real nodes on one Redis: lists of connections and channels."""

import json
from contextlib import ExitStack
from typing import Any

import pytest
from redis import Redis

from tests.harness.clients import exactly, http, raw
from tests.harness.eventhub import EventHubServer
from tests.harness.redis_servers import RedisServer
from tests.integration.admin_nodes import (  # noqa: F401
    OPERATOR_HEADERS,
    PRODUCER,
    bearer,
    command,
    connect,
    connections,
    has_connections,
    head,
    nodes_fixture,
    redis_fixture,
    token,
)

# Messages that no node wrote


def test_forged_messages_end_no_node_and_fail_no_request(
    redis: RedisServer, nodes: list[EventHubServer]
) -> None:
    blocks = [
        ["subject", "z", 1e300, 1e300, True],
        ["subject", "z", 1, 99_999_999_999_999_999, True],
    ]
    forged = [b"blocks ffff " + json.dumps([row]).encode() for row in blocks]
    forged.append(b'rates ffff [["key:producer","logs",1e300,1e-300]]')
    forged.append(
        b'assembly ffff {"node":"ffff","ask":'
        + b"[" * 500
        + b"]" * 500
        + b',"question":{"connections":{}}}'
    )
    with Redis(port=redis.port) as client:
        for message in forged:
            assert client.publish("eventhub:0:{*nodes}", message) == 2
    for node in nodes:
        assert (
            http.post(
                f"{node.url}/v1/channels/logs.forged", content="1", headers=bearer(PRODUCER)
            ).status_code
            == 201
        )
        assert http.get(f"{node.url}/v1/admin/blocks", headers=OPERATOR_HEADERS).status_code == 200
        assert connections(node)["complete"]
        assert node.log.read_text().count("unreadable_broadcast") == len(forged)
    with connect(nodes[0], token("z")):
        pass  # nobody is blocked


# Connections


def test_any_node_lists_the_connections_of_all_nodes(nodes: list[EventHubServer]) -> None:
    with (
        connect(nodes[0], token("lis", jti="t1")) as first,
        connect(nodes[1], token("lis", jti="t2")) as second,
    ):
        first.subscribe("chat.listed")
        second.subscribe("logs.listed")
        for node in nodes:
            found = connections(node, subject="lis")
            assert found["complete"]
            assert (
                sum(of["matching"] for of in found["nodes"].values())
                == len(found["connections"])
                == 2
            )
            assert {row["principal"]["token"]: row["channels"] for row in found["connections"]} == {
                "t1": ["chat.listed"],
                "t2": ["logs.listed"],
            }
            (row,) = connections(node, token="t2")["connections"]
            assert (row["transport"], row["address"], row["subscriptions"]) == (
                "websocket",
                "127.0.0.1",
                1,
            )
            assert row["principal"] == {"kind": "token", "name": "lis", "token": "t2"}
            assert row["opened"] < row["expires"]
            counts = {
                where: len(connections(node, token="t2", address=where)["connections"])
                for where in ("::ffff:127.0.0.1", "127.0.0.2")
            }
            assert counts == {"::ffff:127.0.0.1": 1, "127.0.0.2": 0}


def test_channels_and_their_subscribers_of_all_nodes_are_listed_at_any(
    nodes: list[EventHubServer],
) -> None:
    stored = http.post(
        f"{nodes[0].url}/v1/channels/logs.dir.a", content="[1,2]", headers=bearer(PRODUCER)
    )
    newest = stored.json()["results"][1]
    with connect(nodes[0], token("dir")) as first, connect(nodes[1], token("dir")) as second:
        first.subscribe("logs.dir.a")
        second.subscribe("logs.dir.a")
        second.subscribe("logs.dir.b")
        for node in nodes:
            found = http.get(
                f"{node.url}/v1/channels?match=logs.dir.*", headers=bearer(token("dir"))
            ).json()
            assert found == {
                "channels": [
                    {
                        "name": "logs.dir.a",
                        "head": newest["id"],
                        "time": newest["time"],
                        "events": 2,
                        "subscribers": 2,
                        "members": None,
                    },
                    {
                        "name": "logs.dir.b",
                        "head": None,
                        "time": None,
                        "events": 0,
                        "subscribers": 1,
                        "members": None,
                    },
                ],
                "next": None,
                "complete": True,
            }
    stranger = http.get(f"{nodes[0].url}/v1/channels")
    assert stranger.status_code == 401


def test_the_slowest_readers_of_all_nodes_come_first(nodes: list[EventHubServer]) -> None:
    with ExitStack() as stack:
        for node in nodes:
            stack.enter_context(connect(node, token("lazy"))).subscribe("logs.lazy")
        sock = stack.enter_context(raw(nodes[1].port, receive_buffer=4096))
        sock.sendall(
            f"GET /v1/channels/logs.lazy/ndjson HTTP/1.1\r\nHost: 127.0.0.1:{nodes[1].port}\r\n"
            f"Authorization: Bearer {token('lazy', jti='slow')}\r\n\r\n".encode()
        )
        has_connections(nodes[0], "lazy", 3)

        def slowest() -> dict[str, Any]:
            http.post(
                f"{nodes[0].url}/v1/channels/logs.lazy", json="x" * 60_000, headers=bearer(PRODUCER)
            ).raise_for_status()
            row, *others = connections(nodes[0], subject="lazy")["connections"]
            assert all(other["buffered"] <= row["buffered"] for other in others)
            (cut,) = connections(nodes[0], subject="lazy", limit=1)["connections"]
            return {"token": cut["principal"]["token"], "waits": cut["buffered"] > 0}

        nodes[0].eventually(
            "the slowest to be first",
            slowest,
            lambda seen: seen == {"token": "slow", "waits": True},
        )


def test_streams_are_connections_too_and_the_list_can_be_cut(nodes: list[EventHubServer]) -> None:
    with (
        connect(nodes[0], token("cut")),
        connect(nodes[0], token("cut")),
        connect(nodes[1], token("cut")),
    ):
        found = connections(nodes[0], subject="cut", limit=2)
        assert len(found["connections"]) == 2
        assert sum(of["matching"] for of in found["nodes"].values()) == 3
    with http.stream(
        "GET", f"{nodes[1].url}/v1/channels/chat.a/ndjson", headers=bearer(token("streams"))
    ) as stream:
        lines = stream.iter_lines()
        assert "subscribed" in next(lines)
        (row,) = connections(nodes[0], subject="streams")["connections"]
        assert (row["transport"], row["channels"]) == ("ndjson", ["chat.a"])
    has_connections(nodes[0], "streams", 0)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "connections"),
        ("POST", "disconnect"),
        ("GET", "blocks"),
        ("POST", "blocks"),
        ("DELETE", "blocks"),
    ],
)
def test_only_operators_may_use_the_admin_interface(
    nodes: list[EventHubServer], method: str, path: str
) -> None:
    fields: dict[str, Any] = {"GET": {}, "DELETE": {"params": {"subject": "x"}}}.get(
        method, {"json": {"subject": "x"}}
    )
    for headers, status, code in (
        ({}, 401, "unauthorized"),
        (bearer(PRODUCER), 403, "forbidden"),
        (bearer(token("x")), 403, "forbidden"),
        (bearer("ehk_x"), 401, "invalid_token"),
    ):
        answer = http.request(method, f"{nodes[0].url}/v1/admin/{path}", headers=headers, **fields)
        assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_server_without_authentication_has_no_admin_interface(hub: EventHubServer) -> None:
    answer = http.get(f"{hub.url}/v1/admin/connections")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_the_admin_interface_reads_no_body_without_an_operator_s_credential(
    nodes: list[EventHubServer],
) -> None:
    with raw(nodes[0].port) as sock:
        sock.sendall(head("/v1/admin/blocks", "ehk_nobody", 1_000_000_000) + b"{")
        assert exactly(sock, 12)[9:] == b"401"
    assert (
        http.post(
            f"{nodes[0].url}/v1/admin/blocks", content=b" " * 5000, headers=OPERATOR_HEADERS
        ).status_code
        == 413
    )


def test_operators_may_send_json_as_curl_does_and_cannot_block_themselves(
    nodes: list[EventHubServer],
) -> None:
    form = {**OPERATOR_HEADERS, "Content-Type": "application/x-www-form-urlencoded"}
    answer = http.post(
        f"{nodes[0].url}/v1/admin/disconnect", content='{"subject":"nobody"}', headers=form
    )
    assert (answer.status_code, answer.json()["disconnected"], answer.headers["cache-control"]) == (
        200,
        0,
        "no-store",
    )
    assert command(nodes[0], "blocks", 400, key="root")["code"] == "invalid_request"
