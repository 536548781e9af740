"""Live subscribers whose writer is full: the policy `latest`."""

import pytest

from eventhub.delivery import recent as recent_module
from eventhub.delivery.subscriber import SubscriberState
from eventhub.events.channel_types import SlowReaderPolicy
from eventhub.events.event import Latest
from eventhub.filters.event_filter import EventFilter
from eventhub.filters.fields import RecentFields
from tests.harness.builders import CHAT
from tests.harness.wire import Wire
from tests.unit.delivery.feed_node import STARTED, Node, Reader, at, gap, ids


def test_latest_gets_the_newest_event_of_each_sensor() -> None:
    node = Node(SlowReaderPolicy.LATEST)
    ana = node.join()
    ana.congest()
    for sensor in (b"x", b"y", b"x", b"z", b"y"):
        node.publish(data=b'{"value":1,"sensor":"%b"}' % sensor)
    ana.drain()
    node.publish()
    assert ana.told() == [
        *STARTED,
        gap("a-0", "a-6", "a-0", "conflated 2"),
        "a-3",
        "a-4",
        "a-5",
        "a-6",
    ]
    assert node.counters.skipped == {"latest": 2}


def test_latest_gets_the_newest_event_of_each_subject_and_one_of_those_without() -> None:
    node = Node(SlowReaderPolicy.LATEST, schema=CHAT)
    ana = node.join()
    ana.congest()
    for subject in ("x", None, "y", "x", None):
        node.publish(subject=subject)
    ana.drain()
    assert ana.told() == [*STARTED, gap("a-0", "a-6", "a-0", "conflated 2"), "a-3", "a-4", "a-5"]


def test_latest_sends_the_newest_events_in_channel_order() -> None:
    node = Node(SlowReaderPolicy.LATEST)
    ana = node.join()
    ana.congest()
    for subject in ("x", "y", "x"):
        node.publish(subject=subject)
    ana.drain()
    assert ana.told()[-2:] == ids(2, 3)


def test_latest_sends_nothing_from_before_the_reader_lagged() -> None:
    node = Node(SlowReaderPolicy.LATEST)
    ana, bob = node.join(), node.join()
    ana.congest()
    node.publish(subject="x")
    bob.congest()
    node.publish(2, subject="y")
    bob.drain()
    ana.drain()
    assert ana.told() == [*STARTED, gap("a-0", "a-4", "a-0", "conflated 1"), "a-1", "a-3"]
    assert bob.told() == [*STARTED, "a-1", gap("a-1", "a-4", "a-1", "conflated 1"), "a-3"]


def test_latest_keeps_nothing_when_nobody_lags() -> None:
    node = Node(SlowReaderPolicy.LATEST)
    ana = node.join()
    ana.congest()
    node.publish(3, subject="x")
    ana.drain()
    assert node.feed._lagging.latest._kept == {}
    node.publish(subject="y")
    assert node.feed._lagging.latest._kept == {}
    ana.news()
    ana.congest()
    node.publish(subject="z")
    ana.drain()
    assert ana.news() == [gap("a-4", "a-6", "a-4", "conflated 0"), "a-5"]


def test_conflation_interrupted_by_a_full_writer_goes_on_with_the_newest_events() -> None:
    node = Node(SlowReaderPolicy.LATEST)
    ana = node.join()
    ana.congest()
    for subject in ("x", "y", "z"):
        node.publish(subject=subject)
    ana.news()
    ana.drain(room=2)  # the gap and one event
    assert len(node.feed) - len(node.feed.live) == 1
    assert ana.news() == [gap("a-0", "a-4", "a-0", "conflated 0"), "a-1"]
    node.publish(subject="y")
    node.publish(subject="x")
    ana.drain()
    node.publish()
    assert ana.news() == [gap("a-1", "a-6", "a-1", "conflated 1"), *ids(3, 6)]
    assert ana.state is SubscriberState.LIVE


def test_conflation_that_fills_the_writer_with_its_last_event_needs_no_second_gap() -> None:
    node = Node(SlowReaderPolicy.LATEST)
    ana = node.join()
    ana.congest()
    node.publish(2)
    ana.news()
    ana.drain(room=2)
    ana.drain()
    node.publish()
    assert ana.news() == [gap("a-0", "a-3", "a-0", "conflated 1"), *ids(2, 3)]


def test_a_reader_that_disconnects_between_conflated_events_can_resume() -> None:
    node = Node(SlowReaderPolicy.LATEST)
    ana = node.join()
    ana.congest()
    for subject in ("x", "y", "x"):
        node.publish(subject=subject)
    ana.drain(room=2)
    assert ana.told()[-1] == "a-2"
    again = node.join(at(2))
    node.settle()
    assert again.told() == ["subscribed a-2, head a-3", "a-3"]


