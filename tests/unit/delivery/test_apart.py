"""delivery/apart.py: subscribers of a pattern that do not stand at `delivered` of every feed."""

import pytest

from eventhub.delivery import apart as apart_module
from eventhub.delivery.subscriber import SubscriberState
from eventhub.events.event import Position
from tests.harness.builders import ModelLog
from tests.harness.wire import Wire
from tests.unit.delivery.apart_node import Apart, earliest


def test_one_that_has_nothing_to_do_turns_live_at_once() -> None:
    node = Apart("a")
    reader = node.join()
    reader.advance()
    assert node.live == [reader.subscriber]
    assert not node.apart.subscribers
    assert not node.reads


def test_one_reads_history_in_a_bounded_number_of_channels_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(apart_module, "CHANNELS_AT_ONCE", 2)
    node = Apart("a", "b", "c", "d")
    reader = node.join(earliest("a", "b", "c", "d"))
    reader.advance()
    assert node.reads == ["d", "c"]
    assert reader.parts == ["c", "d"]
    reader.advance()
    assert node.reads == ["d", "c"]
    node.answer("c")
    assert node.reads == ["d", "b"]
    assert reader.parts == ["b", "d"]
    node.answer("d")
    assert node.reads == ["b", "a"]
    node.answer("b")
    assert node.live == []
    node.answer("a")
    assert node.live == [reader.subscriber]
    assert reader.parts == []
    assert reader.got == [f"{name} a-{offset}" for name in "cdba" for offset in (1, 2)]


def test_one_that_reads_nothing_in_several_channels_turns_live_once() -> None:
    node = Apart("a", "b")
    reader = node.join(dict.fromkeys(("a", "b"), Position("a", 2)))
    reader.advance()
    assert not node.reads
    assert node.live == [reader.subscriber]


def test_sixteen_channels_are_read_at_a_time() -> None:
    names = [f"c{number}" for number in range(20)]
    node = Apart(*names)
    node.join(earliest(*names)).advance()
    assert len(node.reads) == 16


def test_a_part_that_has_caught_up_leaves_its_feed() -> None:
    node = Apart("a", "b")
    reader = node.join(earliest("a", "b"))
    reader.advance()
    assert [len(feed) for feed in node.feeds.values()] == [1, 1]
    node.answer("a")
    assert [len(feed) for feed in node.feeds.values()] == [0, 1]
    assert reader.parts == ["b"]
    assert reader.subscriber.catching_up == {"b"}


def test_one_begins_with_the_log_of_a_channel_when_its_feed_has_a_position() -> None:
    node = Apart("a")
    node.feeds["b"] = unopened = node._feed("b")
    node.logs["b"] = ModelLog("b")
    node.logs["b"].publish()
    reader = node.join({"a": None, "b": None})
    reader.advance()
    assert node.reads == ["a"]
    assert reader.subscriber.todo == {"b": None}
    node.answer("a")
    assert not node.live
    unopened.opened(Position("a", 1))
    node.apart.opened(unopened)
    assert node.reads == ["b"]
    node.answer("b")
    assert node.live == [reader.subscriber]
    assert reader.got == ["a a-1", "a a-2", "b a-1"]


def test_a_feed_that_opens_concerns_those_that_will_begin_there() -> None:
    node = Apart("a", "b")
    reader, other = node.join(earliest("a")), node.join(earliest("b"))
    node.apart.opened(node.feeds["b"])
    assert reader.subscriber.todo == earliest("a")
    assert other.subscriber.todo == {}
    assert node.reads == ["b"]


def test_one_gets_a_part_before_a_channel_delivers_and_the_event_once() -> None:
    node = Apart("a", "b")
    reader = node.join(earliest("b"))
    reader.advance()
    node.publish("a", 2)
    assert reader.parts == ["a", "b"]
    node.desk.flush()
    assert reader.got == ["a a-3", "a a-4"]
    node.publish("b")
    node.answer("b")
    assert node.live == [reader.subscriber]
    assert reader.got == ["a a-3", "a a-4", "b a-1", "b a-2", "b a-3"]


def test_each_one_gets_a_part_whatever_the_others_have() -> None:
    node = Apart("a")
    first, second, third = node.join(), node.join(earliest("a"), full=True), node.join()
    node.publish("a")
    late = node.join()
    node.publish("a")
    assert [each.parts for each in (first, second, third, late)] == [["a"], [], ["a"], ["a"]]


def test_one_gets_no_part_where_it_will_begin_in_the_past() -> None:
    node = Apart("a")
    reader = node.join(earliest("a"), full=True)
    node.publish("a")
    assert reader.parts == []
    reader.drain()
    node.answer("a")
    assert reader.got == ["a a-1", "a a-2", "a a-3"]


def test_what_its_parts_are_owed_is_written_before_one_turns_live() -> None:
    node = Apart("a", "b")
    reader = node.join(earliest("b"))
    reader.advance()
    node.publish("a")
    assert reader.got == []
    node.answer("b")
    assert node.live == [reader.subscriber]
    assert reader.got == ["b a-1", "b a-2", "a a-3"]
    assert reader.parts == []
    assert not node.feeds["a"]
    node.desk.flush()
    assert len(reader.got) == 3, "the event is not written again"


def test_one_whose_write_fails_does_not_turn_live() -> None:
    class Broken(Wire):
        def write(self, data: bytes) -> None:
            raise ZeroDivisionError

    node = Apart("a", "b")
    reader = node.join(earliest("b"), full=True)
    part_failed: list[object] = []
    node.desk.serving_failed = lambda subscriber, error: part_failed.append(subscriber)  # type: ignore[method-assign]
    reader.wire.full = False
    node.publish("a")
    reader.subscriber.todo.clear()
    node.feeds["a"].live.remove(part := reader.subscriber.parts["a"], part.encoding)
    node.feeds["a"].live.add(part, part.encoding, Broken().write)
    node.feeds["a"].live.push(node.logs["a"].publish())
    reader.advance()
    assert part_failed == [part]
    assert not node.live
    assert reader.subscriber in node.apart.subscribers


def test_one_that_leaves_takes_its_parts_with_it() -> None:
    node = Apart("a", "b")
    reader, other = node.join(earliest("a")), node.join(earliest("a"))
    reader.advance()
    other.advance()
    node.publish("b")
    node.apart.discard(reader.subscriber)
    assert list(node.apart.subscribers) == [other.subscriber]
    assert reader.parts == []
    assert [len(feed) for feed in node.feeds.values()] == [1, 1]
    node.apart.discard(reader.subscriber)
    node.answer("a")
    node.answer("a")
    assert reader.got == []
    assert node.live == [other.subscriber]


def test_one_that_is_gone_begins_nowhere() -> None:
    node = Apart("a")
    reader = node.join(earliest("a"))
    reader.subscriber.state = SubscriberState.GONE
    reader.advance()
    assert not node.reads
    assert not reader.subscriber.busy


def test_a_feed_is_needed_where_a_part_is_or_will_be() -> None:
    node = Apart("a", "b", "c")
    feeds = node.feeds
    assert not node.apart.needs(feeds["a"])
    reader = node.join(earliest("a"), full=True)
    node.publish("b")
    assert [node.apart.needs(feed) for feed in feeds.values()] == [True, True, False]
    reader.drain()
    assert node.apart.needs(feeds["a"])
    node.answer("a")
    assert not any(map(node.apart.needs, feeds.values()))
