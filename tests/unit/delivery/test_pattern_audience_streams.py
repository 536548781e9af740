"""delivery/pattern_audience.py: streams of a pattern, whose messages carry a cursor."""

from eventhub.delivery.cursor_encoding import CURSOR_LINES, CursorForm
from eventhub.delivery.pattern_cursor import PatternCursor, RecordName
from eventhub.delivery.shared_cursors import RENEW_SECONDS, CursorWriter
from eventhub.events.event import Earliest
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
