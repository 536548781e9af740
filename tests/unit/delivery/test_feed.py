"""Live subscribers of a feed: duplicates, holes and gaps of the broker.

Each race is a plain sequence of calls.
"""

import pytest

from eventhub.delivery import recent as recent_module
from eventhub.delivery.subscriber import SubscriberState
from eventhub.events.event import Earliest
from tests.unit.delivery.feed_node import STARTED, Node, ids


def test_a_live_reader_gets_each_event_once_and_in_order() -> None:
    node = Node()
    ana = node.join()
    event = node.publish(3)
    node.feed.deliver(event)
    assert ana.told() == [*STARTED, *ids(1, 3)]
    assert node.desk.asked == 0
    assert node.feed.continuity.delivered_count == 3


def test_a_repeated_old_announcement_is_ignored() -> None:
    node = Node()
    ana = node.join()
    first = node.publish()
    node.publish(2)
    node.feed.deliver(first)
    node.publish()
    assert ana.told() == [*STARTED, *ids(1, 4)]
    assert node.desk.asked == 0


def test_skipped_offsets_are_not_a_hole() -> None:
    node = Node()
    ana = node.join()
    node.publish(step=7)
    node.publish(step=3)
    assert ana.told() == [*STARTED, "a-7", "a-10"]
    assert node.desk.asked == 0


def test_an_announcement_after_a_hole_waits_until_history_has_filled_it() -> None:
    node = Node()
    ana = node.join()
    node.publish()
    node.lose(2)
    node.publish()
    assert ana.told() == [*STARTED, "a-1"]
    assert node.reads == ["a-1"]
    node.answer()
    assert ana.told() == [*STARTED, *ids(1, 4)]
    assert node.reads == []


def test_a_hole_is_filled_page_by_page() -> None:
    node = Node()
    ana = node.join()
    node.lose(7)
    node.publish(2)
    node.answer(limit=3)
    assert node.reads == ["a-3"]
    node.settle(limit=3)
    assert ana.told() == [*STARTED, *ids(1, 9)]


def test_announcements_during_a_history_read_are_delivered_after_the_page() -> None:
    node = Node()
    ana = node.join()
    node.lose()
    node.publish(2)
    node.look()
    node.publish(2)
    node.answer()
    assert ana.told() == [*STARTED, *ids(1, 5)]
    assert node.desk.asked == 1


def test_a_second_hole_during_a_history_read_is_filled_too() -> None:
    node = Node()
    ana = node.join()
    node.lose()
    node.publish()
    node.look()
    node.lose(2)
    node.publish()
    node.answer()
    assert node.reads == ["a-2"]
    node.settle()
    assert ana.told() == [*STARTED, *ids(1, 5)]


def test_after_a_broker_gap_history_is_read_even_if_no_announcement_follows() -> None:
    node = Node()
    ana = node.join()
    node.publish()
    node.lose(2)
    node.feed.gap()
    node.settle()
    assert ana.told() == [*STARTED, *ids(1, 3)]
    node.publish()
    assert ana.told() == [*STARTED, *ids(1, 4)]
    assert node.desk.asked == 1


def test_a_broker_gap_without_a_loss_sends_nothing() -> None:
    node = Node()
    ana = node.join()
    node.publish()
    node.feed.gap()
    node.feed.gap()
    assert node.reads == ["a-1"]
    node.settle()
    node.publish()
    assert ana.told() == [*STARTED, *ids(1, 2)]


def test_after_a_broker_gap_the_next_event_in_order_is_delivered_at_once() -> None:
    node = Node()
    ana = node.join()
    node.publish()
    node.feed.gap()
    node.publish()
    assert ana.told() == [*STARTED, *ids(1, 2)]
    node.settle()
    node.publish()
    assert ana.told() == [*STARTED, *ids(1, 3)]


def test_an_announcement_repeated_after_a_broker_gap_is_not_written_again() -> None:
    node = Node()
    ana = node.join()
    event = node.publish(2)
    node.feed.gap()
    node.feed.deliver(event)
    node.publish()
    node.settle()
    assert ana.told() == [*STARTED, *ids(1, 3)]


def test_after_a_broker_gap_announcements_go_on_and_a_page_ends_the_unverified_state() -> None:
    node = Node()
    ana = node.join()
    node.publish()
    node.feed.gap()
    node.publish(2)
    node.look()
    node.publish()
    assert ana.told() == [*STARTED, *ids(1, 4)]
    node.settle()
    assert ana.told() == [*STARTED, *ids(1, 4)]
    assert node.reads == []


def test_a_page_requested_before_the_gap_does_not_say_where_the_log_ends() -> None:
    node = Node()
    ana = node.join()
    node.feed.gap()
    node.look()
    node.lose()
    node.feed.gap()  # announcing works again from here on; the page was taken before
    node.answer()
    node.settle()
    assert ana.told() == [*STARTED, "a-1"]


def test_the_events_of_a_page_requested_before_the_gap_are_used() -> None:
    node = Node()
    ana = node.join()
    node.lose(2)
    node.feed.gap()
    node.look()
    node.feed.gap()
    node.answer()
    assert ana.told() == [*STARTED, *ids(1, 2)]
    assert node.reads == ["a-2"]


def test_a_late_announcement_after_a_broker_gap_does_not_hide_lost_events() -> None:
    node = Node()
    ana = node.join()
    late, _lost = node.lose(2)
    node.feed.gap()
    node.feed.deliver(late)  # follows the line, but says nothing about what was lost after it
    node.settle()
    assert ana.told() == [*STARTED, *ids(1, 2)]


def test_a_repeated_announcement_after_a_broker_gap_does_not_make_an_old_page_valid() -> None:
    node = Node()
    ana = node.join()
    event = node.publish()
    node.feed.gap()
    node.look()
    node.lose()
    node.feed.gap()
    node.feed.deliver(event)
    node.answer()
    node.settle()
    assert ana.told() == [*STARTED, *ids(1, 2)]


def test_a_late_announcement_after_a_broker_gap_does_not_make_an_old_page_valid() -> None:
    node = Node()
    ana = node.join()
    node.feed.gap()
    node.look()
    late, _lost = node.lose(2)
    node.feed.gap()
    node.feed.deliver(late)
    node.answer()
    node.settle()
    assert ana.told() == [*STARTED, *ids(1, 2)]


def test_a_broker_gap_is_closed_even_if_events_never_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recent_module, "RECENT_EVENTS", 1)
    node = Node(past=3)
    ana, bob = node.join(), node.join(Earliest())
    node.feed.gap()
    node.answer(limit=1)  # bob's page: it waits for the mending
    for _ in range(20):
        if node.reads:
            node.look()
            # no page is answered before there is more, and each event drives one out of the tail
            node.publish()
            node.answer()
    assert node.reads == []
    assert ana.told()[1:] == bob.told()[4:]
    assert bob.state is SubscriberState.LIVE


def test_a_page_beyond_the_announcements_makes_them_duplicates() -> None:
    node = Node()
    ana = node.join()
    node.feed.gap()
    late = node.lose(2)
    node.answer()
    for event in late:
        node.feed.deliver(event)
    node.publish()
    assert ana.told() == [*STARTED, *ids(1, 3)]
    assert node.desk.asked == 1
