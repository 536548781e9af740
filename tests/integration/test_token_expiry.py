"""Tokens that are made, and that end during a connection."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import TypeVar

import pytest
from websockets.exceptions import ConnectionClosed

from tests.harness.clients import http, raw
from tests.harness.eventhub import EventHubServer
from tests.integration.auth_servers import (  # noqa: F401
    BACKEND,
    MESSAGE,
    Channel,
    ana,
    bearer,
    in_header,
    in_subprotocol,
    server_fixture,
    servers_fixture,
)

T = TypeVar("T")

# The end of a token


def at_once(scenario: Callable[[T], None], cases: Iterable[T]) -> None:
    """Run all cases at the same time, because most of their time is waiting."""
    with ThreadPoolExecutor(16) as pool:
        for running in [pool.submit(scenario, case) for case in cases]:
            running.result()


def test_a_websocket_is_warned_and_ends_with_its_token(
    servers: dict[str, EventHubServer],
) -> None:
    def scenario(server: EventHubServer) -> None:
        with in_header(server, ana(8)) as client:
            warning = client.until("expiring")
            assert 0 < warning["expires_in"] <= 5.1
            assert client.until("error")["code"] == "token_expired"
            with pytest.raises(ConnectionClosed) as ended:
                client.receive()
        assert ended.value.rcvd is not None
        assert (ended.value.rcvd.code, ended.value.rcvd.reason) == (4401, "token_expired")

    at_once(scenario, servers.values())


def test_expiring_comes_at_half_the_life_of_a_token_that_is_shorter_than_the_warning(
    servers: dict[str, EventHubServer],
) -> None:
    def scenario(server: EventHubServer) -> None:
        lifetime = 5
        with in_header(server, ana(lifetime)) as client:
            for _ in range(2):
                client.until("expiring")
                begun = time.monotonic()
                client.send(type="auth", token=ana(lifetime))
                answer = client.receive()
                assert answer["type"] == "authenticated"
            last = client.until("expiring")
            assert time.monotonic() - begun >= answer["expires_in"] / 2 - 0.01
            assert 0 < last["expires_in"] <= answer["expires_in"] / 2

    at_once(scenario, servers.values())


def test_a_client_that_answers_a_warning_with_the_same_token_is_not_warned_again(
    servers: dict[str, EventHubServer],
) -> None:
    def scenario(server: EventHubServer) -> None:
        same = ana(6)
        with in_header(server, same) as client:
            client.until("expiring")
            for _ in range(3):
                client.send(type="auth", token=same)
            said = [client.receive() for _ in range(4)]
        assert [message["type"] for message in said] == ["authenticated"] * 3 + ["error"]
        assert said[-1]["code"] == "token_expired"

    at_once(scenario, servers.values())


def test_a_new_token_renews_a_websocket_and_ends_what_it_does_not_allow(
    servers: dict[str, EventHubServer],
    channel: Channel,
) -> None:
    def scenario(server: EventHubServer) -> None:
        first, second = channel("chat") + ".a", channel("chat") + ".b"
        with in_subprotocol(server, ana(8)) as client:
            client.subscribe(first)
            client.subscribe(second)
            client.until("expiring")
            client.send(type="auth", token=ana(8, channels={"subscribe": [first]}), ref=1)
            assert client.receive()["type"] == "authenticated"
            assert client.receive() == {
                "type": "unsubscribed",
                "channel": second,
                "reason": "forbidden",
            }
            url = f"{server.url}/v1/channels/"
            for name in (second, first):
                assert (
                    http.post(url + name, headers=bearer(BACKEND), json=MESSAGE).status_code == 201
                )
            assert client.receive()["channel"] == first
            assert client.receive()["type"] == "expiring"
            assert client.receive()["code"] == "token_expired"

    at_once(scenario, servers.values())


def test_a_stream_is_warned_and_ends_with_its_token(
    servers: dict[str, EventHubServer], channel: Channel
) -> None:
    def scenario(case: tuple[EventHubServer, str]) -> None:
        server, path = case
        begin = time.monotonic()
        with http.stream(
            "GET", f"{server.url}/v1/{path.format(channel('chat'))}", headers=bearer(ana(8))
        ) as stream:
            lines = [line.removeprefix("data: ") for line in stream.iter_lines() if "{" in line]
        messages = [json.loads(line) for line in lines]
        assert [message["type"] for message in messages] == ["subscribed", "expiring", "error"]
        assert messages[-1]["code"] == "token_expired"
        assert time.monotonic() - begin > 6

    paths = ["channels/{}/sse", "channels/{}/ndjson", "sse?channel={}"]
    at_once(scenario, product(servers.values(), paths))


def test_a_producer_s_stream_ends_with_its_token_and_says_what_is_stored(
    servers: dict[str, EventHubServer],
    channel: Channel,
) -> None:
    def scenario(server: EventHubServer) -> None:
        line = json.dumps(MESSAGE).encode() + b"\n"
        with raw(server.port) as sock:
            sock.sendall(
                f"POST /v1/channels/{channel('chat')} HTTP/1.1\r\nHost: x\r\n"
                f"Authorization: Bearer {ana(6)}\r\n"
                "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
                f"{len(line):x}\r\n".encode()
                + line
                + b"\r\n"
            )
            answer = b""
            while b'"done"' not in answer and (part := sock.recv(65536)):
                answer += part
        found = [json.loads(part) for part in answer.split(b"\r\n") if part.startswith(b"{")]
        assert found[0]["accepted"] == 1
        assert (found[-1]["accepted"], found[-1]["done"], found[-1]["error"]["code"]) == (
            1,
            False,
            "token_expired",
        )

    at_once(scenario, servers.values())


# Keys


def test_tokens_of_the_command_line_work(
    servers: dict[str, EventHubServer], channel: Channel
) -> None:
    command = [
        sys.executable,
        "-m",
        "eventhub",
        "token",
        "new",
        "ana",
        "--publish",
        "chat.*",
        "--config",
        str(servers["fast"].config),
        "--id",
        "old",
    ]
    text = subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()
    for server in servers.values():
        url = f"{server.url}/v1/channels/{channel('chat')}"
        assert http.post(url, headers=bearer(text), json=MESSAGE).status_code == 201
