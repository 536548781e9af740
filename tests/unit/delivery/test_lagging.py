"""Live subscribers whose writer is full: the policies `disconnect` and `drop`."""

from functools import partial

import pytest

from eventhub.delivery.subscriber import SubscriberState
from eventhub.errors import SlowConsumer
from eventhub.events.channel_types import SlowReaderPolicy
from tests.harness.wire import Wire
from tests.unit.delivery.feed_node import STARTED, Node, at, gap, ids


@pytest.mark.parametrize("slow", list(SlowReaderPolicy))
def test_a_writer_that_drains_before_the_next_event_misses_nothing(
    slow: SlowReaderPolicy,
) -> None:
    node = Node(slow)
    ana = node.join()
    node.publish()
    ana.congest()
    ana.drain()
    node.publish()
    assert ana.told() == [*STARTED, *ids(1, 2)]
    assert ana.wire.errors == []
    assert ana.state is SubscriberState.LIVE


@pytest.mark.parametrize("slow", list(SlowReaderPolicy))
def test_pending_events_are_written_before_a_reader_lags(slow: SlowReaderPolicy) -> None:
    node = Node(slow)
    ana, bob = node.join(), node.join()
    node.publish(2)
    ana.congest()
    assert ana.told() == bob.told() == [*STARTED, *ids(1, 2)]
    assert ana.wire.errors == []


def test_disconnect_closes_when_there_is_more_to_send() -> None:
    node = Node(SlowReaderPolicy.DISCONNECT)
    ana, bob = node.join(), node.join()
    ana.congest()
    assert ana.wire.errors == []
    node.publish(2)
    assert [type(error) for error in ana.wire.errors] == [SlowConsumer]
    assert ana.state is SubscriberState.GONE
    ana.drain()
    assert ana.told() == STARTED
    assert bob.told() == [*STARTED, *ids(1, 2)]
    assert node.counters.disconnected == 1
    assert len(node.feed) == 1


def test_a_connection_is_never_closed_from_inside_a_delivery() -> None:
    node = Node(SlowReaderPolicy.DISCONNECT)
    ana = node.join()
    ana.congest()
    node.feed.deliver(node.log.publish())
    assert (ana.state, ana.wire.errors, len(node.desk.failing)) == (SubscriberState.GONE, [], 1)


def test_a_disconnected_reader_may_leave_from_inside_fail() -> None:
    node = Node(SlowReaderPolicy.DISCONNECT)
    ana, bob, cid = node.join(), node.join(), node.join()
    for reader in (ana, bob):
        reader.wire.on_fail = partial(node.leave, reader)
        reader.congest()
    node.publish(2)
    assert (len(ana.wire.errors), len(bob.wire.errors)) == (1, 1)
    assert cid.told() == [*STARTED, *ids(1, 2)]
    assert node.counters.disconnected == 2
    assert len(node.feed) == 1
    cid.congest()
    node.publish()
    assert node.counters.disconnected == 3


def test_disconnect_closes_when_there_is_a_gap_to_send() -> None:
    node = Node(SlowReaderPolicy.DISCONNECT)
    ana = node.join()
    ana.congest()
    node.log.reset("b")
    node.feed.gap()
    node.settle()
    assert len(ana.wire.errors) == 1
    assert ana.told() == STARTED


def test_a_disconnected_reader_resumes_and_misses_nothing() -> None:
    node = Node(SlowReaderPolicy.DISCONNECT)
    ana = node.join()
    node.publish()
    ana.congest()
    node.publish(2)
    again = node.join(at(1))
    node.settle()
    assert ana.told() == [*STARTED, "a-1"]
    assert again.told() == ["subscribed a-1, head a-3", *ids(2, 3)]


def test_drop_sends_a_gap_with_the_number_skipped_once_the_writer_has_drained() -> None:
    node = Node(SlowReaderPolicy.DROP)
    ana, bob = node.join(), node.join()
    node.publish()
    ana.congest()
    node.publish(3)
    assert ana.told() == [*STARTED, "a-1"]
    ana.drain()
    node.publish()
    assert ana.told() == [*STARTED, "a-1", gap("a-1", "a-5", "a-4", "slow 3"), "a-5"]
    assert bob.told() == [*STARTED, *ids(1, 5)]
    assert node.counters.skipped == {"drop": 3}
    assert node.counters.gaps == {"slow": 1}


def test_drop_counts_each_lag_on_its_own() -> None:
    node = Node(SlowReaderPolicy.DROP)
    ana = node.join()
    for _ in range(2):
        ana.congest()
        node.publish(2)
        ana.drain()
    assert ana.told() == [
        *STARTED,
        gap("a-0", "a-3", "a-2", "slow 2"),
        gap("a-2", "a-5", "a-4", "slow 2"),
    ]


def test_a_second_congestion_does_not_restart_the_count() -> None:
    node = Node(SlowReaderPolicy.DROP)
    ana = node.join()
    ana.congest()
    node.publish()
    ana.congest()
    node.publish()
    ana.drain()
    assert ana.told() == [*STARTED, gap("a-0", "a-3", "a-2", "slow 2")]


def test_a_reader_may_lag_while_the_feed_reads_history() -> None:
    node = Node(SlowReaderPolicy.DROP)
    ana, bob = node.join(), node.join()
    node.lose()
    node.publish()
    ana.congest()
    node.settle()
    ana.drain()
    node.publish()
    assert ana.told() == [*STARTED, gap("a-0", "a-3", "a-2", "slow 2"), "a-3"]
    assert bob.told() == [*STARTED, *ids(1, 3)]


def test_a_reader_that_turns_live_with_a_full_writer_lags_at_once() -> None:
    node = Node(SlowReaderPolicy.DROP)
    wire = Wire()
    wire.full = True  # its owner has said so before it joined
    ana = node.join(wire=wire)
    node.publish(2)
    assert ana.told() == STARTED
    ana.drain()
    assert ana.told() == [*STARTED, gap("a-0", "a-3", "a-2", "slow 2")]


def test_disconnect_closes_at_a_reset() -> None:
    node = Node(SlowReaderPolicy.DISCONNECT)
    ana = node.join()
    ana.congest()
    node.log.reset("b")
    node.feed.gap()
    node.settle()
    assert ana.state is SubscriberState.GONE
    assert [type(error) for error in ana.wire.errors] == [SlowConsumer]
