"""A feed whose queue is full, or whose recent events overflow."""

import pytest

from eventhub.delivery import fanout as fanout_module
from eventhub.delivery import recent as recent_module
from eventhub.events.event import Earliest
from tests.unit.delivery.feed_node import STARTED, Node, at, gap, ids


def test_a_full_queue_delays_delivery_which_goes_on_from_recent_events_then_from_history(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fanout_module, "QUEUED_BYTES", 5)
    monkeypatch.setattr(recent_module, "RECENT_EVENTS", 2)
    node = Node()
    ana = node.join()
    node.publish(3)
    assert not node.feed.behind
    node.publish(2)
    assert node.feed.behind
    assert (node.feed.continuity.delivered, node.feed.continuity.head) == (at(3), at(5))
    assert b"a-1" not in b"".join(ana.wire.data), "nothing is written by a push"
    late = node.join()
    resumed = node.join(at(1))
    assert ana.told() == [*STARTED, *ids(1, 5)]
    assert late.told() == ["subscribed a-3, head a-3", *ids(4, 5)]
    assert node.reads == ["a-1"], "the line needed no history"
    node.answer()
    assert resumed.told() == ["subscribed a-1, head a-5", *ids(2, 5)]
    node.publish(6)
    assert ana.news()[-3:] == ids(6, 8)
    assert node.reads == ["a-8"], "the tail reaches back to a-10"
    node.settle()
    assert [ana.news(), late.news()[-3:], resumed.news()[-3:]] == [ids(9, 11)] * 3
    assert node.feed.continuity.delivered == node.feed.continuity.head == at(11)


def test_events_that_expired_while_the_queue_was_full_are_a_gap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fanout_module, "QUEUED_BYTES", 1)
    monkeypatch.setattr(recent_module, "RECENT_EVENTS", 1)
    node = Node(keep=2)
    ana = node.join()
    node.publish(6)
    assert ana.told() == [*STARTED, "a-1"]
    node.answer()
    assert ana.told() == [*STARTED, "a-1", gap("a-1", "a-5", "a-4", "expired")]
    node.settle()
    ana.told()
    node.settle()
    assert ana.told()[-2:] == ids(5, 6)


def test_recent_events_that_overflow_are_read_from_history_instead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recent_module, "RECENT_EVENTS", 2)
    node = Node(past=1)
    ana = node.join(Earliest())
    node.look()
    node.publish(4)
    node.answer()
    assert ana.told() == ["subscribed a-0, head a-1", "a-1"]
    assert node.reads == ["a-1"]
    node.settle()
    assert ana.told() == ["subscribed a-0, head a-1", *ids(1, 5)]


def test_the_bytes_of_events_that_left_the_recent_events_no_longer_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recent_module, "RECENT_BYTES", 20)
    node = Node()
    node.join(Earliest())
    node.publish(9, data=b"[1234]")
    assert node.join(at(6)).told() == ["subscribed a-6, head a-9", *ids(7, 9)]
    node.settle()
    node.join(Earliest())
    node.publish(3, data=b"[1234]")
    assert node.join(at(9)).told() == ["subscribed a-9, head a-12", *ids(10, 12)]


def test_the_recent_events_are_bounded_in_bytes_but_keep_the_newest_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recent_module, "RECENT_BYTES", 10)
    node = Node(past=1)
    ana = node.join(Earliest())
    node.look()
    node.publish(4, data=b"[1234]")
    bob, cid = node.join(at(4)), node.join(at(3))
    assert bob.told() == ["subscribed a-4, head a-5", "a-5"]
    assert cid.told() == []
    node.publish(data=b"[1234567890]")
    dan = node.join(at(5))
    assert dan.told() == ["subscribed a-5, head a-6", "a-6"]
    node.settle()
    assert ana.told() == ["subscribed a-0, head a-1", *ids(1, 6)]


def test_recent_events_that_overflow_during_a_history_read_do_not_move_the_head_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recent_module, "RECENT_EVENTS", 2)
    node = Node()
    ana = node.join()
    node.lose()
    node.publish()  # shows the hole
    node.look()
    node.publish(4)  # all announced, but the tail holds two
    node.answer()
    node.settle()
    assert ana.told() == [*STARTED, *ids(1, 6)]


def test_publishers_are_told_once_to_wait_until_the_queue_has_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fanout_module, "QUEUED_BYTES", 5)
    node = Node()
    readers = [node.join(), node.join()]
    node.publish(5)
    assert (node.feed.behind, node.desk.behind) == (True, [node.feed])
    node.desk.slice()  # one of the two readers is written to
    assert (node.feed.behind, node.desk.behind) == (True, [node.feed])
    node.desk.flush()
    assert (node.feed.behind, node.desk.behind) == (False, [node.feed])
    assert [reader.told() for reader in readers] == [[*STARTED, *ids(1, 5)]] * 2


def test_no_history_is_read_for_the_live_readers_while_the_queue_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fanout_module, "QUEUED_BYTES", 1)
    node = Node()
    ana = node.join()
    node.publish()
    node.feed.gap()
    assert node.reads == []
    assert ana.told() == [*STARTED, "a-1"]
    assert node.reads == ["a-1"]
