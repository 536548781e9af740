"""delivery/pattern_audience.py: readers that wait until the channels are known."""

import pytest

from eventhub.delivery import waiting as waiting_module
from eventhub.delivery.subscriber import SubscriberState
from eventhub.events.event import Position
from tests.harness.wire import Wire
from tests.unit.delivery.pattern_node import PatternNode


def test_a_reader_begins_when_the_channels_are_listed() -> None:
    node = PatternNode("x", past=1, listed=False)
    reader = node.join()
    assert not node.audience.ready
    assert reader.news() == []
    node.audience.listed()
    assert node.audience.ready
    assert reader.news() == ["subscribed to 1", "positions x=a-1"]
    assert reader.is_live


def test_a_reader_begins_when_the_last_feed_has_opened() -> None:
    node = PatternNode("x", listed=False)
    slow = node.add("y", opened=False), node.add("z", opened=False)
    reader = node.join()
    node.audience.listed()
    for feed in slow:
        assert reader.news() == []
        feed.opened(Position("a", 0))
    assert reader.news() == ["subscribed to 3", "positions x=a-0 y=a-0 z=a-0"]


def test_a_feed_that_is_detached_before_it_has_opened_is_not_waited_for() -> None:
    node = PatternNode("x", listed=False)
    feed = node.add("y", opened=False)
    reader = node.join()
    node.audience.detach(feed)
    node.audience.listed()
    assert reader.news() == ["subscribed to 1", "positions x=a-0"]


def test_readers_beyond_those_of_a_turn_begin_in_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting_module, "TURN_CHANNELS", 1)
    node = PatternNode("x", listed=False)
    first, second = node.join(), node.join()
    node.audience.listed()
    assert first.is_live
    assert not second.is_live
    node.desk.later.pop()()
    assert second.is_live


def test_a_reader_goes_on_where_a_feed_has_opened_late() -> None:
    node = PatternNode("x")
    feed = node.add("y", opened=False)
    reader = node.join({"type.x": Position("a", 0)})
    assert not reader.is_live
    node.logs["y"].publish()
    feed.opened(node.logs["y"].end)
    node.settle()
    assert reader.news() == ["subscribed to 2", "y a-1", "positions y=a-1"]
    assert reader.is_live


def test_a_reader_that_is_expected_begins_when_it_joins() -> None:
    node = PatternNode("x")
    reader = node.join()
    node.audience.leave(reader.subscriber)
    late = node.live()
    node.audience.expect(reader.subscriber)
    node.audience.opened(node.feed("x"))
    assert node.audience.subscribers == [reader.subscriber, late.subscriber]
    assert len(node.audience) == 2


def test_a_channel_whose_feed_has_no_position_is_in_no_positions() -> None:
    node = PatternNode("x")
    feed = node.add("y", opened=False)
    reader = node.join()
    assert reader.news() == ["subscribed to 2", "positions x=a-0"]
    feed.opened(Position("a", 0))
    node.publish("y")
    assert reader.news() == ["y a-1"]


def test_whoever_cannot_be_told_that_it_begins_is_reported_and_others_begin() -> None:
    class Broken(Wire):
        def write(self, data: bytes) -> None:
            raise ZeroDivisionError

    node = PatternNode("x", listed=False)
    broken, other = node.join(wire=Broken()), node.join()
    node.audience.listed()
    assert [type(each) for each in node.desk.faults] == [ZeroDivisionError]
    assert broken.state is SubscriberState.GONE
    assert node.audience.subscribers == [other.subscriber]
