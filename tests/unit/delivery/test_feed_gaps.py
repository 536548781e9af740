"""Events that history no longer has: live subscribers get a gap message."""

import pytest

from eventhub.delivery.encoding import EVENT_STREAM, LINES, WEBSOCKET
from eventhub.events.event import Age, Earliest, Gap, Last, Since
from tests.harness.wire import Wire
from tests.unit.delivery.feed_node import CHANNEL, STARTED, Node, at, gap, ids


def test_live_readers_get_one_gap_for_all_expired_events() -> None:
    node = Node(keep=2)
    ana = node.join()
    node.publish()
    node.lose(4)
    node.feed.gap()
    node.settle()
    node.publish()
    assert ana.told() == [*STARTED, "a-1", gap("a-1", "a-4", "a-3", "expired"), *ids(4, 6)]


def test_after_a_reset_live_readers_get_one_gap_with_both_ends() -> None:
    node = Node()
    ana, bob = node.join(), node.join()
    node.publish(2)
    node.log.reset("b")
    node.publish()
    node.feed.gap()
    node.settle()
    node.publish()
    assert (
        ana.told()
        == bob.told()
        == [*STARTED, *ids(1, 2), gap("a-2", "b-1", "b-0", "reset"), "b-1", "b-2"]
    )
    missed = Gap(at(2), at(1, "b"), at(0, "b"), "reset")
    assert node.desk.gaps == [(missed, None, 2)]
    node.log.reset("c")
    node.feed.gap()
    node.settle()
    assert node.counters.gaps == {"reset": 4}


def test_after_a_reset_to_an_empty_log_the_gap_names_its_end() -> None:
    node = Node()
    ana = node.join()
    node.publish()
    node.log.reset("b")
    node.feed.gap()
    node.settle()
    assert ana.told() == [*STARTED, "a-1", gap("a-1", "b-1", "b-0", "reset")]
    node.publish()
    assert ana.news()[-1] == "b-1"


def test_a_late_announcement_of_the_old_log_is_not_delivered_after_the_reset() -> None:
    node = Node()
    ana = node.join()
    node.publish()
    [late] = node.lose()
    node.log.reset("b")
    node.feed.gap()
    node.settle()
    node.publish()
    node.feed.deliver(late)
    node.publish()
    node.settle()
    assert ana.told() == [*STARTED, "a-1", gap("a-1", "b-1", "b-0", "reset"), "b-1", "b-2"]


def test_a_late_announcement_of_the_old_log_is_delivered_before_the_gap() -> None:
    node = Node()
    ana = node.join()
    node.publish()
    [late] = node.lose()
    node.log.reset("b")
    node.feed.deliver(late)
    node.publish()
    node.settle()
    assert ana.told() == [*STARTED, *ids(1, 2), gap("a-2", "b-1", "b-0", "reset"), "b-1"]


def test_a_gap_is_written_after_the_pending_events() -> None:
    node = Node(keep=1)
    ana = node.join()
    node.publish()
    node.lose(2)
    node.feed.gap()
    node.answer()
    assert ana.told() == [*STARTED, "a-1", gap("a-1", "a-3", "a-2", "expired"), "a-3"]
    assert node.desk.woken == 1


def test_only_readers_that_miss_events_get_a_gap() -> None:
    node = Node(keep=2)
    ana = node.join()
    bob = node.join(Earliest())
    node.look()
    node.publish()
    node.lose(3)
    node.feed.gap()
    node.settle()
    assert ana.told() == [*STARTED, "a-1", gap("a-1", "a-3", "a-2", "expired"), *ids(3, 4)]
    assert bob.told() == [
        "subscribed a-0, head a-0",
        gap("a-0", "a-3", "a-2", "expired"),
        *ids(3, 4),
    ]
    cid = node.join(Last(2))
    node.settle()
    assert cid.told() == ["subscribed a-2, head a-4", *ids(3, 4)]


def test_a_gap_is_written_in_each_encoding() -> None:
    node = Node()
    wires = [Wire(encoding) for encoding in (LINES, WEBSOCKET, EVENT_STREAM)]
    for wire in wires:
        node.join(wire=wire)
    node.log.reset("b")
    node.feed.gap()
    node.settle()
    node.desk.flush()
    told = {
        "channel": CHANNEL,
        "after": "a-0",
        "before": "b-1",
        "position": "b-0",
        "reason": "reset",
    }
    assert [wire.data[-1] for wire in wires] == [
        wire.encoding.message("gap", told, at(0, "b")) for wire in wires
    ]


def test_without_retention_live_readers_get_everything_announced() -> None:
    node = Node(keep=0)
    ana = node.join()
    node.publish(3)
    assert ana.told() == [*STARTED, *ids(1, 3)]
    assert node.desk.asked == 0


def test_without_retention_a_hole_is_a_gap() -> None:
    node = Node(keep=0)
    ana = node.join()
    node.publish()
    node.lose()
    node.publish()
    node.settle()
    node.publish()
    assert ana.told() == [*STARTED, "a-1", gap("a-1", "a-4", "a-3", "expired"), "a-4"]


@pytest.mark.parametrize("since", [Earliest(), Last(5), Age(1000)])
def test_without_retention_history_is_empty(since: Since) -> None:
    node = Node(keep=0, past=3)
    ana = node.join(since)
    node.settle()
    node.publish()
    assert ana.told() == ["subscribed a-3, head a-3", "a-4"]


def test_without_retention_a_reader_resumes_at_the_end_and_gets_a_gap_anywhere_before_it() -> None:
    node = Node(keep=0, past=3)
    ana, bob = node.join(at(3)), node.join(at(1))
    node.settle()
    node.publish()
    assert ana.told() == ["subscribed a-3, head a-3", "a-4"]
    assert bob.told() == [
        "subscribed a-1, head a-3, not recovered",
        gap("a-1", "a-4", "a-3", "expired"),
        "a-4",
    ]
