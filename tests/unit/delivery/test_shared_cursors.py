"""delivery/shared_cursors.py: what the streams of an audience share, and when they do."""

from typing import Any

from eventhub.delivery.counters import DeliveryCounters
from eventhub.delivery.cursor_encoding import CURSOR_BLOCKS, CURSOR_LINES, CursorForm
from eventhub.delivery.encoding import LINES, WEBSOCKET, Encoding
from eventhub.delivery.fanout import Fanout
from eventhub.delivery.filtering import Selected
from eventhub.delivery.pattern_cursor import PatternCursor, RecordName
from eventhub.delivery.shared_cursors import (
    RENEW_SECONDS,
    CursorWriter,
    SharedCursors,
    positions_fields,
)
from eventhub.events.event import Event

PATTERN = "logs.>"


class Records:
    def __init__(self) -> None:
        self.names: list[RecordName] = []
        self.journals = 0

    def new(self) -> str:
        self.journals += 1
        return f"{self.journals:012x}"

    def add(self, name: RecordName, record: bytes) -> None:
        self.names.append(name)


class Stream(CursorWriter):
    """A stream that notes what it gets with cursors."""

    encoding: Encoding = LINES
    full = False

    def __init__(self, records: Records, form: CursorForm = CURSOR_LINES) -> None:
        self.form = form
        self.cursor = PatternCursor(PATTERN, records, "-20")
        self.got: list[bytes] = []

    def write_placed(self, data: bytes) -> None:
        self.got.append(data)

    def write(self, data: bytes) -> None:
        raise AssertionError(data)


class Socket:
    encoding: Encoding = WEBSOCKET

    def __init__(self) -> None:
        self.got: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.got.append(data)


class Audience:
    """A fan-out, and the positions up to which it has been filled."""

    def __init__(self, channels: int = 0) -> None:
        self.records = Records()
        self.live = Fanout(DeliveryCounters(), self)
        self.positions = {f"logs.old.{number}": "k-1" for number in range(channels)}
        self.cursors = SharedCursors(self.live, lambda: list(self.positions.items()))

    def serving_failed(self, key: Any, error: Exception) -> None:
        raise error

    def filtered(self, found: Selected, readers: int) -> None: ...

    def replacement_for(self, encoding: Encoding, event: Event, error: Exception) -> bytes:
        fields = {"channel": event.channel, "position": str(event.position)}
        return encoding.message("gap", fields, event.position)

    def join(self, writer: Any) -> bool:
        changed = self.cursors.place(writer)
        self.live.add(writer, *self.cursors.outlet(writer))
        return changed

    def leave(self, writer: Any) -> None:
        self.live.remove(writer, self.cursors.encoding(writer))

    def push(self, channel: str, offset: int) -> None:
        self.positions[channel] = f"k-{offset}"
        if self.live:
            self.live.push(Event(channel, "k", offset, offset - 1, 0, b"{}", None))

    def flush(self) -> None:
        while self.live.due:
            self.live.advance(1000)


def cursor_of(line: bytes) -> str:
    return line.rpartition(b'"cursor":"')[2].partition(b'"')[0].decode()


def test_live_streams_get_the_same_bytes_with_the_cursor_of_all_channels() -> None:
    audience = Audience(2)
    streams = [Stream(audience.records), Stream(audience.records)]
    assert all(map(audience.join, streams))
    audience.push("logs.new", 7)
    audience.flush()
    assert streams[0].got == streams[1].got
    assert streams[0].got[0] is streams[1].got[0]
    assert cursor_of(streams[0].got[0]) == "*,logs.old.0@k-1,logs.old.1@k-1,logs.new@k-7"


def test_a_stream_that_joins_stands_behind_what_was_not_yet_written() -> None:
    audience = Audience()
    first, second = Stream(audience.records), Stream(audience.records)
    audience.join(first)
    audience.push("logs.a", 1)
    audience.join(second)
    assert str(second.cursor) == "*,logs.a@k-1"
    audience.push("logs.a", 2)
    audience.flush()
    assert len(b"".join(second.got).splitlines()) == 1
    assert len(b"".join(first.got).splitlines()) == 2


