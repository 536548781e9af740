"""Logs of real servers: lines carry their session and trace, operators change the level, and
payloads are never logged.
"""

import json
import operator
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import jwt
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from eventhub.auth.keys import hash_key, new_key
from tests.harness.clients import WsClient, close_code, frame, http, masked, ndjson, sse, upgrade
from tests.harness.eventhub import EventHubServer
from tests.harness.nats_servers import Server as NatsServer
from tests.harness.redis_servers import RedisServer

Start = Callable[..., EventHubServer]
Line = dict[str, Any]
OPERATOR = new_key()
AS_OPERATOR = {"Authorization": f"Bearer {OPERATOR}"}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


# Lines that belong together


@pytest.fixture(scope="module")
def debugged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    """A server at level debug, shared: look at the lines of your own sessions."""
    config = (
        "log: {level: debug, format: json, access: true}\n"
        "channels: {chat: {payload: json, history: {events: 1}}}"
    )
    with EventHubServer(tmp_path_factory.mktemp("debug"), config) as server:
        yield server


def story(hub: EventHubServer, session: str) -> list[Line]:
    """The log lines of a session, once it is closed."""
    found = hub.eventually(
        f"the end of {session}",
        hub.lines,
        lambda seen: ("closed", session) in [(line["event"], line.get("session")) for line in seen],
    )
    return [line for line in found if line.get("session") == session]


def test_the_lines_of_a_connection_have_the_name_that_hello_says(debugged: EventHubServer) -> None:
    with WsClient(debugged.ws_url) as client:
        session = client.until("hello")["session"]
        position = client.subscribe("chat.named")["position"]
        client.subscribe("chat.named2", since=position)
        client.send(type="unsubscribe", channel="chat.named2")
        client.until("unsubscribed")
    own = story(debugged, session)
    assert [line["event"] for line in own] == [
        "opened",
        "request",
        "subscribed",
        "subscribed",
        "unsubscribed",
        "unsubscribed",
        "closed",
    ]
    opened, request, first, *_, closed = own
    assert (opened["transport"], opened["client"], request["status"]) == (
        "websocket",
        "127.0.0.1",
        101,
    )
    told = (first["channel"], first["position"], first["recovered"])
    assert told == ("chat.named", position, True)
    assert (closed["reason"], 0 <= closed["seconds"] < 60) == ("client, 1000", True)


def test_the_last_log_line_of_a_cut_connection_is_closed(debugged: EventHubServer) -> None:
    with upgrade(debugged.port, "?channel=chat.cut") as sock:
        hello, _ = (json.loads(frame(sock)[1]) for _ in range(2))
    assert [line["event"] for line in story(debugged, hello["session"])] == [
        "opened",
        "request",
        "subscribed",
        "unsubscribed",
        "closed",
    ]


@pytest.mark.parametrize("transport", ["sse", "ndjson"])
def test_streams_have_names_too(debugged: EventHubServer, transport: str) -> None:
    opening: Any = sse if transport == "sse" else ndjson
    with opening(f"{debugged.url}/v1/channels/chat.{transport}/{transport}") as stream:
        next(stream)
    session = next(
        line["session"]
        for line in debugged.lines("subscribed")
        if line["channel"] == f"chat.{transport}"
    )
    own = story(debugged, session)
    *begin, unsubscribed, closed = [line["event"] for line in own]
    assert (sorted(begin), unsubscribed, closed) == (
        ["opened", "request", "subscribed"],
        "unsubscribed",
        "closed",
    )
    assert (own[-1]["transport"], own[-1]["reason"]) == (transport, "gone")


def test_the_log_lines_of_a_producer_s_stream_have_its_session(debugged: EventHubServer) -> None:
    http.post(
        f"{debugged.url}/v1/channels/chat.a",
        content="1\n",
        headers={"content-type": "application/x-ndjson"},
    )
    session = next(
        line["session"] for line in debugged.lines("opened") if line["transport"] == "producer"
    )
    own = story(debugged, session)
    assert [line["event"] for line in own] == ["opened", "request", "closed"]
    assert own[-1]["reason"] == "done"


def test_a_connection_that_the_server_ends_is_closed_with_the_code(
    debugged: EventHubServer,
) -> None:
    with WsClient(debugged.ws_url) as client:
        session = client.until("hello")["session"]
        client.connection.send(b"binary")
        assert client.until("error")["code"] == "unsupported_media_type"
        with pytest.raises(ConnectionClosed):
            client.receive()
    assert story(debugged, session)[-1]["reason"] == "unsupported_media_type"


