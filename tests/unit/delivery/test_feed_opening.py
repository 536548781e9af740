"""A feed before the broker has opened its channel."""

from eventhub.events.event import Earliest
from tests.unit.delivery.feed_node import Node, at, ids


def test_announcements_before_the_opening_are_kept() -> None:
    node = Node(opened=False)
    ana = node.join(Earliest())
    bob = node.join()
    node.publish(2)
    assert ana.told() == bob.told() == []
    node.feed.opened(at(0))
    assert bob.told() == ["subscribed a-2, head a-2"]
    node.settle()
    node.publish()
    assert ana.told() == ["subscribed a-0, head a-2", *ids(1, 3)]
    assert bob.told() == ["subscribed a-2, head a-2", "a-3"]


def test_announcements_older_than_the_opening_are_not_delivered() -> None:
    node = Node(opened=False)
    ana = node.join()
    late = node.lose(3)
    node.feed.deliver(late[0])  # announced for an earlier subscription of this node
    node.feed.opened(at(3))
    node.settle()
    node.publish()
    assert ana.told() == ["subscribed a-3, head a-3", "a-4"]


def test_the_channel_may_open_at_the_last_announcement_before_it() -> None:
    node = Node(opened=False)
    ana = node.join()
    node.publish(2)
    node.feed.opened(at(2))
    node.publish()
    assert ana.told() == ["subscribed a-2, head a-2", "a-3"]
    assert node.desk.asked == 0


def test_a_hole_between_the_opening_and_earlier_announcements_is_filled() -> None:
    node = Node(opened=False)
    ana, bob = node.join(at(0)), node.join()
    node.lose(2)
    node.publish()
    node.feed.opened(at(0))
    assert node.reads == ["a-0"]
    node.settle()
    node.publish()
    assert ana.told() == ["subscribed a-0, head a-3", *ids(1, 4)]
    assert bob.told() == ["subscribed a-3, head a-3", "a-4"]


def test_a_broker_gap_before_the_opening_is_closed_from_history() -> None:
    node = Node(opened=False)
    ana, bob = node.join(at(0)), node.join()
    node.lose(2)
    node.feed.gap()
    node.feed.opened(at(0))
    assert node.reads == ["a-0"]
    node.settle()
    node.publish()
    assert ana.told() == ["subscribed a-0, head a-2", *ids(1, 3)]
    assert bob.told() == ["subscribed a-2, head a-2", "a-3"]


def test_a_late_announcement_after_a_gap_before_the_opening_does_not_hide_lost_events() -> None:
    node = Node(opened=False)
    ana = node.join(at(0))
    event = node.publish()
    node.lose()
    node.feed.gap()
    node.feed.deliver(event)
    node.feed.opened(at(0))
    node.settle()
    assert ana.told() == ["subscribed a-0, head a-2", *ids(1, 2)]


def test_an_opening_without_a_gap_needs_no_history() -> None:
    node = Node(past=3)
    ana = node.join()
    assert ana.told() == ["subscribed a-3, head a-3"]
    assert node.desk.asked == 0
