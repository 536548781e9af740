"""Authentication over real connections: credentials in every place, their end, keys that come late.
Over both implementations of WebSocket.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import product
from typing import Any, TypeVar

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from eventhub.auth.keys import hash_key
from tests.harness.clients import SECONDS, WsClient, frame, http, masked, raw, upgrade
from tests.harness.credentials import SECRET, jwk, private, public_pem, token
from tests.harness.eventhub import EventHubServer
from tests.harness.jwks_server import JwksServer

Start = Callable[..., EventHubServer]
Channel = Callable[[str], str]
T = TypeVar("T")
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


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, EventHubServer]]:
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


@pytest.fixture(params=LANES)
def server(request: pytest.FixtureRequest, servers: dict[str, EventHubServer]) -> EventHubServer:
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