def test_a_gap_of_a_reader_is_logged(debugged: EventHubServer) -> None:
    ids = [
        http.post(f"{debugged.url}/v1/channels/chat.gap", json=number).json()["id"]
        for number in range(3)
    ]
    with WsClient(debugged.ws_url) as client:
        session = client.until("hello")["session"]
        client.subscribe("chat.gap", since=ids[0])
        client.until("event")
    (gap,) = [line for line in story(debugged, session) if line["event"] == "gap"]
    assert (gap["channel"], gap["after"], gap["reason"], gap["readers"]) == (
        "chat.gap",
        ids[0],
        "expired",
        1,
    )


def test_the_log_line_of_a_publish_has_its_trace_id(debugged: EventHubServer) -> None:
    for content_type in ("application/json", "application/x-ndjson"):
        http.post(
            f"{debugged.url}/v1/channels/chat.t",
            content="1\n",
            headers={"traceparent": TRACEPARENT, "content-type": content_type},
        )
    http.post(
        f"{debugged.url}/v1/channels/chat.t", content="{", headers={"traceparent": "nonsense"}
    )
    own = [line for line in debugged.lines("request") if line["path"].endswith("chat.t")]
    assert [line.get("trace_id") for line in own] == [TRACE, TRACE, None]


def test_a_share_of_none_leaves_only_faults(start: Start) -> None:
    hub = start("log: {format: json, access: true, access_share: 0}")
    http.get(f"{hub.url}/livez")
    assert http.get(f"{hub.url}/nothing").status_code == 404
    assert hub.lines("request") == []


# The level


def config(broker: str = "memory://") -> str:
    return (
        f"broker: {broker}\nlog: {{format: json}}\n"
        f"auth: {{keys: [{{name: root, hash: '{hash_key(OPERATOR)}', operator: true}}]}}\n"
        "channels: {chat: {payload: json, publish: [client, producer], "
        "anonymous: [subscribe, publish, presence], presence: true}}"
    )


def put_level(hub: EventHubServer, level: str) -> None:
    answer = http.put(f"{hub.url}/v1/admin/log", headers=AS_OPERATOR, json={"level": level})
    assert answer.status_code == 200, answer.text
    assert level in answer.json()["nodes"].values()


def levels(hub: EventHubServer) -> list[str]:
    """The level of each node."""
    return list(http.get(f"{hub.url}/v1/admin/log", headers=AS_OPERATOR).json()["nodes"].values())


def has_level(hub: EventHubServer, level: str) -> None:
    """Wait until all its loggers have this level."""
    hub.eventually(f"level {level}", partial(levels, hub), lambda seen: set(seen) == {level})


def connect(hub: EventHubServer) -> None:
    with WsClient(hub.ws_url) as client:
        client.until("hello")


