"""Subscribers of a feed that join and leave."""

import pytest

from eventhub.delivery.encoding import EVENT_STREAM, LINES, WEBSOCKET
from eventhub.delivery.subscriber import SubscriberState
from eventhub.events.channel_types import SlowReaderPolicy
from eventhub.events.event import Earliest, Gap, Last, Latest, Since
from tests.harness.wire import Wire
from tests.unit.delivery.feed_node import CHANNEL, STARTED, Node, at, ids


def test_a_new_reader_does_not_get_earlier_events() -> None:
    node = Node()
    ana = node.join()
    node.publish()
    bob = node.join()
    node.publish()
    assert ana.told() == [*STARTED, *ids(1, 2)]
    assert bob.told() == ["subscribed a-1, head a-1", "a-2"]


def test_pending_events_are_joined_into_one_write() -> None:
    node = Node()
    ana = node.join()
    node.publish(3)
    assert list(node.desk.unwritten) == [node.feed]
    assert node.desk.woken == 1
    assert len(ana.wire.data) == 1
    ana.told()
    assert len(ana.wire.data) == 2
    assert node.counters.delivered == 3


def test_writers_of_several_encodings_get_the_same_events() -> None:
    node = Node()
    wires = [Wire(encoding) for encoding in (LINES, WEBSOCKET, EVENT_STREAM, LINES)]
    readers = [node.join(wire=wire) for wire in wires]
    assert len(node.feed.live) == 4
    for wire in wires:
        wire.data.clear()
    event = node.publish()
    node.desk.flush()
    assert [wire.data for wire in wires] == [[wire.encoding.event(event)] for wire in wires]
    assert node.counters.delivered == 4
    node.leave(readers[1])
    node.leave(readers[0])
    event = node.publish()
    node.desk.flush()
    assert [len(wire.data) for wire in wires] == [1, 1, 2, 2]
    assert len(node.feed.live) == 2


def test_a_reader_that_left_live_gets_nothing_more() -> None:
    node = Node()
    ana = node.join()
    node.publish()
    node.leave(ana)
    node.leave(ana)
    node.publish()
    assert ana.told() == STARTED
    assert len(node.feed) == 0


def test_a_reader_that_left_while_catching_up_gets_nothing_of_the_page_under_way() -> None:
    node = Node(past=2)
    ana = node.join(Earliest())
    node.leave(ana)
    node.settle()
    assert ana.told() == []
    assert node.desk.asked == 1
    assert len(node.feed) == 0


def test_a_reader_that_left_while_lagging_gets_nothing_when_it_has_drained() -> None:
    node = Node()
    ana = node.join()
    ana.congest()
    node.publish()
    node.leave(ana)
    ana.drain()
    assert ana.told() == STARTED
    assert len(node.feed) == 0


def test_a_new_reader_gets_its_events_after_the_last_one_left() -> None:
    node = Node()
    ana = node.join()
    node.publish()
    node.leave(ana)
    bob = node.join()
    node.publish()
    assert bob.told() == ["subscribed a-1, head a-1", "a-2"]


def test_subscribers_are_counted_in_every_state() -> None:
    node = Node(past=1)
    held, lagging, live = node.join(Earliest()), node.join(), node.join()
    lagging.congest()
    assert (held.state, lagging.state) == (SubscriberState.CATCHING_UP, SubscriberState.LAGGING)
    assert len(node.feed) == 3
    assert len(node.feed.live) == 1
    expected = [reader.subscriber for reader in (held, lagging, live)]
    assert node.feed.subscribers == expected


@pytest.mark.parametrize(
    "since", [Latest(), Earliest(), Last(1), at(1), at(0), at(9), at(3, "old")]
)
@pytest.mark.parametrize("held", [False, True])
def test_subscribed_comes_once_and_first(since: Since, *, held: bool) -> None:
    node = Node(past=2, keep=1)
    if held:
        node.join(Earliest())  # keeps a tail
    node.publish()
    ana = node.join(since)
    node.publish()
    node.settle(limit=1)
    node.publish()
    told = ana.told()
    assert told[0].startswith("subscribed")
    assert [line.startswith("subscribed") for line in told].count(True) == 1
    assert told[-1] == "a-5"


def test_recovered_readers_are_counted() -> None:
    node = Node(past=3, keep=2)
    for since in (at(1), at(2), at(0), at(7), Earliest(), Latest()):
        node.join(since)
    node.settle()
    assert node.counters.resumed == 2


def test_without_live_readers_nothing_is_queued() -> None:
    node = Node(past=1)
    node.join(Earliest())
    node.publish(2)
    assert node.desk.woken == 0
    assert not node.feed.live.due


def test_a_gap_that_no_live_reader_misses_wakes_nobody() -> None:
    node = Node()
    node.join(at(7, "old"))
    node.log.reset("b")
    node.feed.gap()
    node.desk.reads.pop(0)  # the reader's own page is late
    node.answer()
    assert node.desk.woken == 0
    assert node.desk.gaps == [(Gap(at(0), at(1, "b"), at(0, "b"), "reset"), None, 0)]
    assert node.desk.channels == [CHANNEL]


def test_a_feed_knows_its_channel_and_its_type() -> None:
    feed = Node(SlowReaderPolicy.LATEST).feed
    assert (feed.channel, feed.channel_type.slow) == (CHANNEL, SlowReaderPolicy.LATEST)


def test_readers_that_ask_for_the_same_page_in_one_generation_can_share_it() -> None:
    node = Node(past=2)
    node.feed.gap()
    node.settle()
    node.join(Earliest())
    assert [read.generation for read in node.desk.reads] == [node.feed.continuity.generation] == [1]
