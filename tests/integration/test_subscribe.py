"""Subscribing over every transport. The WebSocket tests run over both implementations."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.harness.clients import (
    WsClient,
    close_code,
    frame,
    http,
    masked,
    metric,
    ndjson,
    raw,
    sse,
    upgrade,
    wait_for,
)
from tests.harness.eventhub import EventHubServer

Channel = Callable[[str], str]
Start = Callable[..., EventHubServer]


def publish(hub: EventHubServer, channel: str, *values: float) -> list[str]:
    body = json.dumps([{"value": value} for value in values])
    results = http.post(f"{hub.url}/v1/channels/{channel}", content=body).json()["results"]
    return [result["id"] for result in results]


def values(messages: list[dict[str, Any]]) -> list[float]:
    return [message["data"]["value"] for message in messages]


# One reader per transport, each giving the messages of one channel from `since` on.


@contextmanager
def over_websocket(
    hub: EventHubServer, channel: str, since: str
) -> Iterator[Iterator[dict[str, Any]]]:
    with WsClient(hub.ws_url) as client:
        assert client.receive()["type"] == "hello"
        client.send(type="subscribe", channel=channel, since=since)
        yield iter(client.receive, None)


@contextmanager
def over_bare_websocket(
    hub: EventHubServer, channel: str, since: str
) -> Iterator[Iterator[dict[str, Any]]]:
    with WsClient(f"{hub.ws_url}?channel={channel}&since={since}") as client:
        assert client.receive()["type"] == "hello"
        yield iter(client.receive, None)


@contextmanager
def over_sse(hub: EventHubServer, channel: str, since: str) -> Iterator[Iterator[dict[str, Any]]]:
    with sse(f"{hub.url}/v1/channels/{channel}/sse?since={since}") as blocks:
        yield (block.message for block in blocks if block.message is not None)


@contextmanager
def over_ndjson(
    hub: EventHubServer, channel: str, since: str
) -> Iterator[Iterator[dict[str, Any]]]:
    with ndjson(f"{hub.url}/v1/channels/{channel}/ndjson?since={since}") as messages:
        yield messages


Reader = Callable[[EventHubServer, str, str], Any]
READERS = {
    "websocket": over_websocket,
    "bare": over_bare_websocket,
    "sse": over_sse,
    "ndjson": over_ndjson,
}


@pytest.fixture(params=READERS)
def reader(request: pytest.FixtureRequest) -> Any:
    return READERS[request.param]


def take(messages: Iterator[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    return [next(messages) for _ in range(count)]


def test_latest_gets_what_is_published_from_now_on(
    lane_hub: EventHubServer, channel: Channel, reader: Reader
) -> None:
    before = publish(lane_hub, channel("iot"), 1)
    with reader(lane_hub, channel("iot"), "latest") as messages:
        start = next(messages)
        assert (start["type"], start["position"], start["head"], start["recovered"]) == (
            "subscribed",
            before[0],
            before[0],
            True,
        )
        ids = publish(lane_hub, channel("iot"), 2, 3)
        assert [(m["id"], m["data"]) for m in take(messages, 2)] == [
            (ids[0], {"value": 2.0}),
            (ids[1], {"value": 3.0}),
        ]


def test_since_an_id_gives_exactly_the_events_after_it(
    lane_hub: EventHubServer, channel: Channel, reader: Reader
) -> None:
    ids = publish(lane_hub, channel("iot"), 1, 2, 3)
    with reader(lane_hub, channel("iot"), ids[0]) as messages:
        start = next(messages)
        assert (start["position"], start["head"], start["recovered"]) == (ids[0], ids[2], True)
        assert values(take(messages, 2)) == [2, 3]
        publish(lane_hub, channel("iot"), 4)
        assert values(take(messages, 1)) == [4]


@pytest.mark.parametrize(
    ("since", "expected"),
    [("earliest", [1, 2, 3]), ("-2", [2, 3]), ("-99", [1, 2, 3]), ("10m", [1, 2, 3]), ("0s", [])],
)
def test_the_other_forms_of_since(
    lane_hub: EventHubServer, channel: Channel, reader: Reader, since: str, expected: list[float]
) -> None:
    publish(lane_hub, channel("iot"), 1, 2, 3)
    if since == "0s":  # not in the same millisecond
        http.get(f"{lane_hub.url}/livez")
    with reader(lane_hub, channel("iot"), since) as messages:
        assert next(messages)["recovered"] is True
        publish(lane_hub, channel("iot"), 4)
        assert values(take(messages, len(expected) + 1)) == [*expected, 4]


def test_since_an_id_of_another_epoch_gives_a_gap_and_all_retained_events(
    lane_hub: EventHubServer, channel: Channel, reader: Reader
) -> None:
    ids = publish(lane_hub, channel("iot"), 1, 2)
    with reader(lane_hub, channel("iot"), "0ther-7") as messages:
        assert next(messages)["recovered"] is False
        gap = next(messages)
        assert (gap["type"], gap["after"], gap["before"], gap["reason"]) == (
            "gap",
            "0ther-7",
            ids[0],
            "reset",
        )
        assert values(take(messages, 2)) == [1, 2]


def test_a_gap_for_expired_events_has_both_ends(start: Start, reader: Reader) -> None:
    hub = start("channels: {iot: {payload: reading, history: {events: 3}}}")
    ids = publish(hub, "iot.a", *range(1, 7))
    with reader(hub, "iot.a", ids[0]) as messages:
        assert next(messages)["recovered"] is False
        gap = next(messages)
        assert (gap["after"], gap["before"], gap["position"], gap["reason"]) == (
            ids[0],
            ids[3],
            ids[2],
            "expired",
        )
        assert values(take(messages, 3)) == [4, 5, 6]


def test_a_malformed_since_is_named(lane_hub: EventHubServer, channel: Channel) -> None:
    for path in ("", "/sse", "/ndjson"):
        response = http.get(f"{lane_hub.url}/v1/channels/{channel('iot')}{path}?since=yesterday")
        assert (response.status_code, response.json()["code"]) == (400, "invalid_since")
    with WsClient(f"{lane_hub.ws_url}?channel={channel('iot')}&since=yesterday") as client:
        assert client.until("error")["code"] == "invalid_since"
        with pytest.raises(ConnectionClosed) as closed:
            client.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4400


def test_the_position_of_a_page_is_the_since_of_the_next(
    hub: EventHubServer, channel: Channel
) -> None:
    publish(hub, channel("iot"), *range(25))
    read: list[float] = []
    since = "earliest"
    while True:
        page = http.get(
            f"{hub.url}/v1/channels/{channel('iot')}", params={"since": since, "limit": 10}
        ).json()
        assert page["gap"] is None
        read += values(page["events"])
        since = page["position"]
        if since == page["head"]:
            break
    assert read == list(range(25))
    latest = http.get(f"{hub.url}/v1/channels/{channel('iot')}?since=latest").json()
    assert (latest["events"], latest["position"]) == ([], page["head"])


def test_a_page_of_history_says_which_events_are_missing(
    hub: EventHubServer, channel: Channel
) -> None:
    ids = publish(hub, channel("iot"), 1)
    page = http.get(f"{hub.url}/v1/channels/{channel('iot')}?since=0ther-7").json()
    assert (page["gap"]["reason"], page["gap"]["before"]) == ("reset", ids[0])


@pytest.mark.parametrize("query", ["limit=0", "limit=100000", "limit=x", "since=k3x9", "since=-0"])
def test_a_bad_page_is_named(hub: EventHubServer, channel: Channel, query: str) -> None:
    response = http.get(f"{hub.url}/v1/channels/{channel('iot')}?{query}")
    assert (response.status_code, response.json()["code"]) in [
        (400, "invalid_request"),
        (400, "invalid_since"),
    ]


def test_last_event_id_takes_precedence_over_since(hub: EventHubServer, channel: Channel) -> None:
    ids = publish(hub, channel("iot"), 1, 2, 3)
    with sse(
        f"{hub.url}/v1/channels/{channel('iot')}/sse?since=earliest", last_event_id=ids[1]
    ) as blocks:
        begin = next(block for block in blocks if block.name == "subscribed")
        assert begin.id == ids[1], "a reader that loses the connection now resumes where it stood"
        event = next(blocks)
        assert (event.id, event.name) == (ids[2], "message")


def test_several_channels_on_one_event_stream_resume_together(
    hub: EventHubServer, channel: Channel
) -> None:
    a, b = channel("iot") + "-a", channel("iot") + "-b"
    query = f"channel={a}&channel={b}"
    with sse(f"{hub.url}/v1/sse?{query}") as blocks:
        assert {
            next(b for b in blocks if b.name == "subscribed").message["channel"]  # type: ignore[index]
            for _ in range(2)
        } == {a, b}
        publish(hub, a, 1)
        publish(hub, b, 2)
        publish(hub, a, 3)
        got = [next(blocks) for _ in range(3)]
    publish(hub, b, 4)
    publish(hub, a, 5)
    with sse(f"{hub.url}/v1/sse?{query}", last_event_id=got[1].id) as blocks:
        events = [
            next(block for block in blocks if block.name == "message").message for _ in range(3)
        ]
    by_channel = {
        name: [e["data"]["value"] for e in events if e and e["channel"] == name] for name in (a, b)
    }
    assert by_channel == {a: [3, 5], b: [4]}, (
        "after the second event: exactly what followed, in both channels"
    )


def test_one_socket_carries_many_channels(lane_hub: EventHubServer, channel: Channel) -> None:
    names = [f"{channel('iot')}-{n}" for n in range(20)]
    with WsClient(lane_hub.ws_url) as client:
        for name in names:
            client.subscribe(name)
        for number, name in enumerate(names):
            publish(lane_hub, name, number)
        assert {event["channel"]: event["data"]["value"] for event in client.events(20)} == {
            n: i for i, n in enumerate(names)
        }
        client.send(type="unsubscribe", channel=names[0], ref="u")
        assert client.until("unsubscribed") == {
            "type": "unsubscribed",
            "ref": "u",
            "channel": names[0],
            "reason": "client",
        }
        publish(lane_hub, names[0], 98)
        publish(lane_hub, names[1], 99)
        assert client.events(1)[0]["channel"] == names[1]


def test_a_client_publishes_where_the_type_allows_it(
    lane_hub: EventHubServer, channel: Channel
) -> None:
    with (
        WsClient(lane_hub.ws_url) as client,
        WsClient(f"{lane_hub.ws_url}?channel={channel('chat')}") as other,
    ):
        other.until("subscribed")
        data = {"sender": "ana", "text": "oi"}
        client.send(
            type="publish",
            ref=7,
            channel=channel("chat"),
            data=data,
            key="k",
            attributes={"source": "test"},
        )
        published = client.until("published")
        assert (published["ref"], published["channel"]) == (7, channel("chat"))
        (event,) = other.events(1)
        assert (event["id"], event["data"], event["attributes"]) == (
            published["id"],
            data,
            {"source": "test"},
        )
        client.send(type="publish", ref=8, channel=channel("chat"), data=data, key="k")
        assert client.until("published")["id"] == published["id"], "the key makes a retry safe"
        client.send(
            type="publish", ref=9, channel=channel("logs"), data={"level": "info", "message": "x"}
        )
        error = client.until("error")
        assert (error["ref"], error["code"]) == (9, "forbidden")
        client.send(type="publish", ref=10, channel=channel("chat"), data={"sender": "ana"})
        error = client.until("error")
        assert (error["ref"], error["code"], error["details"][0]["pointer"]) == (
            10,
            "invalid_event",
            "/text",
        )


def test_publishes_of_one_client_are_stored_in_order(
    lane_hub: EventHubServer, channel: Channel
) -> None:
    with WsClient(f"{lane_hub.ws_url}?channel={channel('chat')}") as client:
        client.until("subscribed")
        for number in range(500):
            client.send(
                type="publish",
                ref=number,
                channel=channel("chat"),
                data={"sender": "a", "text": str(number)},
            )
        seen: dict[str, list[Any]] = {"published": [], "event": []}
        while len(seen["event"]) < 500 or len(seen["published"]) < 500:
            message = client.receive()
            seen[message["type"]].append(message)
        assert [m["ref"] for m in seen["published"]] == list(range(500))
        assert [m["data"]["text"] for m in seen["event"]] == [str(n) for n in range(500)]
        assert [m["id"] for m in seen["published"]] == [m["id"] for m in seen["event"]]


def test_presence_counts_people_and_not_tabs(lane_hub: EventHubServer, channel: Channel) -> None:
    room = channel("chat")
    with WsClient(lane_hub.ws_url) as ana:
        assert ana.subscribe(room, presence=True, member="ana")["members"] == [{"id": "ana"}]
        with WsClient(lane_hub.ws_url) as tab, WsClient(lane_hub.ws_url) as bob:
            assert tab.subscribe(room, presence=True, member="ana")["members"] == [{"id": "ana"}]
            assert bob.subscribe(room, presence=True, member="bob")["members"] == [
                {"id": "ana"},
                {"id": "bob"},
            ]
            assert ana.receive() == {"type": "join", "channel": room, "member": {"id": "bob"}}
            assert http.get(f"{lane_hub.url}/v1/channels/{room}/presence").json()["members"] == [
                {"id": "ana"},
                {"id": "bob"},
            ]
            tab.connection.close()
            bob.connection.close()
        assert ana.receive() == {"type": "leave", "channel": room, "member": {"id": "bob"}}, (
            "and none for ana's other tab"
        )
    with sse(f"{lane_hub.url}/v1/channels/{room}/sse?member=carla") as blocks:
        next(block for block in blocks if block.name == "subscribed")
        with WsClient(lane_hub.ws_url) as client:
            members = client.subscribe(room, presence=True, member="dora")["members"]
            assert {"id": "carla"} in members


def test_a_websocket_command_line_client_listens_without_sending_anything(
    hub: EventHubServer, channel: Channel
) -> None:
    publish(hub, channel("iot"), 42)
    url = f"{hub.ws_url}?channel={channel('iot')}&since=earliest"
    with subprocess.Popen(
        [sys.executable, "-m", "websockets", url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as client:
        wait_for(client, '"value":42.0')
        client.terminate()


def test_curl_reads_a_stream(hub: EventHubServer, channel: Channel) -> None:
    publish(hub, channel("iot"), 42)
    command = ["curl", "-sN", f"{hub.url}/v1/channels/{channel('iot')}/ndjson?since=-1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        assert json.loads(client.stdout.readline())["type"] == "subscribed"
        assert json.loads(client.stdout.readline())["data"] == {"value": 42.0}
        client.terminate()


def test_the_subprotocol_is_selected_when_offered(lane_hub: EventHubServer) -> None:
    with WsClient(lane_hub.ws_url, subprotocols=["other", "eventhub.v1"]) as client:
        assert client.connection.subprotocol == "eventhub.v1"
    with WsClient(lane_hub.ws_url) as client:
        assert client.connection.subprotocol is None


def test_a_page_of_another_origin_gets_an_error_and_is_not_served(
    lane_hub: EventHubServer, start: Start
) -> None:
    channel = "?channel=chat.elsewhere"
    with WsClient(
        lane_hub.ws_url + channel, origin="http://evil.example", subprotocols=["eventhub.v1"]
    ) as client:
        assert client.connection.subprotocol == "eventhub.v1", "without it a browser would not open"
        told = client.receive()
        assert (told["type"], told["code"]) == ("error", "origin_not_allowed")
        assert "'http://evil.example'" in told["message"]
        assert "`origins`" in told["message"]
        with pytest.raises(ConnectionClosed) as closed:
            client.receive()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4403, "origin_not_allowed")
    with WsClient(lane_hub.ws_url, origin=lane_hub.url) as client:
        assert client.receive()["type"] == "hello"


def test_a_page_of_a_listed_origin_connects(start: Start) -> None:
    trusting = start(
        "origins: ['http://app.example', 'https://*.example.com', 'capacitor://localhost']"
    )
    for origin in ("http://app.example", "https://a.b.example.com", "capacitor://localhost"):
        with WsClient(trusting.ws_url, origin=origin) as client:
            assert client.receive()["type"] == "hello"
    for origin in ("https://evil-example.com", "https://example.com.evil.com"):
        with WsClient(trusting.ws_url, origin=origin) as client:
            assert client.receive()["code"] == "origin_not_allowed"
    assert [line["origin"] for line in trusting.lines("origin_refused")] == [
        "https://evil-example.com",
        "https://example.com.evil.com",
    ]


PAGE_FAULTS = [
    ("/v1/ws?access_token=x", 4400, "invalid_request"),
    ("/v1/sockets", 4404, "not_found"),
]


@pytest.mark.parametrize(("path", "code", "error"), PAGE_FAULTS)
def test_a_page_sees_why_it_is_refused_and_other_clients_see_a_status(
    lane_hub: EventHubServer, path: str, code: int, error: str
) -> None:
    url = lane_hub.ws_url.removesuffix("/v1/ws") + path
    with WsClient(url, origin=lane_hub.url) as client:
        assert client.receive()["code"] == error
        with pytest.raises(ConnectionClosed) as closed:
            client.receive()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code
    with pytest.raises(InvalidStatus):
        WsClient(url)


def test_a_refused_page_that_does_not_close_keeps_no_connection(hub: EventHubServer) -> None:
    head = (
        f"GET /v1/ws?channel=chat.a HTTP/1.1\r\nHost: 127.0.0.1:{hub.port}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: http://evil.example\r\n\r\n"
    )
    with raw(hub.port) as sock:
        sock.sendall(
            head.encode()
            + masked(
                b'{"type":"publish","channel":"chat.refused","data":{"sender":"eve","text":"x"}}'
            )
        )
        answer = b""
        while part := sock.recv(65536):  # until the server gives it up
            answer += part
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert answer.count(b'"type"') == 1, "an error, and nothing else"
    assert http.get(f"{hub.url}/v1/channels/chat.refused").json()["events"] == []


def test_frames_sent_before_hello_was_read_are_obeyed(
    hub: EventHubServer, channel: Channel
) -> None:
    command = json.dumps({"type": "subscribe", "channel": channel("iot"), "ref": 1}).encode()
    with upgrade(hub.port, behind=masked(command) + masked(b'{"type":"ping","ref":2}')) as sock:
        kinds = [json.loads(frame(sock)[1])["type"] for _ in range(3)]
        assert kinds[0] == "hello"
        assert set(kinds) == {"hello", "subscribed", "pong"}


def test_heartbeats_keep_idle_connections_open(start: Start) -> None:
    hub = start("heartbeat: 2")  # a pong is due as soon
    with upgrade(hub.port) as sock:
        assert frame(sock)[0] == 1
        for _ in range(2):
            assert frame(sock)[0] == 9
            sock.sendall(masked(b"", opcode=10))
        sock.sendall(masked(b'{"type":"ping"}'))
        while (got := frame(sock))[0] == 9:
            sock.sendall(masked(b"", opcode=10))
        assert json.loads(got[1])["type"] == "pong"


@pytest.mark.parametrize("path", ["sse", "ndjson"])
def test_no_proxy_may_transform_a_stream_nor_keep_it(
    lane_hub: EventHubServer, channel: Channel, path: str
) -> None:
    own = f"{lane_hub.url}/v1/channels/{channel('chat')}"
    lines = iter([b'{"sender":"a","text":"b"}\n'])  # of unknown length, so the answer is progress
    with (
        http.stream("GET", f"{own}/{path}") as live,
        http.stream(
            "POST", own, content=lines, headers={"content-type": "application/x-ndjson"}
        ) as progress,
    ):
        for answer in (live, progress):
            assert answer.headers.get_list("cache-control") == ["no-store, no-transform"]


def test_every_block_of_an_event_stream_has_data_and_its_id_after_the_data(
    start: Start,
) -> None:
    """Some clients parse a block without data as JSON, and keep an id before its event."""
    hub = start("heartbeat: 0.1")
    with http.stream("GET", f"{hub.url}/v1/channels/iot/sse") as response:
        text, published = "", False
        for (
            part
        ) in response.iter_text():  # which may hold several heartbeats, and one behind the event
            text += part
            if ": heartbeat" in text and not published:
                publish(hub, "iot", 1)
                published = True
            if '"event"' in text and text.count("\n\n") == 2:
                break
    first, second, rest = text.split("\n\n")
    assert re.fullmatch(r"retry: \d{4}\nevent: subscribed\ndata: {.*}\nid: \S+", first)
    assert re.fullmatch(r"(: heartbeat\n)+data: {.*}\nid: \S+", second)
    assert rest.replace(": heartbeat\n", "") in ": heartbeat\n", (
        "of a later one there may be a part"
    )


def test_heartbeats_show_on_streams(start: Start) -> None:
    hub = start("heartbeat: 0.1")
    with http.stream("GET", f"{hub.url}/v1/channels/iot.a/sse") as response:
        assert (
            sum(
                line == ": heartbeat"
                for line, _ in zip(response.iter_lines(), range(20), strict=False)
            )
            >= 3
        )
    with http.stream("GET", f"{hub.url}/v1/channels/iot.a/ndjson") as response:
        assert [line for line, _ in zip(response.iter_lines(), range(4), strict=False)][1:] == [
            "",
            "",
            "",
        ]


def test_a_half_open_connection_is_found_and_closed(start: Start) -> None:
    hub = start("heartbeat: 0.1")
    with upgrade(hub.port, "?channel=chat.a") as sock:
        assert close_code(sock) == 4408, "it answered no ping"
    assert metric(hub.url, "eventhub_subscriptions") == 0


def test_compressed_frames_are_built_once_and_every_client_can_read_them(start: Start) -> None:
    hub = start("compression: true")
    text = "a long line of chat " * 50
    with (
        WsClient(f"{hub.ws_url}?channel=chat.a") as squeezed,
        WsClient(f"{hub.ws_url}?channel=chat.a", compression=None) as plain,
    ):
        assert [
            type(extension).__name__ for extension in squeezed.connection.protocol.extensions
        ] == ["PerMessageDeflate"]
        assert plain.connection.protocol.extensions == []
        for client in (squeezed, plain):
            client.until("subscribed")
        squeezed.send(
            type="publish", channel="chat.a", data={"sender": "ana", "text": text}
        )  # compressed by the client, too
        for _ in range(2):
            squeezed.send(type="publish", channel="chat.a", data={"sender": "ana", "text": "short"})
        for client in (squeezed, plain):
            assert [event["data"]["text"] for event in client.events(3)] == [text, "short", "short"]


def test_without_the_setting_compression_is_not_negotiated(hub: EventHubServer) -> None:
    with WsClient(hub.ws_url) as client:
        assert client.connection.protocol.extensions == []


def test_a_compressed_bomb_is_stopped_at_the_message_limit(start: Start) -> None:
    hub = start("compression: true")
    with WsClient(hub.ws_url) as client:
        client.send(
            type="publish", channel="chat.a", data={"sender": "a", "text": "x" * 10_000_000}
        )
        with pytest.raises(ConnectionClosed) as closed:
            client.until("published")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4413
