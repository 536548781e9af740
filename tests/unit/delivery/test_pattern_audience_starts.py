"""delivery/pattern_audience.py: where readers of a pattern begin, and what tells them where."""

import pytest

from eventhub.delivery import shared_cursors as shared_cursors_module
from eventhub.delivery.cursor_encoding import CURSOR_LINES, CursorForm
from eventhub.delivery.encoding import LINES, Encoding
from eventhub.delivery.pattern_cursor import PatternCursor, RecordName
from eventhub.delivery.pattern_subscriber import Begins
from eventhub.delivery.shared_cursors import RENEW_SECONDS, CursorWriter
from eventhub.events.event import LATEST, Earliest, Last, Position
from eventhub.filters.event_filter import EventFilter
from eventhub.filters.fields import RecentFields
from tests.harness.wire import Wire
from tests.unit.delivery.pattern_node import PATTERN, PatternNode


class Records:
    """Journals that keep nothing."""

    def __init__(self) -> None:
        self.journals = 0

    def new(self) -> str:
        self.journals += 1
        return f"{self.journals:012x}"

    def add(self, name: RecordName, record: bytes) -> None: ...


class Stream(Wire, CursorWriter):
    """A stream. Its messages have the cursors that `cursors` lists."""

    form: CursorForm = CURSOR_LINES

    def __init__(self, room: int = 1000) -> None:
        super().__init__(room=room)
        self.records = Records()
        self.cursor = PatternCursor(PATTERN, self.records, "latest")
        self.placed: list[bytes] = []

    def write_placed(self, data: bytes) -> None:
        self.placed.append(data)
        self.full = self.full or len(self.placed) >= self.room

    @property
    def cursors(self) -> list[str]:
        return [
            line.rpartition(b'"cursor":"')[2].partition(b'"')[0].decode()
            for line in b"".join(self.placed).splitlines()
        ]


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


# Streams, which have cursors


def test_a_stream_is_told_its_cursor_when_it_changes_and_no_positions() -> None:
    node = PatternNode("x", past=1)
    stream = Stream()
    reader = node.join(Earliest(), stream)
    node.settle()
    assert reader.news() == ["subscribed to 1", "x a-1", "position >"]
    assert str(stream.cursor) == "*,type.x@a-1"
    reader.congest()
    reader.drain()
    assert reader.news() == [], "it stands where it stood"


def test_a_stream_of_what_comes_next_has_its_cursor_before_it_begins() -> None:
    node = PatternNode("x", past=3)
    stream = Stream()
    reader = node.join(wire=stream)
    assert str(stream.cursor) == "*,type.x@a-3"
    assert reader.news() == ["subscribed to 1"], "which has the cursor"


def test_live_streams_share_cursors_and_get_placed_writes() -> None:
    node = PatternNode("x", "y")
    streams = [Stream(), Stream()]
    for stream in streams:
        node.join(wire=stream)
    node.publish("y")
    node.publish("x")
    node.desk.flush()
    for stream in streams:
        assert stream.cursors == [
            "*,type.x@a-0,type.y@a-1",
            "*,type.x@a-1,type.y@a-1",
        ]


def test_a_gap_moves_the_cursor_that_live_streams_share() -> None:
    node = PatternNode("x")
    stream = Stream()
    node.join(wire=stream)
    node.logs["x"].keep = 0
    node.logs["x"].publish()
    node.feed("x").gap()
    node.settle()
    node.desk.flush()
    assert stream.cursors == ["*,type.x@a-1"]


def test_streams_with_a_filter_have_a_cursor_of_their_own() -> None:
    node = PatternNode("x")
    filter_ = EventFilter("data.value > 1", RecentFields())
    plain, filtered = Stream(), Stream()
    node.join(wire=plain)
    reader = node.join(wire=filtered, filter_=filter_)
    assert str(filtered.cursor) == "*,type.x@a-0"
    node.publish("x", data=b'{"value":2}')
    node.desk.flush()
    node.publish("x", data=b'{"value":1}')
    node.desk.flush()
    assert plain.cursors[-1] == "*,type.x@a-2"
    assert filtered.cursors == ["*,type.x@a-1"]
    reader.congest()
    assert str(filtered.cursor) == "*,type.x@a-1", "the event that was left out may come again"
    reader.drain()
    assert reader.is_live


def test_a_stream_that_fills_keeps_its_own_cursor_from_there_on() -> None:
    node = PatternNode("x")
    stream = Stream()
    reader = node.join(wire=stream)
    node.publish("x")
    reader.congest()
    assert stream.cursors == ["*,type.x@a-1"]
    assert str(stream.cursor) == "*,type.x@a-1"
    node.publish("x")
    assert str(stream.cursor) == "*,type.x@a-1"


def test_a_stream_that_leaves_is_taken_out_of_the_live_ones() -> None:
    node = PatternNode("x")
    stream = Stream()
    reader = node.join(wire=stream)
    assert reader.is_live
    node.audience.leave(reader.subscriber)
    assert not node.audience.live
    node.publish("x")
    node.desk.flush()
    assert stream.cursors == []


def test_cursors_that_would_expire_are_renewed_and_the_hub_is_told() -> None:
    node = PatternNode(*(f"channel{number}" for number in range(100)))
    stream = Stream()
    node.join(wire=stream)
    node.publish("channel1")
    node.desk.flush()
    woken = node.desk.audience_woken
    node.audience.renew_cursors(1000.0)
    assert node.desk.audience_woken == woken
    node.audience.renew_cursors(1000.0 + RENEW_SECONDS)
    assert node.desk.audience_woken == woken + 1
    node.audience.renew_cursors(1000.0 + 2 * RENEW_SECONDS)
    assert node.desk.audience_woken == woken + 1, "it knows already"
    node.desk.flush()
    assert len(set(stream.cursors)) == 3


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
