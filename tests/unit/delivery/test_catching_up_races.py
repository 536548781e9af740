"""Subscribers that catch up while the log, or what the feed knows of it, changes."""

from eventhub.delivery.subscriber import SubscriberState
from eventhub.events.event import Earliest, Last
from tests.harness.wire import Wire
from tests.unit.delivery.feed_node import Node, at, gap, ids


def test_recent_events_older_than_a_page_are_not_used_again() -> None:
    node = Node()
    node.join()
    node.lose()
    node.publish()
    node.lose(2)
    node.answer()
    ana = node.join(at(1))
    node.settle()
    assert ana.told() == ["subscribed a-1, head a-4", *ids(2, 4)]


def test_recent_events_left_after_a_hole_are_not_taken_for_the_end_of_the_log() -> None:
    node = Node()
    node.join()
    node.lose()
    node.publish()
    node.settle()
    node.publish(2)
    ana = node.join(at(1))
    node.settle()
    assert ana.told() == ["subscribed a-1, head a-4", *ids(2, 4)]


def test_a_position_of_another_log_gets_a_reset_gap() -> None:
    node = Node(past=2)
    ana = node.join(at(7, "old"))
    node.settle()
    node.publish()
    assert ana.told() == [
        "subscribed old-7, head a-2, not recovered",
        gap("old-7", "a-1", "a-0", "reset"),
        *ids(1, 3),
    ]


def test_a_position_ahead_of_the_log_gets_a_reset_gap() -> None:
    node = Node(past=2)
    ana = node.join(at(9))
    node.settle()
    node.publish()
    assert ana.told() == [
        "subscribed a-9, head a-2, not recovered",
        gap("a-9", "a-1", "a-0", "reset"),
        *ids(1, 3),
    ]


def test_a_log_that_lost_its_end_is_not_read_in_a_loop() -> None:
    node = Node()
    bob = node.join()
    node.publish(3)
    node.log.past["a"].pop()
    node.log.tip = 2
    ana = node.join(Earliest())
    for _ in range(3):  # all events, nothing after them, and what is left for those that are live
        node.answer()
    assert not node.desk.reads
    assert bob.told()[-3:] == [gap("a-3", "a-1", "a-0", "reset"), *ids(1, 2)]
    assert ana.told() == ["subscribed a-0, head a-2", *ids(1, 2)]
    node.publish()
    assert (ana.told()[-1], bob.told()[-1]) == (ids(3, 3)[0], ids(3, 3)[0])


def test_an_expired_position_gets_a_gap_with_both_ends() -> None:
    node = Node(past=6, keep=2)
    ana = node.join(at(1))
    node.settle()
    assert ana.told() == [
        "subscribed a-1, head a-6, not recovered",
        gap("a-1", "a-5", "a-4", "expired"),
        *ids(5, 6),
    ]
    assert node.counters.gaps == {"expired": 1}
    assert node.counters.resumed == 0


def test_a_reader_slower_than_retention_gets_a_gap() -> None:
    node = Node(past=4)
    ana = node.join(Earliest())
    node.answer(limit=2)
    node.log.trim(1)
    node.settle()
    assert ana.told() == [
        "subscribed a-0, head a-4",
        *ids(1, 2),
        gap("a-2", "a-4", "a-3", "expired"),
        "a-4",
    ]


def test_a_reader_that_catches_up_does_not_delay_live_ones() -> None:
    node = Node(past=1)
    ana = node.join()
    node.join(Earliest())
    node.publish(2)
    assert ana.told() == ["subscribed a-1, head a-1", *ids(2, 3)]


def test_a_reader_that_catches_up_waits_while_the_feed_reads_history() -> None:
    node = Node(past=2)
    ana = node.join(Earliest())
    node.look()
    node.lose()
    node.publish()
    node.answer()
    assert ana.told() == ["subscribed a-0, head a-2", *ids(1, 2)]
    node.settle()
    node.publish()
    assert ana.told() == ["subscribed a-0, head a-2", *ids(1, 5)]


