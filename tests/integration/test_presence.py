"""Members with data, over every transport."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote

import pytest

from tests.harness.clients import Message, WsClient, http, ndjson, sse
from tests.harness.eventhub import EventHubServer
from tests.integration.auth_servers import (  # noqa: F401
    Channel,
    ana,
    in_header,
    server_fixture,
    servers_fixture,
)

HERE, AWAY = {"status": "here", "name": "Aná"}, {"status": "away"}


def members(hub: EventHubServer, room: str) -> Any:
    return http.get(f"{hub.url}/v1/channels/{room}/presence").json()["members"]


def test_the_data_of_a_member_is_in_lists_and_in_changes(
    lane_hub: EventHubServer, channel: Channel
) -> None:
    room = channel("chat")
    with WsClient(lane_hub.ws_url) as watcher, WsClient(lane_hub.ws_url) as ana:
        watcher.subscribe(room, presence=True)
        found = ana.subscribe(room, presence=True, member={"id": "ana", "data": HERE})
        assert found["members"] == [{"id": "ana", "data": HERE}]
        assert watcher.until("join")["member"] == {"id": "ana", "data": HERE}
        ana.send(type="update", ref=5, channel=room, data=AWAY)
        assert ana.until("updated") == {"type": "updated", "ref": 5, "channel": room}
        for client in (watcher, ana):
            assert client.until("update") == {
                "type": "update",
                "channel": room,
                "member": {"id": "ana", "data": AWAY},
            }
        assert members(lane_hub, room) == [{"id": "ana", "data": AWAY}]
        with WsClient(lane_hub.ws_url) as tab:
            tab.subscribe(room, member={"id": "ana", "data": HERE})
            assert watcher.until("update")["member"]["data"] == HERE
        assert watcher.until("update")["member"]["data"] == AWAY, "of the tab that is left"
        ana.send(type="update", channel=room, data=None)
        assert watcher.until("update")["member"] == {"id": "ana"}
        ana.send(type="unsubscribe", channel=room)
        assert watcher.until("leave")["member"] == {"id": "ana"}


@pytest.mark.parametrize("transport", ["ws", "sse", "ndjson"])
def test_an_address_gives_the_data_of_a_member(
    lane_hub: EventHubServer, channel: Channel, transport: str
) -> None:
    room = channel("chat")
    query = f"member=ana&member_data={quote(json.dumps(HERE))}"
    with WsClient(lane_hub.ws_url) as watcher:
        watcher.subscribe(room, presence=True)
        address = f"{lane_hub.url}/v1/channels/{room}/{transport}?{query}"
        if transport == "ws":
            with WsClient(f"{lane_hub.ws_url}?channel={room}&{query}") as client:
                client.until("subscribed")
                assert watcher.until("join")["member"] == {"id": "ana", "data": HERE}
        else:
            with (sse if transport == "sse" else ndjson)(address) as stream:
                next(iter(stream))
                assert watcher.until("join")["member"] == {"id": "ana", "data": HERE}
        assert watcher.until("leave")["member"] == {"id": "ana", "data": HERE}


@pytest.mark.parametrize("transport", ["ws", "sse", "ndjson", "several"])
def test_an_address_asks_for_the_members_and_their_changes(
    lane_hub: EventHubServer, channel: Channel, transport: str
) -> None:
    room, other = channel("chat"), f"{channel('chat')}x"
    with ExitStack() as stack:
        if transport == "ws":
            client = stack.enter_context(
                WsClient(f"{lane_hub.ws_url}?channel={room}&presence=true")
            )
            messages = iter(client.receive, None)
            assert next(messages)["type"] == "hello"
        elif transport == "ndjson":
            address = f"{lane_hub.url}/v1/channels/{room}/ndjson?presence=true"
            messages = stack.enter_context(ndjson(address))
        else:
            several = f"&channel={other}" * (transport == "several")
            address = f"{lane_hub.url}/v1/sse?channel={room}{several}&presence=true"
            blocks = stack.enter_context(sse(address))
            messages = (block.message for block in blocks if block.message)
        begun = next(messages)
        assert (begun["count"], begun["members"]) == (0, [])
        ana = stack.enter_context(WsClient(lane_hub.ws_url))
        ana.subscribe(room, member={"id": "ana", "data": HERE})
        assert until("join", messages)["member"] == {"id": "ana", "data": HERE}
        ana.send(type="update", channel=room, data=AWAY)
        assert until("update", messages)["member"] == {"id": "ana", "data": AWAY}
        ana.send(type="unsubscribe", channel=room)
        assert until("leave", messages)["member"]["id"] == "ana"


def until(kind: str, messages: Iterator[Message]) -> Message:
    return next(message for message in messages if message["type"] == kind)


@pytest.mark.parametrize("transport", ["ws", "sse", "ndjson"])
def test_the_members_of_a_pattern_are_counted(
    lane_hub: EventHubServer, channel: Channel, transport: str
) -> None:
    room = channel("chat")
    pattern, below = f"{room}.>", [f"{room}.{name}" for name in "ab"]
    with ExitStack() as stack:
        if transport == "ws":
            client = stack.enter_context(WsClient(lane_hub.ws_url))
            begun = client.subscribe(pattern, presence="count")
            messages = iter(client.receive, None)
        else:
            address = f"{lane_hub.url}/v1/{transport}?channel={pattern}&presence=count"
            if transport == "ndjson":
                messages = stack.enter_context(ndjson(address))
            else:
                blocks = stack.enter_context(sse(address))
                messages = (block.message for block in blocks if block.message)
            begun = next(messages)
        assert (begun["count"], "members" in begun) == (0, False)
        ana = stack.enter_context(WsClient(lane_hub.ws_url))
        for name in below:
            ana.subscribe(name, member="ana")
        message = until("presence", messages)
        if message["count"] == 1:
            message = until("presence", messages)
        assert message == {"type": "presence", "channel": pattern, "count": 2}


@pytest.mark.parametrize("transport", ["sse", "ndjson"])
@pytest.mark.parametrize("presence", ["", "yes", "true&presence=true"])
def test_a_malformed_presence_in_an_address_is_refused(
    hub: EventHubServer, channel: Channel, transport: str, presence: str
) -> None:
    address = f"{hub.url}/v1/channels/{channel('chat')}/{transport}?presence={presence}"
    assert http.get(address).json()["code"] == "invalid_request"


@pytest.mark.parametrize("transport", ["sse", "ndjson"])
@pytest.mark.parametrize(
    ("data", "status"),
    [("%5B%5D", 400), ("%7B", 400), ("", 400), (quote('{"a":"' + "x" * 1020 + '"}'), 413)],
)
def test_a_stream_with_data_that_is_none_is_refused(
    hub: EventHubServer, channel: Channel, transport: str, data: str, status: int
) -> None:
    address = f"{hub.url}/v1/channels/{channel('chat')}/{transport}?member=a&member_data={data}"
    found = http.get(address)
    assert (found.status_code, found.json()["status"]) == (status, status)


def test_more_updates_than_the_limit_are_refused_and_the_connection_stays(
    lane_hub: EventHubServer, channel: Channel
) -> None:
    room = channel("chat")
    with WsClient(lane_hub.ws_url) as ana:
        ana.subscribe(room, member="ana")
        for number in range(200):
            ana.send(type="update", ref=number, channel=room, data={"n": number})
        refused = ana.until("error")
        assert (refused["code"], refused["retry_after"] > 0) == ("rate_limited", True)
        assert "limits.member_updates" in refused["message"]
        ana.send(type="ping", ref="still here")
        assert ana.until("pong")["ref"] == "still here"


def test_the_data_of_a_token_is_shown_and_cannot_be_changed_by_its_client(
    server: EventHubServer, channel: Channel
) -> None:
    room = channel("chat")
    of_token = {"name": "Ana", "role": "moderator"}
    first = ana(member_data=of_token)
    second = ana(member_data={"name": "Ana"})
    with in_header(server, first) as client:
        found = client.subscribe(room, presence=True, member="ana")
        assert found["members"] == [{"id": "ana", "data": of_token}]
        client.send(type="update", ref=1, channel=room, data={"role": "admin"})
        assert client.until("error")["code"] == "forbidden"
        client.send(type="auth", token=second)
        assert client.until("update")["member"]["data"] == {"name": "Ana"}
        address = f"{server.url}/v1/channels/{room}/sse?member=ana&member_data=%7B%7D"
        refused = http.get(address, headers={"authorization": f"Bearer {first}"})
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


def test_the_members_of_all_channels_of_a_pattern_are_counted(
    hub: EventHubServer, channel: Channel
) -> None:
    room = channel("chat")
    with WsClient(hub.ws_url) as client:
        for name, member in ((room, "ana"), (f"{room}.a", "ana"), (f"{room}.b", "rui")):
            client.subscribe(name, member=member)
        counted = http.get(f"{hub.url}/v1/presence?match={room}.*").json()
        assert counted == {"match": f"{room}.*", "channels": 2, "count": 2, "distinct": 2}
