"""Streams of a pattern on two nodes that are killed: every event once and in order, from a cursor
of bounded size that any node resumes.
"""

import json
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from tests import SETTINGS
from tests.harness import nats_servers
from tests.harness.clients import Message, http, ndjson, sse
from tests.harness.eventhub import EventHubServer
from tests.harness.redis_servers import RedisServer

Start = Callable[..., EventHubServer]
CONFIG = """
broker: {broker}
channels:
  iot: {{payload: json, history: {{events: 10000, age: 1h}}}}
  chat: {{payload: chat}}
"""
PATTERN = "iot.>"
KILLS = 6 if "EVENTHUB_TEST_ROUNDS" in SETTINGS else 2


@contextmanager
def redis(directory: Path) -> Iterator[str]:
    with RedisServer(directory) as server:
        yield server.url


@contextmanager
def nats(directory: Path) -> Iterator[str]:
    yield f"{nats_servers.single().url}?prefix={secrets.token_hex(4)}"


@pytest.fixture(params=[redis, nats])
def nodes(
    request: pytest.FixtureRequest, start: Start, tmp_path: Path
) -> Iterator[list[EventHubServer]]:
    with request.param(tmp_path / "broker") as url:
        config = CONFIG.format(broker=url)
        yield [start(config), start(config)]


