"""Limits of principals over two real nodes on one Redis: connections, long requests, rates."""

import json
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
from websockets.exceptions import InvalidStatus

from tests.harness.clients import exactly, http, raw
from tests.harness.eventhub import EventHubServer
from tests.integration.admin_nodes import (  # noqa: F401
    OPERATOR_HEADERS,
    PRODUCER,
    SLOW,
    SLOW_TOO,
    bearer,
    command,
    connect,
    has_connections,
    head,
    nodes_fixture,
    redis_fixture,
    token,
)

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
    while busy < 3:
        statuses += [publish(node, ben) for node in nodes]
        time.sleep(0.01)  # sets the rate of the load
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
