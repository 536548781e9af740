"""Filters on real servers: every transport, pages and counts, several nodes, kills, and errors."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.harness.clients import Message, WsClient, http, ndjson, sse
from tests.harness.eventhub import EventHubServer
from tests.harness.redis_servers import RedisServer

Channel = Callable[[str], str]
Start = Callable[..., EventHubServer]
CONFIG = """
channels:
  logs: {publish: [client, producer]}
  orders: {key: /id, publish: [client, producer], history: {events: 3, latest: true}}
"""
LARGE = "data > 10"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    with EventHubServer(tmp_path_factory.mktemp("server"), CONFIG) as server:
        yield server


def publish(server: EventHubServer, channel: str, *values: Any) -> list[str]:
    """Publish. Returns the ids."""
    events = [{"channel": channel, "data": value} for value in values]
    answer = http.post(f"{server.url}/v1/events", content=json.dumps(events))
    assert answer.status_code == 201, answer.text
    return [result["id"] for result in answer.json()["results"]]


def get(server: EventHubServer, path: str, **parameters: str | int) -> Message:
    answer = http.get(f"{server.url}/v1/channels/{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    page: Message = answer.json()
    return page


def brief(message: Message) -> Any:
    """The data of an event, or the type of another message with its position."""
    if message["type"] == "event":
        return message["data"]
    return f"{message['type']} {message['position']}"


def websocket(server: EventHubServer, query: str, stack: ExitStack) -> Iterator[Message]:
    client = stack.enter_context(WsClient(f"{server.ws_url}?{query}"))
    assert client.receive()["type"] == "hello"
    return iter(client.receive, None)


def server_sent(server: EventHubServer, query: str, stack: ExitStack) -> Iterator[Message]:
    blocks = stack.enter_context(sse(f"{server.url}/v1/sse?{query}"))
    return (block.message for block in blocks if block.message is not None)


def lines(server: EventHubServer, query: str, stack: ExitStack) -> Iterator[Message]:
    return stack.enter_context(ndjson(f"{server.url}/v1/ndjson?{query}"))


TRANSPORTS = pytest.mark.parametrize("read", [websocket, server_sent, lines])
Read = Callable[[EventHubServer, str, ExitStack], Iterator[Message]]


@TRANSPORTS
def test_history_and_live_events_are_those_that_match(
    server: EventHubServer, channel: Channel, read: Read
) -> None:
    name = channel("logs")
    ids = publish(server, name, 1, 11, 2, 12, 3)
    with ExitStack() as stack:
        messages = read(server, f"channel={name}&since=earliest&where={quote(LARGE)}", stack)
        begun, *history = islice(messages, 4)
        assert begun["recovered"]
        assert list(map(brief, history)) == [11, 12, f"position {ids[-1]}"]
        publish(server, name, 13, 4, 14)
        live = islice((brief(each) for each in messages if each["type"] == "event"), 2)
        assert list(live) == [13, 14]


@TRANSPORTS
def test_a_pattern_is_filtered_in_every_channel_also_in_one_that_is_born(
    server: EventHubServer, channel: Channel, read: Read
) -> None:
    base = channel("logs")
    publish(server, f"{base}.a", 1, 11)
    publish(server, f"{base}.b", 12, 2)
    where = quote(f'{LARGE} && channel.startsWith("{base}")')
    with ExitStack() as stack:
        query = f"channel={base}.>&since=earliest&where={where}"
        events = (each for each in read(server, query, stack) if each["type"] == "event")
        assert {each["data"] for each in islice(events, 2)} == {11, 12}
        publish(server, f"{base}.born", 3, 13)
        publish(server, f"{base}.a", 4, 14)
        got = [(each["channel"], each["data"]) for each in islice(events, 2)]
        assert sorted(got) == [(f"{base}.a", 14), (f"{base}.born", 13)]


def test_a_subscription_of_a_websocket_has_a_filter_of_its_own(
    server: EventHubServer, channel: Channel
) -> None:
    name = channel("logs")
    with WsClient(server.ws_url) as client:
        client.subscribe(f"{name}.large", where=LARGE)
        client.subscribe(f"{name}.all")
        publish(server, f"{name}.all", 1)
        publish(server, f"{name}.large", 1, 11)
        assert [each["data"] for each in client.events(2)] == [1, 11]


def test_pages_and_a_count_have_the_events_that_match(
    server: EventHubServer, channel: Channel
) -> None:
    name = channel("logs")
    ids = publish(server, name, 1, 11, "text", 12, 13, 2, {"a": 1})
    first = get(server, name, where=LARGE, limit=2)
    assert [event["data"] for event in first["events"]] == [11, 12]
    assert first["position"] == ids[3]
    failed = first["filter_failed"]
    assert (failed["events"], failed["id"]) == (1, ids[2])
    second = get(server, name, where=LARGE, limit=2, since=first["position"])
    assert [event["data"] for event in second["events"]] == [13]
    assert second["position"] == second["head"] == ids[-1]
    assert second["filter_failed"]["id"] == ids[-1]
    counted = get(server, f"{name}/count", where=LARGE)
    assert (counted["count"], counted["more"], counted["head"]) == (3, False, ids[-1])


def test_a_state_is_filtered_by_the_newest_event_of_each_key(
    server: EventHubServer, channel: Channel
) -> None:
    name = channel("orders")
    for number, is_open in zip("abcabdef", (1, 1, 1, 0, 1, 0, 1, 1), strict=True):
        publish(server, name, {"id": number, "open": is_open == 1})
    where, since, found = "data.open", "state", []
    while since != (page := get(server, name, where=where, since=since, limit=1))["position"]:
        found += [event["key"] for event in page["events"]]
        since = page["position"]
    assert found == ["c", "b", "e", "f"]
    assert get(server, f"{name}/count", where=where, since="state")["count"] == 4
    with WsClient(server.ws_url) as client:
        client.subscribe(name, since="state", where=where)
        assert [event["key"] for event in client.events(4)] == found
        publish(server, name, {"id": "x", "open": False}, {"id": "y", "open": True})
        http.delete(f"{server.url}/v1/channels/{name}", params={"key": "x"})
        assert client.until("event")["key"] == "y"
        assert client.until("event")["deleted"] == "x"


def test_a_failure_is_told_once(server: EventHubServer, channel: Channel) -> None:
    name = channel("logs")
    ids = publish(server, name, 1, {"level": 1}, 2)
    with WsClient(server.ws_url) as client:
        client.subscribe(name, since="earliest", where="data.level > 0")
        told = [client.receive() for _ in range(3)]
        publish(server, name, 3, {"level": 2})
        while told[-1].get("data") != {"level": 2}:
            told.append(client.receive())
    failed = [message for message in told if message["type"] == "filter_failed"]
    assert [(each["channel"], each["id"]) for each in failed] == [(name, ids[0])]
    assert "no 'level' (column 6)" in failed[0]["reason"]
    assert [each["data"]["level"] for each in told if each["type"] == "event"] == [1, 2]


@pytest.mark.parametrize(
    ("where", "column"),
    [("data >", 7), ("colour == 1", 1), ("data.a ==== 1", 10), ('data == "x', 9), ("", 1)],
)
def test_a_filter_that_is_wrong_is_refused_with_its_column(
    server: EventHubServer, channel: Channel, where: str, column: int
) -> None:
    name = channel("logs")
    place = f"column {column}:"
    for path in (f"channels/{name}", f"channels/{name}/count", "sse", "ndjson"):
        parameters = {"where": where} | ({} if "/" in path else {"channel": name})
        answer = http.get(f"{server.url}/v1/{path}", params=parameters)
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (400, "invalid_filter"), (path, problem)
        assert place in problem["detail"], (path, problem)
    with WsClient(server.ws_url) as client:
        for channel_or_pattern in (name, f"{name}.>"):
            client.send(type="subscribe", channel=channel_or_pattern, where=where)
            error = client.until("error")
            assert error["code"] == "invalid_filter"
            assert place in error["message"]
        client.subscribe(name)


def test_two_nodes_deliver_the_same_and_a_position_is_resumed_after_a_kill(
    start: Start, tmp_path: Path
) -> None:
    with RedisServer(tmp_path / "broker") as redis:
        config = f"broker: {redis.url}\n{CONFIG}"
        first, second = start(config), start(config)
        with WsClient(first.ws_url) as client, WsClient(second.ws_url) as other:
            for each in (client, other):
                each.subscribe("logs.a", where=LARGE)
            publish(first, "logs.a", 1, 11)
            publish(second, "logs.a", 2, 12)
            assert [each["data"] for each in client.events(2)] == [11, 12]
            assert [each["data"] for each in other.events(2)] == [11, 12]
            quiet = publish(second, "logs.a", *[0] * 256)
            cursor = client.until("position")["position"]
            assert cursor in quiet
            first.kill()
        publish(second, "logs.a", 3, 13)
        first.start()
        publish(first, "logs.a", 14, 4)
        for node in (first, second):
            with WsClient(node.ws_url) as client:
                assert client.subscribe("logs.a", since=cursor, where=LARGE)["recovered"]
                assert [each["data"] for each in client.events(2)] == [13, 14]
            looked = get(node, "logs.a", since=cursor, limit=1)
            assert looked["events"][0]["data"] in (0, 3)
            assert looked["gap"] is None


def test_a_position_is_resumed_on_a_node_that_was_killed_and_has_its_events_on_disk(
    start: Start, tmp_path: Path
) -> None:
    hub = start(f"broker: sqlite:///{tmp_path / 'events.db'}\n{CONFIG}")
    ids = publish(hub, "logs.a", 11, 1, 2)
    with sse(f"{hub.url}/v1/sse?channel=logs.a&since=earliest&where={quote(LARGE)}") as blocks:
        block = next(each for each in blocks if each.name == "position")
        assert block.id is not None
        assert ids[-1] in block.id
        hub.kill()
    hub.start()
    publish(hub, "logs.a", 3, 12)
    with sse(f"{hub.url}/v1/sse?channel=logs.a&where={quote(LARGE)}", block.id) as blocks:
        messages = (each.message for each in blocks if each.message is not None)
        begun, event = islice((each for each in messages if each["type"] != "position"), 2)
    assert (begun["recovered"], event["data"]) == (True, 12)
