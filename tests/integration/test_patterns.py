"""Patterns over WebSocket on real servers: births on another node, resume, what is refused."""

from typing import Any

from tests.harness.clients import WsClient
from tests.harness.eventhub import EventHubServer
from tests.integration.readers import Channel, publish


def positions(client: WsClient) -> dict[str, str]:
    """Where the client stands, as it is told."""
    found: dict[str, str] = {}
    while True:
        message = client.until("positions")
        found |= message["positions"]
        if message["complete"]:
            return found


def got(client: WsClient, count: int) -> list[tuple[str, Any]]:
    return [(event["channel"], event["data"]["value"]) for event in client.events(count)]


def test_a_pattern_is_complete_over_births_and_a_reconnect(
    lane_hub: EventHubServer, channel: Channel
) -> None:
    base = channel("iot")
    old, new, later = f"{base}.old", f"{base}.new", f"{base}.later"
    publish(lane_hub, old, 1)
    with WsClient(lane_hub.ws_url) as client:
        assert client.subscribe(f"{base}.>")["channels"] == 1
        held = positions(client)
        assert list(held) == [old]
        publish(lane_hub, new, 2, 3)
        publish(lane_hub, old, 4)
        events = client.events(3)
        assert sorted((each["channel"], each["data"]["value"]) for each in events) == sorted(
            [(new, 2), (new, 3), (old, 4)]
        )
        held |= {each["channel"]: each["id"] for each in events}
    publish(lane_hub, new, 5)
    publish(lane_hub, later, 6)
    with WsClient(lane_hub.ws_url) as client:
        client.subscribe(f"{base}.>", since=held)
        assert sorted(got(client, 2)) == sorted([(new, 5), (later, 6)])
        publish(lane_hub, later, 7)
        assert got(client, 1) == [(later, 7)]


def test_two_subscriptions_with_a_channel_in_common_are_refused(
    lane_hub: EventHubServer, channel: Channel
) -> None:
    base = channel("iot")
    with WsClient(lane_hub.ws_url) as client:
        client.subscribe(f"{base}.>")
        client.send(type="subscribe", channel=f"{base}.a", ref=1)
        assert client.until("error")["code"] == "already_subscribed"
        client.send(type="unsubscribe", channel=f"{base}.>")
        assert client.until("unsubscribed")["channel"] == f"{base}.>"
        assert client.subscribe(f"{base}.a")["recovered"]