class Publisher:
    """Numbers the events of each channel."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = defaultdict(int)
        self.total = 0

    def publish(self, hub: EventHubServer, *channels: str) -> None:
        items = []
        for channel in channels:
            self.numbers[channel] += 1
            items.append({"channel": channel, "data": self.numbers[channel]})
        answer = http.post(f"{hub.url}/v1/events", content=json.dumps(items))
        assert answer.status_code == 201, answer.text[:1000]
        self.total += len(items)


class Reader:
    """Resumes where it stopped, and checks that each event is the next of its channel."""

    def __init__(self, transport: str, since: str, selection: str = "") -> None:
        self.transport, self.since = transport, since
        self.selection = selection
        """Several channels and patterns, as parameters; PATTERN by default."""
        self.cursor = ""
        self.longest = 0
        self.got: dict[str, int] = defaultdict(int)
        self.count = 0

    def read(
        self, hub: EventHubServer, events: int, last: Callable[[], None] = lambda: None
    ) -> None:
        """Read so many events, then do something and hang up."""
        end = self.count + events
        for message, cursor in self._messages(hub):
            self._take(message)
            self.cursor = cursor or self.cursor
            self.longest = max(self.longest, len(self.cursor))
            if self.count == end:
                last()
                return

    def read_page(self, hub: EventHubServer, limit: int) -> bool:
        """Read a page. Returns whether there is more."""
        parameters: dict[str, str | int] = {
            "channel": PATTERN,
            "since": self.cursor or self.since,
            "limit": limit,
        }
        page = http.get(f"{hub.url}/v1/events", params=parameters).json()
        assert page["gaps"] == []
        for event in page["events"]:
            self._take(event)
        self.cursor = page["position"]
        self.longest = max(self.longest, len(self.cursor))
        return bool(page["more"])

    def _messages(self, hub: EventHubServer) -> Iterator[tuple[Message, str | None]]:
        if self.transport == "sse":
            selection = self.selection or f"channel={PATTERN}"
            address = f"{hub.url}/v1/sse?{selection}&since={self.since}"
            with sse(address, self.cursor or None) as blocks:
                for block in blocks:
                    if block.message is not None:
                        yield block.message, block.id
        else:
            since = self.cursor or self.since
            address = f"{hub.url}/v1/channels/{PATTERN}/ndjson?"
            if self.selection:
                address = f"{hub.url}/v1/ndjson?{self.selection}&"
            with ndjson(f"{address}since={since}") as messages:
                for message in messages:
                    yield message, message.get("cursor")

    def _take(self, message: Message) -> None:
        assert message["type"] in ("subscribed", "event", "position"), message
        if message["type"] == "subscribed":
            assert message["recovered"]
        if message["type"] == "event":
            channel = message["channel"]
            assert message["data"] == self.got[channel] + 1
            self.got[channel] += 1
            self.count += 1


@pytest.mark.parametrize("transport", ["sse", "ndjson"])
def test_a_reader_of_hundreds_of_channels_resumes_exactly_on_another_node_after_kills(
    nodes: list[EventHubServer], transport: str
) -> None:
    chance = Random(transport)
    channels = [f"iot.greenhouse.{number}" for number in range(300)]
    publisher, reader = Publisher(), Reader(transport, "earliest")
    publisher.publish(nodes[0], *channels[:200])
    for round_ in range(KILLS):
        hub, other = nodes[round_ % 2], nodes[1 - round_ % 2]
        reader.read(hub, chance.randint(1, publisher.total - reader.count), hub.kill)
        publisher.publish(other, *chance.choices(channels, k=100))
        reader.read(other, chance.randint(1, publisher.total - reader.count))
        hub.start()
    publisher.publish(nodes[0], *channels)
    reader.read(nodes[1], publisher.total - reader.count)
    assert reader.got == publisher.numbers
    assert reader.longest < 1300


@pytest.mark.parametrize("transport", ["sse", "ndjson"])
def test_a_reader_of_several_patterns_and_a_channel_resumes_exactly(
    nodes: list[EventHubServer], transport: str
) -> None:
    channels = ["iot.alone", *(f"iot.{'ab'[number % 2]}.{number}" for number in range(80))]
    selection = "channel=iot.a.*&channel=iot.alone&channel=iot.b.>"
    publisher, reader = Publisher(), Reader(transport, "earliest", selection)
    publisher.publish(nodes[0], *channels[:60])
    reader.read(nodes[0], 50)
    nodes[0].kill()
    publisher.publish(nodes[1], *channels)
    reader.read(nodes[1], 70)
    nodes[0].start()
    publisher.publish(nodes[1], *channels[50:])
    reader.read(nodes[0], publisher.total - reader.count)
    assert reader.got == publisher.numbers
    assert reader.longest < 1300


def test_a_live_stream_is_resumed_after_what_it_read(nodes: list[EventHubServer]) -> None:
    publisher, reader = Publisher(), Reader("sse", "latest")
    channels = [f"iot.greenhouse.{number}" for number in range(100)]
    publisher.publish(nodes[0], *channels)
    reader.got |= publisher.numbers
    with sse(f"{nodes[0].url}/v1/sse?channel={PATTERN}") as blocks:
        first = next(block for block in blocks if block.name == "subscribed")
        assert first.id is not None
        reader.cursor = first.id
    publisher.publish(nodes[1], *channels[::2], "iot.born", "iot.born")
    reader.read(nodes[1], 20)
    nodes[1].kill()
    reader.read(nodes[0], 32)
    assert reader.got == publisher.numbers


def test_pages_and_streams_go_on_where_the_other_one_stopped(nodes: list[EventHubServer]) -> None:
    publisher, reader = Publisher(), Reader("ndjson", "earliest")
    channels = [f"iot.greenhouse.{number}" for number in range(150)]
    publisher.publish(nodes[0], *channels[:100], *channels[:50])
    assert reader.read_page(nodes[0], 60)
    nodes[0].kill()
    reader.read(nodes[1], 30)
    publisher.publish(nodes[1], *channels)
    nodes[0].start()
    while reader.read_page(nodes[0], 100):
        pass
    assert reader.got == publisher.numbers
    assert reader.longest < 1300


def test_a_cursor_that_is_not_known_is_told_as_a_gap_or_refused(start: Start) -> None:
    hub = start(CONFIG.format(broker="memory://"))
    publisher = Publisher()
    publisher.publish(hub, "iot.a")
    with sse(f"{hub.url}/v1/sse?channel={PATTERN}&since=earliest", "*0123456789ab.7") as blocks:
        begun, gap, event = islice(messages(blocks), 3)
    assert begun["recovered"] is False
    assert gap == {"type": "gap", "channel": PATTERN, "reason": "expired"}
    assert event["data"] == 1
    answer = http.get(f"{hub.url}/v1/ndjson?channel={PATTERN}&since=*0123456789ab.7")
    assert answer.json()["code"] == "invalid_since"
    assert "record 1 of its journal is not known" in answer.json()["detail"]


def messages(blocks: Iterator[object]) -> Iterator[Message]:
    return (block.message for block in blocks if block.message is not None)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("query", "code", "part"),
    [
        ("channel=iot.>&since=k3x9-4", "invalid_since", "an id of one channel"),
        ("channel=iot.>&since=*", "", ""),
        ("channel=iot.>&since=*,", "invalid_since", "not of the form channel@id"),
        ("channel=iot.>&since=*,iot.a", "invalid_since", "not of the form channel@id"),
        ("channel=iot.>&since=*,iot.a@7", "invalid_since", "since of 'iot.a' is '7'"),
        ("channel=iot.>&since=*,iot.a@latest", "invalid_since", "since of 'iot.a' is 'latest'"),
        ("channel=iot.>&since=*,chat.a@k-1", "invalid_since", "does not fit 'iot.>'"),
        ("channel=iot.>&since=*,iot.*@k-1", "invalid_since", "does not fit 'iot.>'"),
        ("channel=iot.>&since=chat.a@k-1", "invalid_since", "does not fit 'iot.>'"),
        ("channel=iot.>&since=*k-1,iot.a@k-1", "invalid_since", "since begins with 'k-1'"),
        ("channel=iot.>&since=*yesterday", "invalid_since", "since is 'yesterday'"),
        ("channel=iot.>&since=*0123456789ab.0", "invalid_since", "expected an event id"),
        ("channel=iot.a>", "invalid_channel", "expected a channel pattern"),
        ("channel=nope.>", "unknown_channel", "'nope'"),
        ("channel=iot.>&member=ana", "invalid_channel", "for member and presence"),
        ("channel=iot.>&channel=chat.a", "", ""),
        ("channel=iot.>&channel=chat.*", "", ""),
        ("channel=iot.>&channel=iot.a", "already_subscribed", "'iot.>' and 'iot.a', which have"),
        ("channel=iot.>&channel=*.a", "already_subscribed", "have channels in common"),
        ("channel=iot.>&channel=chat.a&since=*,chat.b@k-1", "invalid_since", "does not fit"),
        ("channel=iot.>&channel=chat.a&member=ana", "invalid_channel", "expected one channel"),
    ],
)
def test_bad_queries_of_patterns(bad: EventHubServer, query: str, code: str, part: str) -> None:
    for transport in ("sse", "ndjson"):
        with http.stream("GET", f"{bad.url}/v1/{transport}?{query}") as answer:
            if not code:
                assert answer.status_code == 200
                continue
            problem = json.loads(answer.read())
            assert problem["code"] == code, problem
            assert part in problem["detail"]


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    config = CONFIG.format(broker="memory://")
    with EventHubServer(tmp_path_factory.mktemp("bad"), config) as server:
        yield server
