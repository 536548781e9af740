"""filtering.py in a feed: who gets which event, the positions in between, and what is said of
failures.
"""

import re

import pytest

from eventhub.delivery.encoding import EVENT_STREAM, LINES
from eventhub.delivery.filtering import QUIET_EVENTS, FilteredEncoding
from eventhub.errors import InvalidFilter
from eventhub.events.channel_types import SlowReaderPolicy
from eventhub.events.event import Earliest, Since
from eventhub.filters.registry import Filters
from tests.harness.wire import Wire
from tests.unit.delivery.fanout_audience import Audience, Reader
from tests.unit.delivery.feed_node import Node as PlainNode
from tests.unit.delivery.feed_node import Reader as FeedReader
from tests.unit.delivery.feed_node import at, gap

ODD = "data % 2 == 1"


class Node(PlainNode):
    """A feed whose readers may have filters."""

    def __init__(self, slow: SlowReaderPolicy = SlowReaderPolicy.DROP) -> None:
        super().__init__(slow)
        self.filters = Filters()

    def reader(self, where: str, since: Since | None = None) -> FeedReader:
        reader = FeedReader(self, since or at(self.log.tip), Wire(), self.filters.get(where))
        self.feed.join(reader.subscriber)
        self.settle()
        return reader

    def numbers(self, *numbers: int) -> None:
        for number in numbers:
            self.publish(data=b"%d" % number)


def test_each_reader_gets_the_events_that_match_its_filter() -> None:
    node = Node()
    odd, also_odd, large, plain = map(node.reader, (ODD, ODD, "data > 2", "true"))
    for reader in (odd, also_odd, large, plain):
        reader.news()
    node.numbers(1, 2, 3)
    assert odd.news() == also_odd.news() == ["a-1", "a-3"]
    assert large.news() == ["position a-1", "a-3"]
    assert plain.news() == ["a-1", "a-2", "a-3"]
    assert node.counters.delivered == 2 + 2 + 1 + 3


def test_a_filter_is_evaluated_once_for_all_its_live_readers() -> None:
    node = Node()
    readers = [node.reader("[data].all(x, x > 0)") for _ in range(5)]
    node.numbers(1)
    for reader in readers:
        assert reader.news()[-1] == "a-1"
    assert node.filters.get("[data].all(x, x > 0)").steps == 5  # of one loop


def test_history_is_filtered_and_ends_with_a_position() -> None:
    node = Node()
    node.numbers(1, 2, 3, 4, 6)
    reader = node.reader(ODD, Earliest())
    assert reader.news() == ["subscribed a-0, head a-5", "a-1", "a-3", "position a-5"]
    node.numbers(7)
    assert reader.news() == ["a-6"]


def test_history_that_ends_with_a_match_needs_no_position() -> None:
    node = Node()
    node.numbers(2, 3)
    assert node.reader(ODD, Earliest()).news() == ["subscribed a-0, head a-2", "a-2"]


def test_readers_of_one_page_share_what_the_filter_left_of_it() -> None:
    node = Node()
    node.numbers(1, 2)
    text = "[data].all(x, x > 1)"
    readers = [FeedReader(node, Earliest(), Wire(), node.filters.get(text)) for _ in range(3)]
    for reader in readers:
        node.feed.join(reader.subscriber)
    page = node.log.read(Earliest())
    for read in node.desk.reads:
        read.piece = page
        read.answer()
    assert [reader.news()[1:] for reader in readers] == [["a-2"]] * 3
    assert node.filters.get(text).steps == 2 * 5


def test_positions_of_a_quiet_reader_have_a_bounded_rate() -> None:
    node = Node()
    reader = node.reader(ODD)
    reader.news()
    node.numbers(*[2] * (2 * QUIET_EVENTS + 1))
    told = reader.news()
    assert told == [
        f"position a-{offset}" for offset in (1, QUIET_EVENTS + 1, 2 * QUIET_EVENTS + 1)
    ]


@pytest.mark.parametrize("live", [True, False])
def test_a_failure_is_told_once_to_each_subscriber(live: bool) -> None:  # noqa: FBT001
    node = Node()
    if not live:
        node.numbers(1, 2)
    reader = node.reader("data.x == 1", at(0))
    if live:
        node.numbers(1, 2)
    told = reader.news()
    node.numbers(3)
    failed = "filter_failed a-1: an int has no 'x' (column 6)"
    assert [line for line in told + reader.news() if "failed" in line] == [failed]
    later = node.reader("data.x == 1")
    node.numbers(4)
    assert [line for line in later.news() if "failed" in line] == [
        "filter_failed a-4: an int has no 'x' (column 6)"
    ]
    assert "failed" not in "".join(reader.news())
    assert node.counters.filter_failures == 4


def test_failures_on_events_before_a_subscription_are_not_told_to_it() -> None:
    audience, first, later = Audience(), Reader(), Reader()
    filter_ = Filters().get("data.x == 1")
    audience.fanout.add(first, FilteredEncoding(LINES, filter_), first.write)
    audience.push()
    audience.fanout.add(later, FilteredEncoding(LINES, filter_), later.write)
    audience.push()
    audience.finish()
    assert failures(first) == [b"e-1"]
    assert failures(later) == [b"e-2"]


def test_a_reader_that_comes_back_at_once_is_told_of_its_first_failure() -> None:
    audience, reader, other = Audience(), Reader(), Reader()
    filter_ = Filters().get("data.x == 1")
    audience.fanout.add("first", FilteredEncoding(LINES, filter_), reader.write)
    audience.push()
    audience.fanout.add("other", FilteredEncoding(LINES, filter_), other.write)
    audience.fanout.remove("first", FilteredEncoding(LINES, filter_))
    audience.fanout.add("again", FilteredEncoding(LINES, filter_), reader.write)
    audience.push()
    audience.finish()
    assert failures(reader) == failures(other) == [b"e-2"]


