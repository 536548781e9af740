"""What one subscriber is written, and what of it is counted and reported."""

from collections import Counter

import orjson

from eventhub.delivery.counters import DeliveryCounters
from eventhub.delivery.encoding import EVENT_STREAM, LINES, Encoding, LineEncoding
from eventhub.delivery.subscriber import Subscriber
from eventhub.delivery.unicast import Unicast
from eventhub.events.channel_types import SlowReaderPolicy
from eventhub.events.event import Event, Gap, HistoryPage, Latest, Position
from tests.harness.builders import FeedDesk, channel_type
from tests.harness.wire import Wire

CHANNEL = "chat.lobby"


class Desk(FeedDesk):
    """FeedOwner that notes events which cannot be encoded."""

    def __init__(self) -> None:
        super().__init__()
        self.unencodable: list[tuple[int, str]] = []

    def unwritable(self, event: Event, error: Exception) -> None:
        self.unencodable.append((event.offset, str(error)))


class Sink:
    """One subscriber, and what it is written through."""

    def __init__(self, encoding: Encoding = LINES) -> None:
        self.desk = Desk()
        self.counters = DeliveryCounters()
        self.unicast = Unicast(
            CHANNEL, channel_type(SlowReaderPolicy.DROP), self.counters, self.desk
        )
        self.wire = Wire(encoding)
        self.subscriber = Subscriber(CHANNEL, Latest(), self.wire, lambda _, __: None)


def event(offset: int) -> Event:
    return Event(CHANNEL, "a", offset, offset - 1, 0, b"%d" % offset)


def page(*offsets: int) -> HistoryPage:
    return HistoryPage(Position("a", 0), [event(offset) for offset in offsets], Position("a", 9))


def test_events_are_written_in_one_piece_and_counted() -> None:
    sink = Sink()
    sink.unicast.write_events(sink.subscriber, [event(1), event(2)])
    sink.unicast.write_events(sink.subscriber, [event(3)])
    assert [data.count(b"\n") for data in sink.wire.data] == [2, 1]
    assert sink.counters.delivered == 3


def test_nothing_is_written_for_no_events() -> None:
    sink = Sink()
    sink.unicast.write_events(sink.subscriber, [])
    sink.unicast.write_page(sink.subscriber, page())
    assert sink.wire.data == []
    assert sink.counters.delivered == 0


def test_readers_of_a_page_share_its_bytes_and_each_is_counted() -> None:
    first, second = Sink(), Sink()
    shared = page(1, 2)
    for sink in (first, second, second):
        sink.unicast.write_page(sink.subscriber, shared)
    assert first.wire.data[0] is second.wire.data[0]
    assert (first.counters.delivered, second.counters.delivered) == (2, 4)


def test_readers_of_a_page_with_different_encodings_get_bytes_of_their_own() -> None:
    lines, stream = Sink(), Sink(EVENT_STREAM)
    shared = page(1)
    for sink in (lines, stream):
        sink.unicast.write_page(sink.subscriber, shared)
    assert lines.wire.data == [LINES.event(event(1))]
    assert stream.wire.data == [EVENT_STREAM.event(event(1))]


def test_a_gap_is_written_counted_and_reported() -> None:
    sink = Sink()
    slow = Gap(Position("a", 1), Position("a", 5), Position("a", 4), "slow", 3)
    expired = Gap(None, Position("a", 9), Position("a", 8), "expired")
    for gap in (slow, slow, expired):
        sink.unicast.write_gap(sink.subscriber, gap)
    assert orjson.loads(sink.wire.data[0]) == {
        "type": "gap",
        "channel": CHANNEL,
        "after": "a-1",
        "before": "a-5",
        "position": "a-4",
        "reason": "slow",
        "skipped": 3,
    }
    assert sink.counters.gaps == Counter(slow=2, expired=1)
    assert sink.counters.skipped == {SlowReaderPolicy.DROP: 6}
    assert sink.desk.gaps == [(gap, sink.subscriber, 1) for gap in (slow, slow, expired)]
    assert sink.desk.channels == [CHANNEL] * 3


class NoTwo(LineEncoding):
    """An encoding that fails for the second event."""

    def event(self, event: Event) -> bytes:
        if event.offset == 2:
            raise ZeroDivisionError("a fault of ours")
        return super().event(event)


def test_an_event_that_cannot_be_encoded_is_replaced_by_a_gap() -> None:
    sink = Sink(NoTwo())
    for _ in range(2):
        sink.unicast.write_events(sink.subscriber, [event(1), event(2), event(3)])
    types = [orjson.loads(line)["type"] for line in sink.wire.data[0].splitlines()]
    assert types == ["event", "gap", "event"]
    assert orjson.loads(sink.wire.data[0].splitlines()[1]) == {
        "type": "gap",
        "channel": CHANNEL,
        "after": "a-1",
        "before": "a-3",
        "position": "a-2",
        "reason": "unreadable",
    }
    assert sink.counters.gaps == {"unreadable": 2}
    assert sink.desk.unencodable == [(2, "a fault of ours")] * 2
