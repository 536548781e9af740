"""Disconnects and blocks over two real nodes on one Redis."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.harness.clients import WsClient, http
from tests.harness.eventhub import EventHubServer
from tests.integration.admin_nodes import (  # noqa: F401
    SLOW,
    bearer,
    command,
    connect,
    connections,
    nodes_fixture,
    redis_fixture,
    token,
)

Start = Callable[..., EventHubServer]


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
        if told["complete"]:  # a node that is too busy to answer in time disconnects all the same
            assert (told["disconnected"], told["nodes"]) == (2, 2)
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
        assert (told["subject"], told["disconnected"]) == ("out", 1) or not told["complete"]
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
    late.stop()
    for node in nodes:
        connections(node)  # complete again: it is no longer missed
