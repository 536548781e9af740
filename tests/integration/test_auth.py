"""Credentials over real connections, in every place, over both implementations of WebSocket."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.harness.clients import WsClient, http
from tests.harness.credentials import token
from tests.harness.eventhub import EventHubServer
from tests.integration.auth_servers import (  # noqa: F401
    BACKEND,
    MESSAGE,
    OPERATOR,
    READER,
    Channel,
    ana,
    bearer,
    code,
    in_header,
    in_query,
    in_subprotocol,
    server_fixture,
    servers_fixture,
)


def in_message(server: EventHubServer, credential: str) -> WsClient:
    client = WsClient(server.ws_url)
    client.send(type="auth", token=credential)
    answer = client.until("authenticated")
    assert answer["principal"]
    return client


PLACES = {
    "header": in_header,
    "query": in_query,
    "subprotocol": in_subprotocol,
    "message": in_message,
}


@pytest.fixture(params=PLACES)
def open_with(request: pytest.FixtureRequest) -> Any:
    return PLACES[request.param]


@pytest.mark.parametrize(
    "credential",
    [ana, lambda: ana(key_id="new"), lambda: BACKEND],
    ids=["old key", "new key", "API key"],
)
def test_a_websocket_takes_a_credential_in_each_place(
    server: EventHubServer, channel: Channel, open_with: Any, credential: Callable[[], str]
) -> None:
    with open_with(server, credential()) as client:
        assert client.connection.subprotocol in (None, "eventhub.v1")
        client.subscribe(channel("chat"))
        client.send(type="publish", channel=channel("chat"), data=MESSAGE)
        assert client.until("event")["data"] == MESSAGE


def test_a_websocket_with_a_bad_credential_is_not_opened(server: EventHubServer) -> None:
    expected = 401 if server.lane == "fast" else 403  # all that ASGI can say
    for opening in (in_header, in_query, in_subprotocol):
        for credential in (
            "nonsense",
            BACKEND + "x",
            ana(-5),
            ana(aud="another"),
            token(header={"kid": "unknown"}),
            "é" if opening is in_query else "x",
        ):
            with pytest.raises(InvalidStatus) as refused:
                opening(server, credential)
            assert refused.value.response.status_code == expected
            assert (
                credential
                not in str(refused.value.response.body) + str(refused.value.response.headers)
                or credential in "éx"
            )


def test_a_bad_credential_in_an_auth_message_is_answered_and_changes_nothing(
    server: EventHubServer, channel: Channel
) -> None:
    with in_header(server, ana()) as client:
        for credential, expected in (
            ("nonsense", "invalid_token"),
            (ana(-5), "token_expired"),
            (ana(sub="ben"), "forbidden"),
            (BACKEND, "forbidden"),
        ):
            client.send(type="auth", token=credential, ref=1)
            answer = client.until("error")
            assert (answer["code"], answer["ref"]) == (expected, 1)
            assert credential not in json.dumps(answer)
        client.subscribe(channel("chat"))


def test_two_credentials_are_refused(server: EventHubServer) -> None:
    with pytest.raises(InvalidStatus):
        WsClient(f"{server.ws_url}?access_token={BACKEND}", additional_headers=bearer(BACKEND))
    url = f"{server.url}/v1/channels/chat.a"
    assert code(http.get(f"{url}?access_token={BACKEND}", headers=bearer(BACKEND))) == (
        400,
        "invalid_request",
    )
    twice = [("Authorization", f"Bearer {BACKEND}"), ("Authorization", f"Bearer {READER}")]
    for method in ("GET", "POST"):
        assert code(
            http.request(method, url, headers=twice, content=b"{}" if method == "POST" else None)
        ) == (400, "invalid_request")


# HTTP


@pytest.mark.parametrize("place", ["header", "query"])
@pytest.mark.parametrize("credential", [ana, lambda: BACKEND], ids=["token", "API key"])
def test_http_takes_a_credential_in_each_place(
    server: EventHubServer, channel: Channel, place: str, credential: Callable[[], str]
) -> None:
    text = credential()
    headers, query = (bearer(text), "?") if place == "header" else ({}, f"?access_token={text}&")
    url = f"{server.url}/v1/channels/{channel('chat')}"
    assert http.post(url + query[:-1], headers=headers, json=MESSAGE).status_code == 201
    lines = {**headers, "Content-Type": "application/x-ndjson"}
    answer = http.post(url + query[:-1], headers=lines, content=json.dumps(MESSAGE) + "\n")
    assert json.loads(answer.text.splitlines()[-1])["accepted"] == 1
    assert len(http.get(f"{url}{query}since=earliest", headers=headers).json()["events"]) == 2
    assert http.get(f"{url}/presence{query[:-1]}", headers=headers).json()["count"] == 0
    for path in (
        f"{url}/sse{query}since=-1",
        f"{url}/ndjson{query}since=-1",
        f"{server.url}/v1/sse{query}channel={channel('chat')}&since=-1",
    ):
        with http.stream("GET", path, headers=headers) as stream:
            assert next(line for line in stream.iter_lines() if '"event"' in line)


def test_http_without_or_with_a_bad_credential_is_refused(
    server: EventHubServer, channel: Channel
) -> None:
    url = f"{server.url}/v1/channels/{channel('chat')}"
    paths = {
        "GET": [
            url,
            f"{url}/presence",
            f"{url}/sse",
            f"{url}/ndjson",
            f"{server.url}/v1/sse?channel=chat.a",
        ],
        "POST": [url],
        "PUT": [url],
    }
    for headers, expected, challenge in (
        ({}, "unauthorized", "Bearer"),
        (bearer("nonsense"), "invalid_token", 'Bearer error="invalid_token"'),
        (bearer(ana(-5)), "token_expired", 'Bearer error="invalid_token"'),
        ({"Authorization": "Basic dXNlcjpwYXNz"}, "unauthorized", "Bearer"),
        (bearer(READER + "x"), "invalid_token", 'Bearer error="invalid_token"'),
    ):
        for method, found in paths.items():
            for path in found:
                answer = http.request(
                    method, path, headers=headers, json=MESSAGE if method != "GET" else None
                )
                assert code(answer) == (401, expected), path
                assert answer.headers["www-authenticate"] == challenge
                assert not any(value[7:] in answer.text for value in headers.values())
    answer = http.post(
        url, headers={**bearer("x"), "Content-Type": "application/x-ndjson"}, content=b"{}\n"
    )
    assert code(answer) == (401, "invalid_token")


def test_a_principal_without_the_grant_is_forbidden(
    server: EventHubServer, channel: Channel
) -> None:
    url = f"{server.url}/v1/channels/{channel('chat')}"
    assert http.get(url, headers=bearer(READER)).status_code == 200
    for answer in (
        http.post(url, headers=bearer(READER), json=MESSAGE),
        http.get(f"{url}/presence", headers=bearer(READER)),
    ):
        assert code(answer) == (403, "forbidden")
        assert "key 'reader' has no grant" in answer.json()["detail"]
    none = bearer(ana(channels={}))
    for path in (url, f"{url}/sse", f"{url}/ndjson"):
        assert code(http.get(path, headers=none)) == (403, "forbidden")


def test_curl_can_make_the_requests_of_operators(server: EventHubServer, channel: Channel) -> None:
    url = f"{server.url}/v1/channels/{channel('chat')}"
    for arguments in (
        ["--oauth2-bearer", BACKEND, url],
        ["-H", f"Authorization: Bearer {ana()}", url],
        [f"{url}?access_token={BACKEND}"],
    ):
        output = subprocess.run(
            ["curl", "-sS", "-d", json.dumps(MESSAGE), *arguments],
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        assert json.loads(output)["channel"] == channel("chat")


def test_metrics_are_for_operators(server: EventHubServer) -> None:
    url = f"{server.url}/metrics"
    assert code(http.get(url)) == (401, "unauthorized")
    assert code(http.get(url, headers=bearer(BACKEND))) == (403, "forbidden")
    assert code(http.get(url, headers=bearer(ana()))) == (403, "forbidden")
    assert "eventhub_connections" in http.get(url, headers=bearer(OPERATOR)).text
    for path in ("/livez", "/readyz", "/v1/types", "/openapi.json", "/"):
        assert http.get(server.url + path).status_code == 200


# Strangers


def test_anonymous_clients_may_do_what_the_channel_type_allows(
    server: EventHubServer, channel: Channel
) -> None:
    opened, closed = channel("open"), channel("chat")
    assert http.get(f"{server.url}/v1/channels/{opened}").status_code == 200
    assert code(http.post(f"{server.url}/v1/channels/{opened}", json={})) == (401, "unauthorized")
    with http.stream("GET", f"{server.url}/v1/channels/{opened}/ndjson") as stream:
        assert '"subscribed"' in next(stream.iter_lines())
    with WsClient(server.ws_url) as client:
        client.subscribe(opened)
        for command in (
            {"type": "subscribe", "channel": closed},
            {"type": "publish", "channel": opened, "data": 1},
            {"type": "subscribe", "channel": opened + "x", "member": "ana"},
            {"type": "subscribe", "channel": opened + "x", "presence": True},
        ):  # fmt: skip
            client.send(**command)
            assert client.until("error")["code"] == "unauthorized"
        client.send(type="auth", token=ana())
        client.until("authenticated")
        client.subscribe(closed)
    with (
        WsClient(f"{server.ws_url}?channel={closed}") as client,
        pytest.raises(ConnectionClosed) as ended,
    ):
        client.events(1)
    assert ended.value.rcvd is not None
    assert (ended.value.rcvd.code, ended.value.rcvd.reason) == (4401, "unauthorized")


def test_the_member_of_a_token_is_its_subject_over_every_transport(
    server: EventHubServer, channel: Channel
) -> None:
    url = f"{server.url}/v1/channels/{channel('chat')}"
    headers = bearer(ana(sub="ana"))
    for path in (f"{url}/sse?member=ben", f"{url}/ndjson?member=ben"):
        assert code(http.get(path, headers=headers)) == (403, "forbidden")
    with (
        http.stream("GET", f"{url}/ndjson?member=ana", headers=headers) as stream,
        in_header(server, ana()) as client,
    ):
        lines = stream.iter_lines()
        assert "subscribed" in next(
            lines
        )  # and `lines` is kept: without it the response would be closed
        server.eventually(
            "ana alone to be there",
            lambda: http.get(f"{url}/presence", headers=headers).json()["members"],
            lambda seen: seen == [{"id": "ana"}],
        )
        client.subscribe(channel("chat"), presence=True)
        client.send(type="subscribe", channel=channel("chat") + "2", member="ben")
        assert client.until("error")["code"] == "forbidden"
        with in_header(server, BACKEND) as backend:
            backend.subscribe(channel("chat"), member="ben")
            assert client.until("join")["member"] == {"id": "ben"}
