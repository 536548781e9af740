"""Subscribers that begin in the past: where they start, and how they turn live."""

import pytest

from eventhub.delivery.catching_up import CatchingUpSubscribers
from eventhub.delivery.continuity import Continuity
from eventhub.delivery.counters import DeliveryCounters
from eventhub.delivery.subscriber import Subscriber, SubscriberState, SubscriptionStart
from eventhub.delivery.unicast import Unicast
from eventhub.events.channel_types import SlowReaderPolicy
from eventhub.events.event import Earliest, Last, Latest, Since, Start
from tests.harness.builders import FeedDesk, channel_type
from tests.harness.wire import Wire
from tests.unit.delivery.feed_node import CHANNEL, Node, at, ids


@pytest.mark.parametrize(
    ("since", "position", "first"),
    [
        (at(2), 2, 3),
        (Earliest(), 0, 1),
        (Last(2), 3, 4),
        (Last(50), 0, 1),
        (at(0), 0, 1),
        (at(5), 5, 6),
    ],
)
def test_a_reader_begins_where_it_asked(since: Since, position: int, first: int) -> None:
    node = Node(past=5)
    ana = node.join(since)
    node.settle()
    node.publish()
    assert ana.told() == [f"subscribed a-{position}, head a-5", *ids(first, 6)]
    assert ana.state is SubscriberState.LIVE


def test_a_reader_is_told_that_it_has_begun_with_its_first_page() -> None:
    node = Node(past=5)
    ana = node.join(Earliest())
    assert ana.told() == []
    node.answer(limit=2)
    assert ana.told() == ["subscribed a-0, head a-5", *ids(1, 2)]
    assert node.reads == ["a-2"]
    node.answer(limit=2)
    node.answer(limit=2)
    assert node.reads == []
    assert ana.state is SubscriberState.LIVE
    assert ana.told() == ["subscribed a-0, head a-5", *ids(1, 5)]


def test_replayed_events_are_counted() -> None:
    node = Node(past=2)
    node.join(Earliest())
    node.look()
    node.publish(3)
    node.answer()
    assert node.counters.delivered == 5


def test_a_reader_catching_up_takes_the_rest_from_the_recent_events() -> None:
    node = Node(past=2)
    ana = node.join(Earliest())
    node.look()
    node.publish(3)
    node.answer()
    assert ana.told() == ["subscribed a-0, head a-2", *ids(1, 5)]
    assert ana.state is SubscriberState.LIVE
    assert node.desk.asked == 1


def test_a_reader_that_turns_live_from_the_recent_events_gets_no_pending_event_twice() -> None:
    node = Node(past=1)
    ana, bob = node.join(), node.join(Earliest())
    node.look()
    node.publish()
    node.answer()
    node.publish()
    assert ana.told() == ["subscribed a-1, head a-1", *ids(2, 3)]
    assert bob.told() == ["subscribed a-0, head a-1", *ids(1, 3)]


def test_a_position_that_the_recent_events_cover_needs_no_history() -> None:
    node = Node(past=2)
    node.join(Earliest())
    node.publish(3)
    ana = node.join(at(3))
    assert ana.told() == ["subscribed a-3, head a-5", *ids(4, 5)]
    assert node.desk.asked == 1
    assert node.counters.resumed == 1


def test_recent_events_are_dropped_when_nobody_catches_up() -> None:
    node = Node(past=2)
    node.join(Earliest())
    node.publish()
    node.settle()
    assert not node.feed.continuity.recent.events
    node.publish(3)
    bob = node.join(at(3))
    assert bob.told() == []
    assert node.reads == ["a-3"]
    node.settle()
    assert bob.told() == ["subscribed a-3, head a-6", *ids(4, 6)]


def test_events_that_retention_removed_are_still_taken_from_the_recent_events() -> None:
    node = Node(past=2)
    ana = node.join(Earliest())
    node.look()
    node.publish(3)
    node.log.trim(0)
    node.answer()
    assert ana.told() == ["subscribed a-0, head a-2", *ids(1, 5)]


def test_latest_begins_at_the_delivered_position_while_the_feed_reads_history() -> None:
    node = Node()
    node.join()
    node.publish()
    node.lose()
    node.publish()
    ana = node.join()
    assert ana.told() == ["subscribed a-1, head a-1"]
    assert ana.state is SubscriberState.LIVE
    node.settle()
    assert ana.told() == ["subscribed a-1, head a-1", *ids(2, 3)]
    assert node.desk.asked == 1


def test_a_position_waits_while_the_feed_reads_history() -> None:
    node = Node()
    node.join()
    node.publish()
    node.lose()
    node.publish()
    ana = node.join(at(1))
    assert ana.told() == []
    assert len(node.reads) == 1
    node.settle()
    assert ana.told()[0] == "subscribed a-1, head a-3"
    assert ana.told()[1:] == ids(2, 3)


