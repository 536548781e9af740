"""delivery/pattern_audience.py: where readers of a pattern begin, and what tells them where."""

import pytest

from eventhub.delivery import shared_cursors as shared_cursors_module
from eventhub.delivery.encoding import LINES, Encoding
from eventhub.delivery.pattern_subscriber import Begins
from eventhub.events.event import LATEST, Earliest, Last, Position
from eventhub.filters.event_filter import EventFilter
from eventhub.filters.fields import RecentFields
from tests.harness.wire import Wire
from tests.unit.delivery.pattern_node import PatternNode


def at(offset: int) -> Position:
    return Position("a", offset)


def test_latest_begins_behind_what_was_delivered() -> None:
    node = PatternNode("x", "y", past=2)
    reader = node.join(LATEST)
    assert node.reads == []
    assert reader.news() == ["subscribed to 2", "positions x=a-2 y=a-2"]
    assert reader.is_live


def test_earliest_begins_in_every_channel_and_positions_are_told_behind_the_events() -> None:
    node = PatternNode("x", "y", past=1)
    reader = node.join(Earliest())
    node.settle()
    assert reader.news() == ["subscribed to 2", "y a-1", "x a-1", "positions x=a-1 y=a-1"]
    assert reader.is_live


def test_last_begins_so_many_events_ago_in_every_channel() -> None:
    node = PatternNode("x", "y", past=3)
    reader = node.join(Last(1))
    node.settle()
    assert reader.news() == ["subscribed to 2", "y a-3", "x a-3", "positions x=a-3 y=a-3"]


def test_a_channel_that_a_resuming_reader_does_not_name_begins_with_its_log() -> None:
    node = PatternNode("x", "y", past=2)
    reader = node.join({"type.x": at(1)})
    node.settle()
    assert reader.news() == ["subscribed to 2", "y a-1", "y a-2", "x a-2", "positions y=a-2"]


def test_a_resuming_reader_reads_nothing_where_it_is_complete() -> None:
    node = PatternNode("x", "y", past=2)
    reader = node.join({"type.x": at(2), "type.y": LATEST})
    assert node.reads == []
    assert reader.news() == ["subscribed to 2", "positions"]
    assert reader.is_live


@pytest.mark.parametrize(
    ("otherwise", "news"),
    [
        (LATEST, ["x a-2", "positions y=a-2"]),
        (Last(1), ["y a-2", "x a-2", "positions y=a-2"]),
        (Earliest(), ["y a-1", "y a-2", "x a-2", "positions y=a-2"]),
    ],
)
def test_channels_that_are_not_named_may_begin_elsewhere(
    otherwise: Earliest, news: list[str]
) -> None:
    node = PatternNode("x", "y", past=2)
    reader = node.join(Begins({"type.x": at(1)}, otherwise))
    node.settle()
    assert reader.news() == ["subscribed to 2", *news]


def test_positions_are_told_at_once_to_one_that_is_complete() -> None:
    node = PatternNode("x")
    reader = node.join(wire=Wire(room=1))
    assert reader.unflushed() == ["subscribed to 1", "positions x=a-0"]


def test_positions_are_told_once() -> None:
    node = PatternNode("x")
    reader = node.live()
    reader.congest()
    reader.drain()
    assert reader.is_live
    assert reader.news() == []


def test_many_positions_are_told_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_cursors_module, "POSITIONS", 2)
    node = PatternNode("x", "y", "z")
    assert node.join().news() == [
        "subscribed to 3",
        "positions x=a-0 y=a-0 and more",
        "positions z=a-0",
    ]


def test_one_that_cannot_be_told_where_it_stands_is_closed_and_not_live() -> None:
    class Deaf(Wire):
        def write(self, data: bytes) -> None:
            if b"positions" in data:
                raise ZeroDivisionError
            super().write(data)

    node = PatternNode("x", past=1)
    reader = node.join(Earliest(), Deaf())
    node.settle()
    assert [type(each) for each in node.desk.faults] == [ZeroDivisionError]
    assert node.desk.faulty == [reader.subscriber]
    assert not node.audience.subscribers


# Filters, and events that cannot be encoded


def test_matches_and_failures_of_a_filter_are_counted_for_the_type() -> None:
    node = PatternNode("x")
    filter_ = EventFilter("data.value > 1", RecentFields())
    readers = [node.join(filter_=filter_) for _ in range(2)]
    plain = node.live()
    for each in readers:
        each.news()
    for data in (b'{"value":1}', b'{"value":2}', b"{}"):
        node.publish("x", data=data)
    for each in readers:
        assert each.news() == ["filter_failed x", "position x", "x a-2"]
    assert plain.news() == ["x a-1", "x a-2", "x a-3"]
    assert node.counters.delivered == 2 * 1 + 3
    assert node.counters.filter_failures == 1


def test_a_reader_with_a_filter_may_fill_and_go_on() -> None:
    node = PatternNode("x")
    reader = node.join(filter_=EventFilter("data.value > 1", RecentFields()))
    reader.news()
    node.publish("x", data=b'{"value":2}')
    reader.congest()
    assert reader.unflushed() == ["x a-1"]
    node.publish("x", data=b'{"value":3}')
    reader.drain()
    assert reader.is_live
    assert reader.news() == ["x gap a-1 < a-3 slow"]
    node.publish("x", data=b'{"value":4}')
    assert reader.news() == ["x a-3"]


def test_a_gap_stands_for_an_event_that_cannot_be_encoded() -> None:
    class Picky(Wire):
        encoding: Encoding

    class Encoded(type(LINES)):  # type: ignore[misc]
        def event(self, event: object) -> bytes:
            raise ValueError

    node = PatternNode("x")
    node.desk.unwritable = lambda *_: None  # type: ignore[method-assign]
    reader = node.live(Picky(Encoded()))
    node.publish("x")
    assert reader.news() == ["x gap a-0 < a-2 unreadable"]
