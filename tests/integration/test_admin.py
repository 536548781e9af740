"""Operators and publish rates over two real nodes on one Redis: the list of connections,
disconnects, blocks, and rates counted over both nodes.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import jwt
import pytest
from redis import Redis
from websockets.exceptions import ConnectionClosed, InvalidStatus

from eventhub.auth.keys import hash_key, new_key
from tests.harness.clients import WsClient, exactly, http, raw
from tests.harness.eventhub import EventHubServer
from tests.harness.redis_servers import RedisServer

Start = Callable[..., EventHubServer]
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


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The broker of both nodes."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def nodes(
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


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"subject": "a", "key": "b"},
        {"subject": ""},
        {"subject": 1},
        {"zzz": "a"},
        {"subject": "a", "for": "31d"},
        {"subject": "a", "for": "1"},
    ],
)
def test_a_block_request_that_makes_no_sense_is_refused(
    nodes: list[EventHubServer], fields: dict[str, Any]
) -> None:
    assert command(nodes[0], "blocks", 400, **fields)["code"] == "invalid_request"


# Blocks


def ended(client: WsClient) -> tuple[int, str]:
    """The close code and the code of the last message, after nothing but goodbyes."""
    last = ""
    with suppress(ConnectionClosed):
        while message := client.receive():
            last = message.get("code", last)
    code = client.connection.close_code
    assert code is not None
    return code, last


def test_a_principal_is_disconnected_at_all_nodes_and_may_reconnect(
    nodes: list[EventHubServer],
) -> None:
    with (
        connect(nodes[0], token("dis")) as first,
        connect(nodes[1], token("dis")) as second,
        connect(nodes[1], token("other")) as other,
    ):
        told = command(nodes[0], "disconnect", 200, subject="dis")
        assert (told["disconnected"], told["nodes"], told["complete"]) == (2, 2, True)
        assert ended(first) == ended(second) == (4503, "disconnected")
        other.send(type="ping")
        assert other.until("pong")
    with connect(nodes[1], token("dis")):
        pass


def test_a_blocked_principal_is_disconnected_and_refused_at_all_nodes_until_it_is_unblocked(
    nodes: list[EventHubServer],
) -> None:
    with connect(nodes[1], token("out")) as client:
        told = command(nodes[0], "blocks", 201, subject="out", **{"for": "10m"})
        assert (told["subject"], told["disconnected"]) == ("out", 1)
        assert ended(client) == (4403, "revoked")
    for node in nodes:
        with pytest.raises(InvalidStatus) as refused:
            connect(node, token("out"))
        assert refused.value.response.status_code == 403
        answer = http.get(f"{node.url}/v1/channels/chat.a", headers=bearer(token("out")))
        assert (answer.status_code, answer.json()["code"]) == (403, "revoked")
        assert [
            row["subject"]
            for row in command(node, "blocks", 200, "GET")["blocks"]
            if row.get("subject") == "out"
        ] == ["out"]
    assert command(nodes[1], "blocks", 204, "DELETE", subject="out") == {}
    nodes[0].eventually(
        "no blocks",
        lambda: command(nodes[0], "blocks", 200, "GET")["blocks"],
        lambda seen: not seen,
    )
    for node in nodes:
        with connect(node, token("out")):
            pass
    assert command(nodes[0], "blocks", 404, "DELETE", subject="out")["code"] == "not_found"


def test_one_token_is_blocked_and_not_its_principal_s_others(nodes: list[EventHubServer]) -> None:
    command(nodes[0], "blocks", 201, token="lost")
    with connect(nodes[1], token("ana", jti="kept")) as client:
        client.send(type="auth", token=token("ana", jti="lost"), ref=1)
        assert client.until("error")["code"] == "revoked"
        client.send(type="ping")
        assert client.until("pong")
    command(nodes[0], "blocks", 204, "DELETE", token="lost")


def test_an_api_key_can_be_blocked(nodes: list[EventHubServer]) -> None:
    command(nodes[1], "blocks", 201, key="slow")
    answer = http.post(f"{nodes[0].url}/v1/channels/logs.a", content="1", headers=bearer(SLOW))
    assert (answer.status_code, answer.json()["code"]) == (403, "revoked")
    command(nodes[0], "blocks", 204, "DELETE", key="slow")


def test_a_node_that_starts_later_learns_the_blocks(
    start: Start, nodes: list[EventHubServer]
) -> None:
    command(nodes[0], "blocks", 201, subject="late")
    late = start(nodes[0].config.read_text())
    late.answers("/v1/channels/chat.a", 403, headers=bearer(token("late")))
    command(nodes[0], "blocks", 204, "DELETE", subject="late")


# Limits of principals


def refusals(node: EventHubServer, limit: str) -> float:
    lines = http.get(f"{node.url}/metrics", headers=OPERATOR_HEADERS).text.splitlines()
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith(f'eventhub_refused_total{{limit="{limit}"}}')
    )


def test_each_principal_has_its_own_limit_of_connections(
    nodes: list[EventHubServer],
) -> None:
    before = refusals(nodes[0], "connections_per_principal")
    with ExitStack() as stack:
        first, *_ = [stack.enter_context(connect(nodes[0], token("many"))) for _ in range(5)]
        with pytest.raises(InvalidStatus) as refused:
            connect(nodes[0], token("many"))
        assert refused.value.response.status_code == 429
        stream = http.get(f"{nodes[0].url}/v1/channels/chat.a/sse", headers=bearer(token("many")))
        assert (stream.status_code, stream.json()["code"]) == (429, "too_many_connections")
        with connect(nodes[0], token("another")):
            pass
        first.connection.close()
        has_connections(nodes[0], "many", 4)
        with connect(nodes[0], token("many")):
            pass
    assert refusals(nodes[0], "connections_per_principal") == before + 2


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


def test_a_body_that_ends_after_its_principal_was_blocked_or_its_token_ended_is_not_stored(
    nodes: list[EventHubServer],
) -> None:
    soon = token(
        "slow.body", exp=datetime.now(UTC) - timedelta(seconds=3)
    )  # a leeway of five seconds
    with raw(nodes[0].port) as blocked, raw(nodes[0].port) as expired:
        blocked.sendall(head("/v1/channels/chat.late", token("slow.blocked"), 2) + b"1")
        expired.sendall(head("/v1/channels/chat.late", soon, 2) + b"1")
        nodes[0].answers("/v1/channels/chat.late", 401, headers=bearer(soon))
        command(nodes[0], "blocks", 201, subject="slow.blocked")
        for sock, status in ((blocked, b"403"), (expired, b"401")):
            sock.sendall(b"2")
            assert exactly(sock, 12)[9:] == status
    command(nodes[0], "blocks", 204, "DELETE", subject="slow.blocked")
    assert (
        http.get(f"{nodes[0].url}/v1/channels/chat.late", headers=bearer(token("x"))).json()[
            "events"
        ]
        == []
    )


def test_bodies_that_arrive_slowly_side_by_side_are_charged_like_quick_ones(
    nodes: list[EventHubServer],
) -> None:
    before = len(
        http.get(
            f"{nodes[1].url}/v1/channels/logs.slow-bodies?limit=1000", headers=bearer(PRODUCER)
        ).json()["events"]
    )
    with ExitStack() as stack:
        socks = [stack.enter_context(raw(nodes[1].port)) for _ in range(10)]
        for sock in socks:
            sock.sendall(
                head("/v1/channels/logs.slow-bodies", SLOW_TOO, 201)
                + b"["
                + b",".join([b"1"] * 100)
            )
        nodes[1].eventually(
            "room for another, for all of them were let in",
            lambda: publish(nodes[1], SLOW_TOO, "logs.other"),
            lambda seen: seen == 201,
        )
        for sock in socks:
            sock.sendall(b"]")
        statuses = sorted(exactly(sock, 12)[9:] for sock in socks)
    after = len(
        http.get(
            f"{nodes[1].url}/v1/channels/logs.slow-bodies?limit=1000", headers=bearer(PRODUCER)
        ).json()["events"]
    )
    assert statuses.count(b"201") == (after - before) / 100 <= 1


def test_a_stream_whose_answer_nobody_reads_ends_when_its_principal_is_disconnected(
    nodes: list[EventHubServer],
) -> None:
    def stored() -> int:
        found = http.get(
            f"{nodes[0].url}/v1/channels/chat.unread?limit=1000", headers=bearer(token("x"))
        )
        return len(found.json()["events"])

    begin = time.monotonic()
    with raw(nodes[0].port, receive_buffer=4096) as sock:
        sock.sendall(
            head("/v1/channels/chat.unread", token("unread"), None, "application/x-ndjson")
        )
        lines = b"1\n" * 2000
        sock.sendall(b"%x\r\n%b\r\n" % (len(lines), lines))
        has_connections(nodes[0], "unread", 1)
        nodes[0].eventually("a second's worth", stored, lambda seen: seen >= 10)
        command(nodes[0], "disconnect", 200, subject="unread")
        has_connections(nodes[0], "unread", 0)
        seconds = time.monotonic() - begin
        assert stored() <= 10 * (seconds + 2), "a burst, a piece, and ten a second"


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


# Rates


def publish(node: EventHubServer, credential: str, channel: str = "chat.rate") -> int:
    return http.post(
        f"{node.url}/v1/channels/{channel}", content="1", headers=bearer(credential)
    ).status_code


def test_the_publish_rate_of_a_principal_is_counted_over_all_nodes(
    nodes: list[EventHubServer],
) -> None:
    ben = token("ben")
    begin = time.monotonic()
    statuses, seconds, busy = list[int](), 0.0, 0.0
    while busy < 6:
        statuses += [publish(node, ben) for node in nodes]
        before, seconds = seconds, time.monotonic() - begin
        busy += min(
            0.2, seconds - before
        )  # a round may take longer on a busy machine: then it asks for fewer events than allowed
    allowed = statuses.count(201)
    assert set(statuses) == {201, 429}
    assert allowed <= 10 * (seconds + 1) + 10 + 2, "one burst at each node, once"
    assert allowed >= 10 * busy * 0.8
    assert sum(refusals(node, "publish_rate") for node in nodes) >= statuses.count(429)


def test_a_refusal_says_when_to_retry_and_a_retry_then_succeeds(
    nodes: list[EventHubServer],
) -> None:
    with connect(nodes[0], token("eve")) as client:
        for number in range(40):
            client.send(type="publish", channel="chat.rate", data=number, ref=number)
        replies = [client.receive() for _ in range(40)]
        refused = [reply for reply in replies if reply["type"] == "error"]
        assert {reply["code"] for reply in refused} == {"rate_limited"}
        assert sum(reply["type"] == "published" for reply in replies) >= 10
        time.sleep(max(reply["retry_after"] for reply in refused))
        client.send(type="publish", channel="chat.rate", data=1, ref="again")
        assert client.receive()["type"] == "published"
    answer = None
    while answer is None or answer.status_code == 201:
        answer = http.post(
            f"{nodes[0].url}/v1/channels/logs.slow", content="[1,2]", headers=bearer(SLOW)
        )
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")


def test_a_stream_over_its_rate_is_slowed_and_nothing_is_refused(
    nodes: list[EventHubServer],
) -> None:
    begin, waits = time.monotonic(), refusals(nodes[1], "publish_rate")
    lines = "".join(f"{number}\n" for number in range(8))
    headers = {**bearer(SLOW), "Content-Type": "application/x-ndjson"}
    answer = http.post(f"{nodes[1].url}/v1/channels/logs.stream", content=lines, headers=headers)
    last = json.loads(answer.text.splitlines()[-1])
    assert (last["accepted"], last["rejected"], last["done"]) == (8, 0, True)
    assert time.monotonic() - begin >= 2
    assert refusals(nodes[1], "publish_rate") > waits, "who is slowed is counted"
