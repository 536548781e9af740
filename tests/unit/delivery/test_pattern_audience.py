"""delivery/pattern_audience.py: which subscriber of a pattern gets which event."""

import pytest

from eventhub.delivery import apart as apart_module
from eventhub.delivery.subscriber import SubscriberState
from eventhub.errors import Internal
from eventhub.events.event import Position
from tests.harness.wire import Wire
from tests.unit.delivery.pattern_node import PATTERN, PatternNode


def test_a_live_reader_gets_the_events_of_all_channels_in_one_write() -> None:
    node = PatternNode("x", "y")
    assert node.audience.pattern.text == node.audience.channel == PATTERN
    reader = node.live()
    node.publish("x")
    node.publish("y")
    node.publish("x")
    assert reader.unflushed() == []
    node.desk.flush()
    assert len(reader.wire.data) == 1
    assert reader.news() == ["x a-1", "y a-1", "x a-2"]


def test_the_hub_is_told_once_that_there_is_something_to_write() -> None:
    node = PatternNode("x")
    node.publish("x")
    assert node.desk.audience_woken == 0, "nobody is live"
    node.live()
    node.publish("x", 3)
    assert node.desk.audience_woken == 1
    node.desk.flush()
    node.publish("x")
    assert node.desk.audience_woken == 2


def test_deliveries_are_counted_for_each_live_reader() -> None:
    node = PatternNode("x")
    for _ in range(3):
        node.live()
    node.publish("x", 2)
    node.desk.flush()
    assert node.counters.delivered == 6


def test_a_feed_that_is_detached_delivers_to_its_other_audiences_only() -> None:
    node, other = PatternNode("x"), PatternNode()
    other.audience.attach(node.feed("x"))
    reader, elsewhere = node.live(), other.live()
    feed = node.feed("x")
    node.audience.detach(feed)
    assert not node.audience.feeds
    feed.deliver(node.logs["x"].publish())
    assert reader.news() == []
    assert elsewhere.news() == ["x a-1"]


def test_a_feed_that_cannot_be_served_closes_all_readers_and_is_detached() -> None:
    node = PatternNode("x", "y")
    live, slow = node.live(), node.live()
    slow.congest()
    error = Internal("the broker refuses it")
    node.audience.give_up(node.feed("x"), error)
    node.desk.end()
    assert live.wire.errors == slow.wire.errors == [error]
    assert live.state is slow.state is SubscriberState.GONE
    assert list(node.audience.feeds) == ["type.y"]
    assert len(node.audience) == 0


# Readers that are full


def test_a_reader_that_fills_gets_what_is_queued_then_a_gap_and_lives_on() -> None:
    node = PatternNode("x", "y")
    reader, quick = node.live(), node.live()
    node.publish("x")
    reader.congest()
    assert reader.unflushed() == ["x a-1"]
    assert reader.state is SubscriberState.LAGGING
    assert not reader.is_live
    node.publish("x", 2)
    node.publish("y")
    assert reader.news() == []
    assert quick.news() == ["x a-1", "x a-2", "x a-3", "y a-1"]
    reader.drain()
    assert reader.is_live
    assert reader.news() == ["x gap a-1 < a-4 slow", "y gap a-0 < a-2 slow"]
    node.publish("y")
    assert reader.news() == ["y a-2"]


def test_a_reader_that_fills_while_it_is_apart_gets_no_more_until_it_drains() -> None:
    node = PatternNode("x", "y", past=1)
    reader = node.join({"type.x": Position("a", 0), "type.y": Position("a", 1)})
    node.publish("y")
    reader.congest()
    assert reader.unflushed() == ["subscribed to 2", "y a-2"]
    node.publish("y")
    assert reader.news() == []
    reader.drain()
    assert reader.news() == ["y gap a-2 < a-4 slow"]
    node.settle()
    assert reader.news() == ["x a-1", "positions"]