def test_what_passed_while_no_stream_was_live_is_in_the_next_cursor() -> None:
    audience = Audience()
    first, second = Stream(audience.records), Stream(audience.records)
    audience.join(first)
    audience.push("logs.a", 1)
    audience.flush()
    audience.leave(first)
    audience.push("logs.a", 2)
    audience.join(second)
    assert str(second.cursor) == "*,logs.a@k-2"


def test_to_join_where_one_stands_already_changes_nothing() -> None:
    audience = Audience(3)
    stream = Stream(audience.records)
    assert audience.join(stream)
    assert not audience.join(stream)


def test_each_form_has_its_cursor_and_other_connections_have_none() -> None:
    audience = Audience()
    lines, blocks, socket = (
        Stream(audience.records),
        Stream(audience.records, CURSOR_BLOCKS),
        Socket(),
    )
    assert audience.join(lines)
    assert audience.join(blocks)
    assert not audience.join(socket)
    audience.push("logs.a", 1)
    audience.flush()
    assert b'"cursor":"*,logs.a@k-1"' in lines.got[0]
    assert b"\nid: *,logs.a@k-1\n" in blocks.got[0]
    assert b"*" not in socket.got[0]


def test_a_thousand_streams_of_many_channels_share_the_records() -> None:
    audience = Audience(1000)
    for _ in range(100):
        audience.join(Stream(audience.records))
    before = len(audience.records.names)
    assert before <= 2, "the complete record, in parts"
    for number in range(1000):
        audience.push(f"logs.old.{number}", 2)
        audience.flush()
    assert len(audience.records.names) - before < 1000 / 20


def test_an_event_that_cannot_be_encoded_spoils_no_cursor_of_the_others() -> None:
    """The events before it are not encoded again: their cursors would claim what follows them."""
    audience = Audience()
    stream = Stream(audience.records)
    audience.join(stream)
    audience.push("logs.a", 1)
    audience.live.push(Event("logs.b", "k", 1, 0, 0, b"{}", {"source": "\ud800"}))
    audience.push("logs.c", 1)
    audience.flush()
    assert [cursor_of(line) for line in b"".join(stream.got).splitlines()] == [
        "*,logs.a@k-1",
        "*,logs.a@k-1,logs.b@k-1",
        "*,logs.a@k-1,logs.b@k-1,logs.c@k-1",
    ]


def renewed(audience: Audience, now: float) -> bool:
    found = audience.cursors.renew(now)
    audience.flush()
    return found


def test_a_cursor_with_a_journal_is_renewed_before_it_expires() -> None:
    audience = Audience(100)
    stream, socket = Stream(audience.records), Socket()
    audience.join(stream)
    audience.join(socket)
    audience.push("logs.a", 1)
    old = str(stream.cursor)
    assert not renewed(audience, 1000.0)
    assert not renewed(audience, 1000.0 + RENEW_SECONDS - 1)
    assert renewed(audience, 1000.0 + RENEW_SECONDS)
    assert not renewed(audience, 1001.0 + RENEW_SECONDS)
    assert renewed(audience, 1000.0 + 2 * RENEW_SECONDS)
    event, *positions = b"".join(stream.got).splitlines()
    assert b'"type":"event"' in event
    assert [line.split(b'"cursor"')[0] for line in positions] == [
        b'{"type":"position","channel":"logs.>",'
    ] * 2
    assert len({old.partition(".")[0], *(cursor_of(each)[:13] for each in positions)}) == 3
    assert len(socket.got) == 1, "the event only"


def test_a_cursor_without_a_journal_does_not_expire() -> None:
    audience = Audience(3)
    audience.join(Stream(audience.records))
    assert not renewed(audience, 1000.0)
    assert not renewed(audience, 1000.0 + RENEW_SECONDS)
    assert Audience(100).cursors.renew(10.0**6) is False, "nobody is there"


def test_positions_are_told_in_bounded_parts() -> None:
    found = [(f"logs.{number}", "k-1") for number in range(1001)]
    parts = list(positions_fields(PATTERN, found))
    assert [len(part["positions"]) for part in parts] == [500, 500, 1]
    assert [part["complete"] for part in parts] == [False, False, True]
    assert list(positions_fields(PATTERN, [])) == [
        {"channel": PATTERN, "positions": {}, "complete": True}
    ]
