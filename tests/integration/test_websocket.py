"""WebSocket clients of a real server: commands, pages, origins, both implementations."""

import json
import subprocess
import sys
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
    raw,
    sse,
    upgrade,
    wait_for,
)
from tests.harness.eventhub import EventHubServer
from tests.integration.readers import Channel, Start, publish


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