def test_no_history_is_read_for_a_full_writer() -> None:
    node = Node(past=6)
    ana = node.join(Earliest(), Wire(room=2))  # full with the first page
    node.answer(limit=2)
    assert ana.told() == ["subscribed a-0, head a-6", *ids(1, 2)]
    assert node.reads == []
    node.publish(2)
    assert node.reads == []
    ana.drain()
    assert node.reads == ["a-2"]
    node.settle(limit=2)
    assert ana.told() == ["subscribed a-0, head a-6", *ids(1, 8)]


def test_a_reader_that_joins_with_a_full_writer_is_served_when_it_has_drained() -> None:
    node = Node(past=2)
    wire = Wire()
    wire.full = True
    ana = node.join(Earliest(), wire)
    assert node.reads == []
    ana.drain()
    node.settle()
    assert ana.told() == ["subscribed a-0, head a-2", *ids(1, 2)]


def test_a_page_that_arrives_while_the_writer_is_full_is_requested_again() -> None:
    node = Node(past=3)
    ana = node.join(Earliest())
    ana.wire.full = True  # another channel's replay has filled it
    node.answer()
    assert ana.told() == []
    ana.wire.full = False
    ana.drain()
    node.settle()
    assert ana.told() == ["subscribed a-0, head a-3", *ids(1, 3)]


def test_a_writer_that_drains_during_a_read_causes_no_second_read() -> None:
    node = Node(past=2)
    ana = node.join(Earliest())
    ana.drain()
    assert len(node.reads) == 1


def test_a_reader_that_is_catching_up_is_never_disconnected() -> None:
    node = Node(SlowReaderPolicy.DISCONNECT, past=6)
    ana = node.join(Earliest(), Wire(room=1))
    node.answer(limit=2)
    ana.congest()
    node.publish(3)
    assert ana.state is SubscriberState.CATCHING_UP
    assert ana.wire.errors == []


def test_a_reader_whose_writer_filled_while_it_caught_up_lags_as_soon_as_it_is_live() -> None:
    node = Node(SlowReaderPolicy.DISCONNECT, past=1)
    ana = node.join(Earliest(), Wire(room=2))
    node.lose()
    node.answer()  # shows that an announcement was lost, and fills the writer
    ana.congest()
    assert ana.state is SubscriberState.CATCHING_UP
    node.settle()  # the line comes to where the reader stands
    assert ana.wire.errors == []
    node.publish()
    assert len(ana.wire.errors) == 1
    assert ana.told() == ["subscribed a-0, head a-2", *ids(1, 2)]


def test_recent_events_are_kept_until_the_last_reader_has_caught_up() -> None:
    node = Node(past=2)
    ana, bob = node.join(Earliest()), node.join(Earliest())
    for read in node.desk.reads:
        read.look(node.log)
    node.publish(3)
    node.leave(ana)
    node.settle()
    assert bob.told() == ["subscribed a-0, head a-2", *ids(1, 5)]
    assert node.desk.asked == 2


def test_a_subscription_that_reads_several_pages_begins_and_is_counted_once() -> None:
    node = Node(past=5)
    ana = node.join(at(1))
    node.settle(limit=2)
    assert ana.told() == ["subscribed a-1, head a-5", *ids(2, 5)]
    assert node.desk.begun == [(ana.subscriber, SubscriptionStart(at(1), at(5), recovered=True))]
    assert node.counters.resumed == 1


def test_a_page_for_one_reader_does_not_end_the_read_for_the_live_ones() -> None:
    node = Node(past=1)
    node.join(Earliest())
    ana = node.join()
    node.lose()
    node.publish()
    assert node.reads == ["Earliest()", "a-1"]
    node.answer()
    assert node.reads == ["a-1"]
    node.settle()
    assert ana.told() == ["subscribed a-1, head a-1", *ids(2, 3)]


def test_a_drained_writer_changes_nothing_for_a_live_reader() -> None:
    node = Node(past=2)
    ana, bob = node.join(), node.join(at(0))
    node.settle()
    ana.drain()
    bob.drain()
    node.publish()
    assert ana.told() == ["subscribed a-2, head a-2", "a-3"]
    assert bob.told() == ["subscribed a-0, head a-2", *ids(1, 3)]
    assert node.desk.asked == 1


class Owner:
    """A feed that takes notes."""

    def __init__(self) -> None:
        self.live: list[Subscriber] = []

    def read(self, subscriber: Subscriber, since: Start) -> None:
        raise AssertionError("no history is needed")

    def turn_live(self, subscriber: Subscriber) -> None:
        self.live.append(subscriber)

    def gap(self) -> None:
        raise AssertionError("nothing is missing")


def test_a_reader_that_stands_at_the_delivered_position_turns_live_once() -> None:
    continuity, owner = Continuity(), Owner()
    continuity.open(at(3))
    unicast = Unicast(CHANNEL, channel_type(), DeliveryCounters(), FeedDesk())
    catching_up = CatchingUpSubscribers(continuity, unicast, owner)
    subscriber = Subscriber(CHANNEL, Latest(), Wire(), lambda _, __: None)
    catching_up.advance(subscriber)
    assert owner.live == [subscriber]