def test_keys_above_the_bound_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_module, "KEYS", 2)
    node = Node(SlowReaderPolicy.LATEST)
    ana = node.join()
    ana.congest()
    for subject in ("x", "y", "x", "z"):
        node.publish(subject=subject)
    ana.drain()
    assert ana.told() == [*STARTED, gap("a-0", "a-5", "a-0", "conflated 2"), *ids(3, 4)]


def test_the_events_kept_for_lagging_readers_are_bounded_in_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recent_module, "KEYS_BYTES", 4)
    node = Node(SlowReaderPolicy.LATEST)
    ana = node.join()
    ana.congest()
    for subject in ("x", "y", "z"):
        node.publish(subject=subject)
    ana.drain()
    assert ana.told() == [*STARTED, gap("a-0", "a-4", "a-0", "conflated 1"), *ids(2, 3)]


def lagged_over_a_reset(slow: SlowReaderPolicy = SlowReaderPolicy.LATEST) -> tuple[Node, Reader]:
    """A reader at a-1 that is full, three events later, at a log that has begun anew as b."""
    node = Node(slow)
    ana = node.join()
    node.publish(subject="x")
    ana.congest()
    node.publish(3, subject="y")
    node.log.reset("b")
    node.feed.gap()
    node.settle()
    return node, ana


RESET = gap("a-1", "b-1", "b-0", "reset")


@pytest.mark.parametrize("slow", [SlowReaderPolicy.LATEST, SlowReaderPolicy.DROP])
def test_a_reader_that_lagged_over_a_reset_is_told_of_it_and_gets_the_new_log(
    slow: SlowReaderPolicy,
) -> None:
    node, ana = lagged_over_a_reset(slow)
    for subject in ("x", "y", "x"):
        node.publish(subject=subject)
    assert ana.told() == [*STARTED, "a-1"], "nothing is written while it is full"
    ana.drain()
    node.settle()
    node.publish()
    assert ana.told() == [*STARTED, "a-1", RESET, *(f"b-{offset}" for offset in range(1, 5))]
    assert ana.state is SubscriberState.LIVE


def test_it_lags_again_as_every_reader() -> None:
    node, ana = lagged_over_a_reset()
    ana.drain()
    node.settle()
    ana.congest()
    for subject in ("x", "y", "x"):
        node.publish(subject=subject)
    ana.drain()
    conflated = gap("b-0", "b-4", "b-0", "conflated 1")
    assert ana.told() == [*STARTED, "a-1", RESET, conflated, "b-2", "b-3"]


def test_it_may_leave_before_it_is_told() -> None:
    node, ana = lagged_over_a_reset()
    node.leave(ana)
    assert len(node.feed) == 0
    ana.drain()
    assert node.reads == []
    assert ana.told() == [*STARTED, "a-1"]


def test_a_reader_whose_position_is_not_lost_misses_nothing() -> None:
    """The log has lost its end only, behind where the reader stands."""
    node = Node(SlowReaderPolicy.LATEST)
    ana, bob = node.join(), node.join()
    node.publish(2)
    ana.congest()
    node.publish(3)
    del node.log.past["a"][3:]
    node.log.tip = 3
    node.feed.gap()
    node.settle()
    node.publish(step=1000)
    node.settle()
    ana.drain()
    node.settle()
    assert ana.told() == [*STARTED, *ids(1, 3), "a-1003"]
    assert "reset" in "".join(bob.told())


def test_with_nothing_left_to_send_the_gap_ends_where_the_feed_stands() -> None:
    node = Node(SlowReaderPolicy.LATEST)
    ana = Reader(node, Latest(), Wire(), EventFilter("data.value > 1", RecentFields()))
    node.feed.join(ana.subscriber)
    ana.congest()
    node.publish(2, data=b'{"value":1}')
    ana.drain()
    node.publish(data=b'{"value":2}')
    assert ana.told() == [*STARTED, gap("a-0", "a-3", "a-2", "conflated 2"), "a-3"]


def test_one_that_lags_while_events_expire_is_told_so_and_reads_what_is_left() -> None:
    """With one gap for all, it would take an old event of a key for the newest."""
    node = Node(SlowReaderPolicy.LATEST, keep=1)
    ana = node.join()
    ana.congest()
    node.publish(subject="x")
    node.lose(2)
    node.feed.gap()
    node.settle()
    node.publish(subject="y")
    assert ana.state is SubscriberState.CATCHING_UP
    ana.drain()
    node.settle()
    assert ana.told() == [*STARTED, gap("a-0", "a-4", "a-3", "expired"), "a-4"]


def test_one_that_drops_events_and_lags_while_some_expire_gets_one_gap() -> None:
    node = Node(SlowReaderPolicy.DROP, keep=1)
    ana = node.join()
    ana.congest()
    node.lose(2)
    node.feed.gap()
    node.settle()
    assert ana.state is SubscriberState.LAGGING
    ana.drain()
    assert ana.told() == [*STARTED, gap("a-0", "a-3", "a-2", "slow 1")]