def test_an_operator_changes_the_level_at_all_nodes(start: Start, tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        first, second = nodes = [start(config(redis.url)), start(config(redis.url))]
        first.eventually(
            "its levels", partial(levels, first), partial(operator.eq, ["info", "info"])
        )
        for node in nodes:
            connect(node)
        put_level(first, "debug")
        second.eventually(
            "its levels", partial(levels, second), partial(operator.eq, ["debug", "debug"])
        )
        for node in nodes:
            assert node.lines("opened") == []
            connect(node)
            node.logs('"closed"')
        put_level(second, "warning")
        first.eventually(
            "its levels", partial(levels, first), partial(operator.eq, ["warning", "warning"])
        )
        connect(first)
        assert len(first.lines("opened")) == 1
        changes = [
            (line["operator"], line["to"]) for node in nodes for line in node.lines("log_level")
        ]
        assert changes == [("root", "debug"), ("root", "warning")]


def test_only_operators_see_and_change_the_log_level_and_only_to_a_level_that_exists(
    start: Start,
) -> None:
    hub = start(config())
    for method, body in (("GET", None), ("PUT", {"level": "debug"})):
        answer = http.request(method, f"{hub.url}/v1/admin/log", json=body)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    for wrong in (
        {},
        {"level": "trace"},
        {"level": "DEBUG"},
        {"level": None},
        {"level": "debug", "zzz": 1},
    ):
        answer = http.put(f"{hub.url}/v1/admin/log", headers=AS_OPERATOR, json=wrong)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert levels(hub) == ["info"]


# What is never logged

PAYLOAD, TOKEN_SECRET, QUERY, KEY = (
    "MARKpayload",
    "MARKsecret of 32 bytes and a few more",
    "MARKquery",
    new_key(),
)


def everything(broker: str) -> str:
    return f"""
broker: {broker}
log: {{level: debug, format: json, access: true}}
limits: {{event_bytes: 2000, buffer_bytes: 4096}}
channels:
  chat: {{payload: chat, publish: [client, producer], presence: true, history: {{events: 3}}}}
auth:
  query: true
  keys: [{{name: ana, hash: "{hash_key(KEY)}", publish: [">"], subscribe: [">"],
           presence: [">"], operator: true}}]
  tokens: {{keys: [{{algorithm: HS256, secret: "{TOKEN_SECRET}"}}]}}
"""


@contextmanager
def memory(directory: Path) -> Iterator[str]:
    yield "memory://"


@contextmanager
def redis(directory: Path) -> Iterator[str]:
    with RedisServer(directory / "redis") as server:
        yield server.url


@contextmanager
def nats(directory: Path) -> Iterator[str]:
    server = NatsServer().start()
    try:
        yield server.url
    finally:
        server.remove()


@pytest.mark.parametrize(
    ("lane", "broker"), [("fast", memory), ("asgi", memory), ("fast", redis), ("fast", nats)],
)  # fmt: skip
def test_no_payload_no_credential_and_no_query_is_logged_at_level_debug(
    start: Start, lane: str, broker: Any, tmp_path: Path
) -> None:
    token = jwt.encode(
        {"sub": "bea", "exp": time.time() + 60, "channels": {"subscribe": [">"], "publish": [">"]}},
        TOKEN_SECRET,
        "HS256",
    )
    with broker(tmp_path) as url:
        hub = start(everything(url), lane=lane)
        publish(hub, token)
        listen(hub, token)
        refused(hub, token)
        if lane == "fast":
            break_frames(hub)
        hub.stop()
        written = hub.log.read_text().splitlines()
    log = "\n".join(
        line for line in written if not line.startswith("INFO:")
    )  # another server's own words
    assert "MARK" not in log
    assert KEY not in log
    assert not any(part in log for part in (*token.split("."), "Traceback", "access_token"))
    if lane == "fast":
        assert '"opened"' in log
        assert '"request"' in log


def publish(hub: EventHubServer, token: str) -> None:
    url, event = f"{hub.url}/v1/channels/chat.a", {"sender": PAYLOAD, "text": PAYLOAD}
    for headers in ({"Authorization": f"Bearer {KEY}"}, {"Authorization": f"Bearer {token}"}):
        assert (
            http.post(
                url,
                json=event,
                headers={**headers, "ce-subject": PAYLOAD, "Idempotency-Key": PAYLOAD},
            ).status_code
            == 201
        )
        http.post(url, json=[event, {"sender": PAYLOAD}, PAYLOAD], headers=headers)
        http.post(
            url,
            content=f'{json.dumps(event)}\n{{"{PAYLOAD}\n',
            headers={**headers, "content-type": "application/x-ndjson"},
        )
        http.post(url, content=PAYLOAD, headers=headers)
        http.post(url, json={**event, "text": PAYLOAD * 300}, headers=headers)
    http.post(f"{url}?access_token={KEY}&{QUERY}={QUERY}", json=event)


def listen(hub: EventHubServer, token: str) -> None:
    with WsClient(f"{hub.ws_url}?access_token={KEY}&channel=chat.a&since=-3") as client:
        client.send(type="subscribe", channel="chat.b", presence=True, member=PAYLOAD)
        event, attributes = {"sender": PAYLOAD, "text": PAYLOAD}, {"subject": PAYLOAD}
        client.send(
            type="publish", channel="chat.b", data=event, attributes=attributes, ref=PAYLOAD
        )
        client.send(type="publish", channel="chat.b", data={"sender": PAYLOAD, "wrong": PAYLOAD})
        client.send(type="auth", token=token)
        client.send(type="auth", token=KEY + "x")
        client.send(type=PAYLOAD)
        client.connection.send(PAYLOAD)
        client.send(type="ping")
        client.until("pong")
    with sse(
        f"{hub.url}/v1/sse?access_token={KEY}&channel=chat.a&channel=chat.b&since=earliest&member={QUERY}"
    ) as blocks:
        next(blocks)
    with ndjson(
        f"{hub.url}/v1/channels/chat.a/ndjson?access_token={KEY}&since=earliest"
    ) as messages:
        next(messages)
    for path in (
        "channels/chat.a?since=earliest",
        f"channels/chat.b/presence?{QUERY}=1",
        f"admin/connections?subject={QUERY}",
    ):
        http.get(f"{hub.url}/v1/{path}", headers={"Authorization": f"Bearer {KEY}"})


def refused(hub: EventHubServer, token: str) -> None:
    http.get(
        f"{hub.url}/v1/channels/chat.a?since={QUERY}", headers={"Authorization": f"Bearer {token}x"}
    )
    http.get(f"{hub.url}/v1/channels/chat.a?access_token={QUERY}")
    with (
        suppress(InvalidStatus, ConnectionClosed),
        WsClient(f"{hub.ws_url}?access_token={QUERY}") as client,
    ):
        client.receive()


def break_frames(hub: EventHubServer) -> None:
    for behind in (
        masked(PAYLOAD.encode(), 2),
        masked(b"\xff" + PAYLOAD.encode()),
        b"\xff" + PAYLOAD.encode(),
    ):
        with (
            suppress(OSError, EOFError),
            upgrade(hub.port, f"?access_token={KEY}", behind=behind) as sock,
        ):
            close_code(sock)
