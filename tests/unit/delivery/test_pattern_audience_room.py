"""delivery/pattern_audience.py: gaps, signals, and feeds that wait for room."""

import pytest

from eventhub.delivery import fanout as fanout_module
from eventhub.delivery.feed import Feed
from eventhub.events.event import HistoryPage, Position
from eventhub.events.signal import Signal
from tests.unit.delivery.pattern_node import PatternNode


def test_a_gap_of_a_channel_reaches_live_and_other_readers() -> None:
    node = PatternNode("x", "y")
    live, slow = node.live(), node.live()
    slow.congest()
    node.logs["x"].keep = 1
    node.logs["x"].publish()
    node.logs["x"].publish()
    node.logs["x"].publish()
    node.feed("x").gap()
    node.settle()
    assert node.desk.audience_woken == 1
    assert live.news() == ["x gap a-0 < a-3 expired", "x a-3"]
    assert node.counters.gaps == {"expired": 1}
    slow.drain()
    assert slow.news() == ["x gap a-0 < a-4 slow"]


def test_a_gap_behind_waiting_events_does_not_wake_the_hub_again() -> None:
    node = PatternNode("x", "y")
    reader = node.live()
    node.publish("y")
    _lose(node, "x")
    assert node.desk.audience_woken == 1
    assert reader.news() == ["y a-1", "x gap a-0 < a-2 expired"]


def test_a_gap_without_live_readers_wakes_nobody() -> None:
    node = PatternNode("x")
    reader = node.live()
    reader.congest()
    _lose(node, "x")
    assert node.desk.audience_woken == 0
    assert node.counters.gaps["expired"] == 0


def _lose(node: PatternNode, name: str) -> None:
    """An event of a channel has expired before it was announced."""
    log = node.logs[name]
    log.keep = 0
    log.publish()
    feed = node.feed(name)
    feed.gap()
    node.settle()


def test_a_signal_reaches_live_readers_behind_the_events() -> None:
    node = PatternNode("x")
    live, slow = node.live(), node.live()
    slow.congest()
    signal = Signal("type.x", b"7", 0)
    node.audience.signal(signal, node.counters)
    assert node.desk.audience_woken == 1
    node.audience.signal(signal, node.counters)
    node.publish("x")
    assert node.desk.audience_woken == 1
    assert live.news() == ["x a-1", "x signal 7", "x signal 7"]
    assert slow.news() == []
    node.audience.leave(live.subscriber)
    node.audience.signal(signal, node.counters)
    assert node.desk.audience_woken == 1


def test_feeds_wait_while_the_queue_is_full_and_go_on_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fanout_module, "QUEUED_BYTES", 4)
    node = PatternNode("x", "y")
    reader = node.live()
    node.publish("x", 3)
    node.publish("y", 2)
    assert not node.audience.has_room
    assert _undelivered(node) == {"x": 0, "y": 2}
    node.audience.flushed()
    assert _undelivered(node) == {"x": 0, "y": 2}, "nothing was written yet"
    assert node.desk.progress == []
    assert reader.news()[-2:] == ["y a-1", "y a-2"]
    assert node.desk.progress == ["type.y"]


def _undelivered(node: PatternNode) -> dict[str, int]:
    return {
        name: log.tip - delivered.offset
        for name, log in node.logs.items()
        if (delivered := node.feed(name).continuity.delivered) is not None
    }


def test_a_feed_that_is_detached_goes_on_without_the_audience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fanout_module, "QUEUED_BYTES", 4)
    node = PatternNode("x")
    node.live()
    feed = node.feed("x")
    node.publish("x", 5)
    assert feed.behind
    node.audience.detach(feed)
    assert not feed.behind
    assert feed.continuity.is_current
    assert node.desk.progress == ["type.x"]
    node.desk.flush()
    assert node.desk.progress == ["type.x"], "the audience has forgotten it"


def test_events_that_were_written_are_found_by_feed() -> None:
    node = PatternNode("x", "y", "z")
    events = [node.publish(name) for name in ("x", "y", "x", "z")]
    gone = node.feed("z")
    node.audience.detach(gone)
    found = list(node.audience.by_feed(events))
    assert found == [
        (node.feed("x"), [events[0], events[2]]),
        (node.feed("y"), [events[1]]),
    ]


def test_a_page_of_a_channel_may_move_live_readers() -> None:
    node = PatternNode("x")
    reader = node.live()
    event = node.logs["x"].publish()
    feed: Feed = node.feed("x")
    feed.gap()
    node.desk.reads[0].piece = HistoryPage(Position("a", 0), [event], event.position)
    node.desk.reads.pop().answer()
    assert reader.news() == ["x a-1"]
