"""A connection that follows several channels gets one write in a tick."""

import pytest

from eventhub.delivery.bulk_write import PlainPipe
from eventhub.delivery.feed import Feed
from eventhub.hub import shared_writers
from eventhub.hub.fanout_schedule import FanoutSchedule
from eventhub.hub.shared_writers import SharedWriters
from tests.harness.virtual_time import in_virtual_time, turns
from tests.harness.wire import Wire
from tests.unit.delivery.feed_node import Node


class Client(Wire):
    """A connection whose writer can hold. `sent`: what its transport was given."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.broken = False
        self.write = PlainPipe(self._send)  # type: ignore[method-assign]  # as WebSockets do

    def _send(self, data: bytes) -> None:
        if self.broken:
            raise ConnectionError
        self.sent.append(data)

    @property
    def events(self) -> list[int]:
        """How many events each write had."""
        return [data.count(b'"type":"event"') for data in self.sent]


def channels(count: int, *clients: Wire) -> list[Node]:
    """Channels that all clients follow, each with an event to write."""
    nodes = [Node() for _ in range(count)]
    for client in clients:
        for node in nodes:
            node.join(wire=client)
        getattr(client, "sent", []).clear()
    for node in nodes:
        node.publish()
    return nodes


def flush(nodes: list[Node], room: int = 1000) -> None:
    shared = SharedWriters([node.feed for node in nodes], room)
    for node in nodes:
        node.feed.live.advance(1000)
    shared.release()


def test_a_connection_gets_the_events_of_all_its_channels_in_one_write() -> None:
    client = Client()
    flush(channels(3, client))
    assert client.events == [3]


def test_a_connection_with_one_of_the_channels_is_written_to_at_once() -> None:
    both, one = Client(), Client()
    nodes = [Node(), Node()]
    for node in nodes:
        node.join(wire=both)
    nodes[0].join(wire=one)
    for node in nodes:
        node.publish()
    one.sent.clear()
    both.sent.clear()
    shared = SharedWriters([node.feed for node in nodes], 1000)
    for node in nodes:
        node.feed.live.advance(1000)
    assert (one.events, both.events) == ([1], [])
    shared.release()
    assert (one.events, both.events) == ([1], [2])


def test_a_writer_that_cannot_hold_is_written_to_for_each_channel() -> None:
    wire = Wire()
    nodes = channels(2, wire)
    wire.data.clear()
    flush(nodes)
    assert len(wire.data) == 2


def test_what_comes_after_a_tick_is_not_held() -> None:
    client = Client()
    flush(channels(2, client))
    client.write(b"later")
    assert client.sent[-1] == b"later"


def test_large_audiences_are_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_writers, "MOST_WRITERS", 1)
    client, other = Client(), Client()
    flush(channels(2, client, other))
    assert (client.events, other.events) == ([1, 1], [1, 1])


def test_channels_beyond_a_tick_are_not_searched() -> None:
    clients = [Client() for _ in range(2)]
    nodes = channels(3, clients[0]) + channels(2, clients[1])
    flush(nodes, room=1)
    assert (clients[0].events, clients[1].events) == ([1, 1, 1], [1, 1])


def test_a_connection_that_cannot_be_written_to_is_ended_alone() -> None:
    broken, good = Client(), Client()
    nodes = channels(2, broken, good)
    broken.broken = True
    ended: list[object] = []
    for node in nodes:
        node.desk.serving_failed = lambda subscriber, error: ended.append(subscriber.writer)  # type: ignore[method-assign]  # it would raise
    flush(nodes)
    assert ended == [broken, broken], "in each channel"
    assert good.events == [2]
    assert all(len(node.feed.live) == 1 for node in nodes)


@in_virtual_time
async def test_the_schedule_writes_once_to_a_connection_that_follows_two_channels() -> None:
    client = Client()
    nodes = channels(2, client)
    schedule = FanoutSchedule[Feed](
        lambda *_: None, lambda _: None, lambda channel, error: pytest.fail(channel)
    )
    for node in nodes:
        schedule.add(node.feed)
    await turns()
    assert client.events == [2]
    nodes[0].publish()
    schedule.add(nodes[0].feed)
    await turns()
    assert client.events == [2, 1]
