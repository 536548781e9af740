"""Where subscriptions begin, over every transport and both implementations of WebSocket."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.harness.clients import (
    WsClient,
    http,
    ndjson,
    sse,
)
from tests.harness.eventhub import EventHubServer
from tests.integration.readers import Channel, Start, publish, values

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