def test_a_reader_that_has_read_ahead_of_the_live_ones_gets_no_event_twice() -> None:
    node = Node(past=1)
    ana = node.join(Earliest())
    bob = node.join()
    late = node.lose(2)
    node.answer()
    assert ana.told() == ["subscribed a-0, head a-3", *ids(1, 3)]
    for event in late:
        node.feed.deliver(event)
    node.settle()
    node.publish()
    assert ana.told() == ["subscribed a-0, head a-3", *ids(1, 4)]
    assert bob.told() == ["subscribed a-1, head a-1", *ids(2, 4)]


def test_a_page_that_goes_beyond_the_head_shows_that_announcements_were_lost() -> None:
    node = Node(past=1)
    bob = node.join()
    node.lose()
    ana = node.join(Last(1))
    node.settle()
    assert ana.told() == ["subscribed a-1, head a-2", "a-2"]
    assert bob.told() == ["subscribed a-1, head a-1", "a-2"]
    assert ana.state is SubscriberState.LIVE
    node.publish()
    assert bob.told()[-1] == ana.told()[-1] == "a-3"


def test_a_page_of_another_log_shows_the_feed_that_its_log_was_reset() -> None:
    node = Node(past=1)
    bob = node.join()
    node.log.reset("b")
    node.lose()
    ana = node.join(Earliest())
    node.settle()
    assert ana.told() == ["subscribed b-0, head b-1", "b-1"]
    assert bob.told() == ["subscribed a-1, head a-1", gap("a-1", "b-1", "b-0", "reset"), "b-1"]
    node.publish()
    assert bob.told()[-1] == ana.told()[-1] == "b-2"


def test_a_page_that_ends_at_the_head_needs_no_second_read() -> None:
    node = Node(past=1)
    node.join(Earliest())
    node.settle()
    assert node.desk.asked == 1


def test_a_log_that_is_reset_while_a_reader_catches_up_is_a_gap() -> None:
    node = Node(past=3)
    ana = node.join(Earliest())
    node.answer(limit=2)
    node.log.reset("b")
    node.publish()
    node.feed.gap()
    node.settle()
    assert ana.told() == [
        "subscribed a-0, head a-3",
        *ids(1, 2),
        gap("a-2", "b-1", "b-0", "reset"),
        "b-1",
    ]
    assert ana.state is SubscriberState.LIVE


def test_after_a_reset_a_reader_does_not_jump_to_the_position_it_asked_for() -> None:
    node = Node(past=2)
    ana = node.join(at(4), Wire(room=3))  # `subscribed`, the gap and one event
    node.answer(limit=1)
    node.publish(3)  # the recent events now reach from a-3 to a-5
    ana.drain()
    node.settle()
    assert ana.told() == [
        "subscribed a-4, head a-2, not recovered",
        gap("a-4", "a-1", "a-0", "reset"),
        *ids(1, 5),
    ]


def test_a_page_before_the_last_does_not_show_that_announcements_were_lost() -> None:
    node = Node(past=3)
    ana = node.join(Earliest())
    [late] = node.lose()
    node.answer(limit=2)
    assert node.reads == ["a-2"], "the announcement may still come"
    node.feed.deliver(late)
    node.settle()
    assert ana.told() == ["subscribed a-0, head a-4", *ids(1, 4)]
    assert node.desk.asked == 2


def test_a_page_beyond_the_head_causes_no_second_read_while_the_feed_reads_history() -> None:
    node = Node(past=2)
    ana = node.join(Earliest())
    node.lose()
    node.publish()
    node.lose()
    assert node.reads == ["Earliest()", "a-2"]
    node.settle()
    assert ana.told() == ["subscribed a-0, head a-5", *ids(1, 5)]
    assert node.desk.asked == 2