def failures(reader: Reader) -> list[bytes]:
    """The ids of the events on which a filter failed, as this reader was told."""
    return re.findall(rb'"filter_failed".*?"id":"(.*?)"', b"".join(reader.writes))


def test_events_of_a_slow_reader_that_do_not_match_do_not_end_it() -> None:
    node = Node(SlowReaderPolicy.DISCONNECT)
    reader = node.reader(ODD)
    plain = node.join()
    node.numbers(1)
    reader.news()
    reader.congest()
    plain.news()
    node.numbers(2)
    reader.drain()
    assert reader.news() == ["position a-2"]
    node.numbers(3)
    assert reader.news() == ["a-3"]
    reader.congest()
    node.numbers(5)
    assert [type(error).__name__ for error in reader.wire.errors] == ["SlowConsumer"]


@pytest.mark.parametrize("slow", [SlowReaderPolicy.DISCONNECT, SlowReaderPolicy.LATEST])
def test_a_failure_while_a_reader_is_slow_is_told_when_it_has_room(slow: SlowReaderPolicy) -> None:
    node = Node(slow)
    reader = node.reader("data.x == 1")
    reader.news()
    reader.congest()
    node.numbers(1)
    assert reader.news() == []
    reader.drain()
    assert "filter_failed a-1: an int has no 'x' (column 6)" in reader.news()
    node.numbers(2)
    assert "failed" not in "".join(reader.news())


def test_a_slow_reader_gets_the_newest_events_of_each_key_that_match() -> None:
    node = Node(SlowReaderPolicy.LATEST)
    reader = node.reader("data > 10")
    node.numbers(11)
    reader.news()
    reader.congest()
    for number, subject in ((12, "x"), (13, "x"), (14, "y"), (5, "y"), (15, "z")):
        node.publish(data=b"%d" % number, subject=subject)
    reader.drain()
    assert reader.news() == [gap("a-1", "a-7", "a-1", "conflated 3"), "a-3", "a-6"]


def test_a_filter_that_takes_too_long_ends_its_readers_and_no_others() -> None:
    node = Node()
    items = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"
    dear = node.reader(f"{items}.all(x, {items}.all(y, {items}.all(z, x + y + z < data)))")
    plain = node.reader("data > 30")
    plain.news()
    node.numbers(*[40] * 20)
    assert len(plain.news()) == 20
    assert len(dear.news()) < 20
    assert [type(error) for error in dear.wire.errors] == [InvalidFilter]
    assert len(node.feed) == 1


def test_events_are_selected_in_parts_and_the_queue_stays_bounded() -> None:
    audience, reader = Audience(), Reader()
    encoding = FilteredEncoding(LINES, Filters().get(ODD))
    audience.fanout.add(reader, encoding, reader.write)
    audience.push(130)
    works = []
    while work := audience.fanout.advance(1000):
        works.append(work)
    assert reader.told() == list(range(1, 131, 2))
    assert len(reader.writes) == 3
    assert audience.selected == [(32, 0, 1), (32, 0, 1), (1, 0, 1)]
    assert audience.fanout.has_room
    assert works[0] > 32


def filtered(audience: Audience, where: str) -> Reader:
    reader = Reader()
    encoding = FilteredEncoding(LINES, Filters().get(where))
    audience.fanout.add(reader, encoding, reader.write)
    return reader


def test_events_that_wait_for_a_filter_take_room_until_they_are_written() -> None:
    audience = Audience()
    filtered(audience, ODD)
    audience.push(130)
    later = filtered(audience, ODD)  # so what was pushed is queued
    size = sum(len(str(number)) for number in range(1, 131))
    assert audience.fanout._queued_bytes == size
    audience.finish()
    assert audience.fanout._queued_bytes == 0
    assert later.writes == []
    assert [readers for _, _, readers in audience.selected] == [1, 1, 1], "the later one got none"


@pytest.mark.parametrize("plain_first", [True, False])
def test_an_event_is_complete_once_every_filter_has_written_it(plain_first: bool) -> None:  # noqa: FBT001
    audience = Audience(int(plain_first))
    for where in (ODD, "data > 1"):
        filtered(audience, where)
    if not plain_first:
        audience.add()
    audience.push(2)
    audience.finish()
    assert [event.offset for event in audience.fanout.written] == [1, 2]


def test_a_reader_that_is_settled_gets_what_its_filter_has_yet_to_select() -> None:
    audience, reader = Audience(), Reader()
    encoding = FilteredEncoding(LINES, Filters().get(ODD))
    audience.fanout.add(reader, encoding, reader.write)
    audience.push(3)
    audience.fanout.settle(reader, encoding)
    assert reader.told() == [1, 3]
    audience.fanout.remove(reader, encoding)
    audience.finish()
    assert reader.told() == [1, 3]


def test_a_failure_is_told_before_the_events_that_follow_it() -> None:
    audience = Audience()
    reader = filtered(audience, "data == 2 || data.x == 1")
    audience.push(2)
    audience.finish()
    assert failures(reader) == [b"e-1"]
    assert [b"filter_failed" in write for write in reader.writes] == [True, False]
    assert b'"data":2' in reader.writes[1]


def test_readers_share_what_is_written_if_both_filter_and_encoding_are_the_same() -> None:
    odd, even = Filters().get(ODD), Filters().get("data % 2 == 0")
    one = FilteredEncoding(LINES, odd)
    assert one == FilteredEncoding(LINES, odd)
    assert hash(one) == hash(FilteredEncoding(LINES, odd))
    for other in (FilteredEncoding(EVENT_STREAM, odd), FilteredEncoding(LINES, even), LINES):
        assert one != other
