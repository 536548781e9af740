"""A stored record is damaged by hand in a real store: clients of a real server get a gap in its
place.

Nothing ends: no node, no feed, no connection, and no other reader misses anything.
"""

import json
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.harness.clients import WsClient, http, metric, ndjson, sse
from tests.harness.eventhub import EventHubServer
from tests.harness.nats_servers import Server as NatsServer
from tests.harness.redis_servers import RedisServer

CONFIG = """
broker: "%s"
log: {format: json}
auth: {public_metrics: true}
channels:
  json: {payload: json, history: {events: 1000}, publish: [client, producer],
         anonymous: [publish, subscribe]}
"""
GARBAGE = b'\xff\x00{"a":'


@dataclass(frozen=True, slots=True)
class Store:
    """A node, and a way to get a record into its store that is not an event."""

    node: EventHubServer
    spoil: Callable[[str], None]
    """Have the newest record of a channel be one."""
    live: bool
    """Live subscribers meet it, and not its announcement."""
    say: Callable[[str, bytes], None] | None
    """Tell all nodes what none of them wrote: as the announcement of a channel, or ("") to the
    nodes. None: nobody can.
    """

    def publish(self, channel: str, data: Any) -> str:
        """Publish. Returns the event's id."""
        answer = http.post(f"{self.node.url}/v1/channels/{channel}", json=data)
        assert answer.status_code == 201, answer.text
        found: str = answer.json()["id"]
        return found


@contextmanager
def on_redis(directory: Path, spoil: Callable[[RedisServer, str], None]) -> Iterator[Store]:
    with (
        RedisServer(directory / "redis") as redis,
        EventHubServer(directory, CONFIG % redis.url) as node,
    ):
        yield Store(
            node,
            lambda channel: spoil(redis, channel),
            live=spoil is append,
            say=lambda channel, said: redis.call(
                "PUBLISH", f"eventhub:0:{{{channel or '*nodes'}}}", said
            ),
        )


def append(redis: RedisServer, channel: str) -> None:
    """Write a record as another program would, and announce it."""
    meta, log = (f"eventhub:{kind}:{{{channel}}}" for kind in ("meta", "log"))
    last, now = int(redis.call("HGET", meta, "tip")), int(time.time() * 1000)
    redis.call("XADD", log, f"{last + 1}-{now}", "e", GARBAGE)
    redis.call("HSET", meta, "tip", last + 1)
    redis.call("PUBLISH", f"eventhub:0:{{{channel}}}", GARBAGE)


def rewrite(redis: RedisServer, channel: str) -> None:
    """Store an event, then write its record again with other bytes."""
    log = f"eventhub:log:{{{channel}}}"
    entries = redis.call("XRANGE", log, "-", "+")
    redis.call("DEL", log)
    for entry, fields in entries:
        body = GARBAGE if entry == entries[-1][0] else fields[1]
        redis.call("XADD", log, entry, fields[0], body, *fields[2:])