def test_a_reader_that_is_full_again_when_it_turns_live_lags_at_once() -> None:
    node = PatternNode("x", past=1)
    reader = node.join({"type.x": Position("a", 0)}, Wire(room=3))
    node.settle()
    assert reader.state is SubscriberState.LAGGING
    assert not reader.is_live
    node.publish("x")
    assert reader.news() == ["subscribed to 1", "x a-1", "positions"]
    reader.wire.room = 1000
    reader.drain()
    assert reader.news() == ["x gap a-1 < a-3 slow"]


def test_a_reader_whose_last_events_cannot_be_written_is_closed_once() -> None:
    node = PatternNode("x")
    reader, other = node.live(), node.live()
    node.publish("x")
    reader.wire.write = broken = _Broken()  # type: ignore[method-assign]
    node.audience.live.remove(reader.subscriber, reader.subscriber.encoding)
    node.audience.live.add(reader.subscriber, reader.subscriber.encoding, broken)
    node.publish("x")
    reader.congest()
    assert [type(each) for each in node.desk.faults] == [ZeroDivisionError]
    assert node.desk.faulty == [reader.subscriber]
    assert node.audience.subscribers == [other.subscriber]
    node.audience.serving_failed(reader.subscriber, ZeroDivisionError())
    assert len(node.desk.faults) == 1


class _Broken:
    def __call__(self, data: bytes) -> None:
        raise ZeroDivisionError


def test_a_reader_that_is_behind_in_too_many_channels_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(apart_module, "LAGGING_CHANNELS", 1)
    node = PatternNode("x", "y")
    reader = node.live()
    reader.congest()
    node.publish("x")
    node.publish("y")
    node.desk.end()
    assert reader.wire.failed == ["slow_consumer"]
    assert reader.state is SubscriberState.GONE
    assert not node.audience.subscribers


# Readers that leave


def test_a_reader_that_leaves_gets_nothing_more_in_any_state() -> None:
    node = PatternNode("x", past=1)
    live, slow, reading = node.live(), node.live(), node.join({})
    slow.congest()
    node.publish("x")
    for reader in (live, slow, reading):
        assert len(node.audience) == len(node.audience.subscribers)
        node.audience.leave(reader.subscriber)
        node.audience.leave(reader.subscriber)
        assert reader.state is SubscriberState.GONE
    assert len(node.audience) == 0
    reading.wire.data.clear()
    node.settle()
    for reader in (live, slow, reading):
        assert reader.news() == []


def test_a_reader_that_waits_may_leave() -> None:
    node = PatternNode("x", listed=False)
    reader = node.join()
    assert len(node.audience) == 1
    node.audience.leave(reader.subscriber)
    assert len(node.audience) == 0
    node.audience.listed()
    assert reader.news() == []


def test_all_readers_are_closed_with_the_error() -> None:
    node = PatternNode("x", past=1)
    readers = [node.live(), node.join({}), node.live()]
    readers[2].congest()
    waiting = node.join()
    node.audience.leave(waiting.subscriber)
    node.audience.expect(waiting.subscriber)
    error = Internal("enough")
    node.audience.fail_all(error)
    node.desk.end()
    assert [each.wire.errors for each in (*readers, waiting)] == [[error]] * 4
    assert not node.audience.subscribers


def test_a_feed_is_needed_while_somebody_waits_reads_or_is_owed_something() -> None:
    node = PatternNode("x", "y", past=1, listed=False)
    x, y = node.feed("x"), node.feed("y")
    assert not node.audience.needs(x)
    reader = node.join({"type.x": Position("a", 0), "type.y": Position("a", 1)})
    assert node.audience.needs(x)
    assert node.audience.needs(y)
    node.audience.listed()
    assert node.audience.needs(x)
    assert not node.audience.needs(y)
    node.settle()
    assert reader.is_live
    assert not node.audience.needs(x)
    node.publish("x")
    assert node.audience.needs(x)
    assert node.audience.needs(y)
    node.desk.flush()
    assert not node.audience.needs(x)