def tell(server: NatsServer, subject: str, said: bytes) -> None:
    """Publish to a subject as a stranger: the stream and all listeners get it."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        answers = connection.makefile("rb")
        head = f'CONNECT {{"verbose":false}}\r\nPUB eventhub.{subject} {len(said)}\r\n'
        connection.sendall(head.encode() + said + b"\r\nPING\r\n")
        while (line := answers.readline()) != b"PONG\r\n":
            assert line, "the server hung up"


@contextmanager
def on_nats(directory: Path) -> Iterator[Store]:
    server = NatsServer().start()
    try:
        with EventHubServer(directory, CONFIG % server.url) as node:
            yield Store(
                node,
                lambda channel: tell(server, f"log.{channel}", GARBAGE),
                live=True,
                say=lambda channel, said: tell(
                    server, f"live.{channel}" if channel else "nodes", said
                ),
            )
    finally:
        server.remove()


@contextmanager
def on_sqlite(directory: Path) -> Iterator[Store]:
    path = directory / "events.db"

    def spoil(channel: str) -> None:
        connection = sqlite3.connect(path, timeout=30)
        with connection:
            newest = (
                "SELECT c.id, max(offset) FROM events JOIN channels c ON c.id = events.channel "
                "WHERE c.name = ?"
            )
            row = connection.execute(newest, [channel]).fetchone()
            connection.execute(
                "UPDATE events SET data = ? WHERE channel = ? AND offset = ?", [GARBAGE, *row]
            )
        connection.close()

    with EventHubServer(directory, CONFIG % f"sqlite:///{path}") as node:
        yield Store(node, spoil, live=False, say=None)


STORES: dict[str, Callable[[Path], Any]] = {
    "redis": lambda directory: on_redis(directory, append),
    "redis, rewritten": lambda directory: on_redis(directory, rewrite),
    "nats": on_nats,
    "sqlite": on_sqlite,
}


@pytest.fixture(scope="module", params=STORES)
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    with STORES[request.param](tmp_path_factory.mktemp("unreadable")) as found:
        yield found


class Readers:
    """Readers of one channel over each transport.

    Each gives all messages but `hello` and `subscribed`.
    """

    def __init__(self, store: Store, channel: str, since: str) -> None:
        self._stack = ExitStack()
        url = f"{store.node.url}/v1/channels/{channel}"
        enter = self._stack.enter_context
        self._all = {
            "websocket": _of_socket(
                enter(WsClient(f"{store.node.ws_url}?channel={channel}&since={since}"))
            ),
            "sse": _of_blocks(
                enter(sse(f"{url}/sse?since={since}", since if "-" in since else None))
            ),
            "ndjson": iter(enter(ndjson(f"{url}/ndjson?since={since}"))),
        }
        for messages in self._all.values():
            while next(messages)["type"] != "subscribed":
                pass

    def read(self, count: int) -> dict[str, list[dict[str, Any]]]:
        """The next messages of each reader, by transport."""
        return {
            name: [next(messages) for _ in range(count)] for name, messages in self._all.items()
        }

    def __enter__(self) -> "Readers":
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.close()


def _of_socket(client: WsClient) -> Iterator[dict[str, Any]]:
    while True:
        yield client.receive()


def _of_blocks(blocks: Iterator[Any]) -> Iterator[dict[str, Any]]:
    for block in blocks:
        if block.message is not None:
            assert block.message["type"] != "event" or block.id == block.message["id"]
            yield (
                {**block.message, "last_event_id": block.id}
                if block.message["type"] == "gap"
                else block.message
            )


def seen(messages: list[dict[str, Any]]) -> list[Any]:
    """The data of events, and gaps by their reason."""
    return [
        message["data"] if message["type"] == "event" else message["reason"] for message in messages
    ]


def names_what_is_missing(gap: dict[str, Any], before: str, behind: str) -> None:
    """Whether the gap lies between these two events and names neither."""
    assert gap["reason"] == "unreadable"
    assert gap["after"] == before
    epoch, _, end = gap["before"].partition("-")
    assert epoch == before.partition("-")[0]
    assert (
        int(before.partition("-")[2])
        < int(gap["position"].partition("-")[2])
        < int(behind.partition("-")[2])
    )
    assert int(gap["position"].partition("-")[2]) < int(end) <= int(behind.partition("-")[2])


def test_clients_get_a_gap_in_its_place_and_go_on(store: Store) -> None:
    first = store.publish("json.bad", 1)
    store.publish("json.beside", 1)
    with (
        Readers(store, "json.bad", "latest") as live,
        Readers(store, "json.beside", "latest") as beside,
    ):
        if not store.live:
            store.publish("json.bad", "damaged later")
        store.spoil("json.bad")
        store.publish("json.beside", 2)
        last = store.publish("json.bad", 2)
        for name, messages in live.read(2).items():
            assert seen(messages) == (["unreadable", 2] if store.live else ["damaged later", 2]), (
                name
            )
            if store.live:
                names_what_is_missing(messages[0], first, last)
        for since, expected in (
            ("earliest", [1, "unreadable", 2]),
            (first, ["unreadable", 2, "earliest"]),
        ):
            with Readers(store, "json.bad", since) as replayed:
                for name, messages in replayed.read(len(expected)).items():
                    assert seen(messages) == expected, name
                    (gap,) = (message for message in messages if message["type"] == "gap")
                    names_what_is_missing(gap, first, last)
                    if name == "sse":
                        assert gap["last_event_id"] == gap["position"], "it resumes behind it"
                newest = store.publish("json.bad", since)
                for readers in (live, replayed):
                    for name, (message,) in readers.read(1).items():
                        assert (message["id"], message["data"]) == (newest, since), name
            with Readers(store, "json.bad", gap["position"]) as behind:
                for name, (message,) in behind.read(1).items():
                    assert message["id"] == last, name
        store.publish("json.beside", 3)
        for name, messages in beside.read(2).items():
            assert seen(messages) == [2, 3], name


def test_a_page_of_history_ends_with_a_gap_for_the_record_and_the_next_page_goes_on(
    store: Store,
) -> None:
    channel = "json.paged"
    first = store.publish(channel, 1)
    if not store.live:
        store.publish(channel, "damaged later")
    store.spoil(channel)
    last = store.publish(channel, 2)
    url = f"{store.node.url}/v1/channels/{channel}"
    pages = [http.get(url).json()]
    while pages[-1]["position"] != pages[-1]["head"]:
        assert len(pages) < 5, pages
        pages.append(http.get(url, params={"since": pages[-1]["position"]}).json())
    assert [event["data"] for page in pages for event in page["events"]] == [1, 2]
    (gap,) = [page["gap"] for page in pages if page["gap"]]
    names_what_is_missing(gap, first, last)
    assert pages[-1]["position"] == last
    page = http.get(url, params={"since": "-2"}).json()
    assert [event["data"] for event in page["events"]] == [2]


def test_the_node_stays_ready_and_counts_and_logs_the_record(store: Store) -> None:
    channel = "json.counted"
    first = store.publish(channel, 1)
    if not store.live:
        store.publish(channel, "damaged later")
    store.spoil(channel)
    store.publish(channel, 2)
    told = metric(store.node.url, 'eventhub_gaps_total{reason="unreadable",type="json"}')
    with WsClient(f"{store.node.ws_url}?channel={channel}&since={first}") as client:
        assert client.until("gap")["reason"] == "unreadable"
        assert client.until("event")["data"] == 2
        client.send(type="ping", ref=1)
        assert client.until("pong")["ref"] == 1
    assert http.get(f"{store.node.url}/readyz").status_code == 200
    assert metric(store.node.url, 'eventhub_gaps_total{reason="unreadable",type="json"}') > told
    assert metric(store.node.url, "eventhub_faults_total") == 0
    assert store.node.lines("unreadable_record")
    assert json.dumps(GARBAGE.decode(errors="replace"))[1:-1] not in store.node.log.read_text(), (
        "its bytes are nobody's business"
    )


SAID = [
    b"",
    GARBAGE,
    b"{",
    b"{}",
    b"null",
    b"\n",
    b"x 1 2 3 4\n\n\n",
    b'{"node":7,"number":1}',
    b'{"node":"n9","number":1,"rooms":{"json.said":["eve"]}}',
    b"blocks n9 [[1]]",
    b"rates n9 {}",
    b'assembly n9 {"ask":[]}',
    b"{" + b"[" * 900_000,
]


@pytest.mark.parametrize("where", ["channel", "nodes"])
def test_foreign_messages_at_the_broker_end_no_node(store: Store, where: str) -> None:
    if store.say is None:
        assert "sqlite" in store.node.config.read_text(), "all others can be told"
        return
    channel = f"json.said-{where}"
    store.publish(channel, 0)
    with Readers(store, channel, "latest") as readers:
        for number, said in enumerate(SAID, 1):
            store.say(channel if where == "channel" else "", said)
            store.publish(channel, number)
        for name, messages in readers.read(len(SAID)).items():
            assert seen(messages) == list(range(1, len(SAID) + 1)), name
    assert http.get(f"{store.node.url}/readyz").status_code == 200
    assert metric(store.node.url, "eventhub_faults_total") == 0
