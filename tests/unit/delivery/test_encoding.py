"""encoding.py: bytes on the wire, read back by others' parsers."""

import codecs
import re
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from eventhub.delivery.encoding import (
    BINARY,
    CLOSE,
    EVENT_STREAM,
    LINES,
    PING,
    PONG,
    TEXT,
    WEBSOCKET,
    event_id,
    event_json,
    frame,
    gap_fields,
    sse_event,
    sse_message,
)
from eventhub.events.event import OFFSET_END, Event, Gap, Position, format_time

thorough = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NOW = 1_795_377_960_123
EVENT = Event("chat.lobby", "k3x9", 43, 42, NOW, b'{"sender":"ana","text":"oi"}')
SHOWN = {
    "type": "event",
    "channel": "chat.lobby",
    "id": "k3x9-43",
    "time": "2026-11-22T20:06:00.123Z",
    "data": {"sender": "ana", "text": "oi"},
}

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=10,
)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
events = st.builds(
    lambda channel, epoch, offset, data, attributes: Event(
        channel, epoch, offset, offset - 1, NOW, orjson.dumps(data), attributes or None
    ),
    st.lists(st.text("AZaz09_-", min_size=1, max_size=9), min_size=1, max_size=4).map(".".join),
    st.text("az09", min_size=1, max_size=16),
    st.integers(1, OFFSET_END - 1),
    values,
    st.none()
    | st.dictionaries(st.sampled_from(["by", "source", "subject", "type", "traceparent"]), texts),
)


def expected(event: Event) -> dict[str, Any]:
    """The event object of PROTOCOL.md, built the obvious way."""
    shown = {
        "type": "event",
        "channel": event.channel,
        "id": str(event.position),
        "time": format_time(event.time),
        "data": orjson.loads(event.data),
    }
    attributes = dict(event.attributes or {})
    if "by" in attributes:
        shown["by"] = attributes.pop("by")
    return {**shown, "attributes": attributes} if attributes else shown


def test_an_author_is_a_field_of_its_own() -> None:
    by_ana = EVENT._replace(attributes={"by": 'a"na'})
    assert orjson.loads(event_json(by_ana)) == {**SHOWN, "by": 'a"na'}
    assert event_id(event_json(by_ana)) == "k3x9-43"
    with_source = EVENT._replace(attributes={"source": "s", "by": "ana"})
    shown = {**SHOWN, "by": "ana", "attributes": {"source": "s"}}
    assert orjson.loads(event_json(with_source)) == shown


T = TypeVar("T")


def run(steps: Generator[None, None, T]) -> T:
    """What a parser of the websockets library gives when all its bytes are there."""
    try:
        next(steps)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("the parser waits for more")


def frames_in(data: bytes) -> list[Frame]:
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    found = []
    while not run(reader.at_eof()):
        found.append(run(Frame.parse(reader.read_exact, mask=False)))
    return found


@dataclass
class EventSource:
    """The parser of WHATWG HTML, 9.2.6, step by step."""

    retry: int | None = None
    last_event_id: str = ""
    dispatched: list[tuple[str, str, str]] = field(default_factory=list)
    """Type, data and last event id of each event."""

    def feed(self, stream: bytes) -> "EventSource":
        data, kind = "", ""
        text = codecs.decode(stream, "utf-8", "replace").removeprefix("\ufeff")
        *lines, unfinished = re.split("\r\n|\n|\r", text)
        assert unfinished == "", "a block without its end is discarded"
        buffered_id = self.last_event_id
        for line in lines:
            if line == "":
                self.last_event_id = buffered_id
                if data:
                    self.dispatched.append(
                        (kind or "message", data.removesuffix("\n"), self.last_event_id)
                    )
                data, kind = "", ""
                continue
            name, colon, value = line.partition(":")
            if colon and not name:
                continue  # a comment
            value = value.removeprefix(" ")
            match name:
                case "event":
                    kind = value
                case "data":
                    data += value + "\n"
                case "id" if "\x00" not in value:
                    buffered_id = value
                case "retry" if re.fullmatch("[0-9]+", value, re.ASCII):
                    self.retry = int(value)
                case _:
                    raise AssertionError(f"the field {name!r} would be ignored")
        return self


# Frames


@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
@pytest.mark.parametrize("length", [0, 1, 125])
def test_a_short_frame_is_read_back_by_websockets(length: int, opcode: int) -> None:
    payload = b"x" * length
    assert frames_in(frame(payload, opcode)) == [Frame(Opcode(opcode), payload)]


@pytest.mark.parametrize(
    ("length", "header"), [(0, 2), (125, 2), (126, 4), (65535, 4), (65536, 10), (70_000, 10)]
)
def test_a_frame_has_the_shortest_header_for_its_length(length: int, header: int) -> None:
    payload = b"x" * length
    data = frame(payload)
    assert len(data) == header + length
    assert frames_in(data) == [Frame(Opcode.TEXT, payload)]
    assert data == Frame(Opcode.TEXT, payload).serialize(mask=False)


@thorough
@given(st.lists(st.binary(max_size=300), max_size=5))
def test_frames_in_a_row_are_read_back_one_by_one(payloads: list[bytes]) -> None:
    data = b"".join(frame(payload, BINARY) for payload in payloads)
    assert [bytes(found.data) for found in frames_in(data)] == payloads


# Events


def test_an_event_is_the_object_of_the_protocol() -> None:
    assert orjson.loads(event_json(EVENT)) == SHOWN
    assert event_json(EVENT) == orjson.dumps(SHOWN), "compact, and in the order the protocol shows"


def test_attributes_follow_the_data_where_there_are_any() -> None:
    assert event_json(EVENT._replace(attributes={"subject": 'a"\n'})) == orjson.dumps(
        {**SHOWN, "attributes": {"subject": 'a"\n'}}
    )
    assert event_json(EVENT._replace(attributes={})) == orjson.dumps(SHOWN)


@thorough
@given(events)
def test_any_event_is_one_line_of_json_that_says_the_same(event: Event) -> None:
    line = event_json(event)
    assert orjson.loads(line) == expected(event)
    assert len(line.splitlines()) == 1


@thorough
@given(events)
def test_the_id_is_found_in_the_line(event: Event) -> None:
    assert event_id(event_json(event)) == str(event.position)


def test_a_gap_shows_where_it_lies_and_what_was_skipped() -> None:
    after, before, position = Position("k3x9", 12), Position("k3x9", 30), Position("k3x9", 29)
    shown = {"after": "k3x9-12", "before": "k3x9-30", "position": "k3x9-29", "reason": "expired"}
    assert gap_fields(Gap(after, before, position, "expired")) == shown
    assert gap_fields(Gap(None, before, position, "expired")) == {**shown, "after": None}
    assert gap_fields(Gap(after, before, position, "slow", 17)) == {
        **shown,
        "reason": "slow",
        "skipped": 17,
    }
    assert gap_fields(Gap(after, before, position, "conflated", 0)) == {
        **shown,
        "reason": "conflated",
        "skipped": 0,
    }


def test_a_gap_after_the_very_beginning_names_that_position() -> None:
    assert (
        gap_fields(Gap(Position("k3x9", 0), Position("k3x9", 2), Position("k3x9", 1), "expired"))[
            "after"
        ]
        == "k3x9-0"
    )


# WebSocket


@thorough
@given(events)
def test_a_websocket_event_is_one_text_frame(event: Event) -> None:
    assert frames_in(WEBSOCKET.event(event)) == [Frame(Opcode.TEXT, event_json(event))]


def test_a_websocket_message_is_one_text_frame_with_its_type_first() -> None:
    data = WEBSOCKET.message("pong", {"ref": "ü"}, Position("k3x9", 1))
    assert frames_in(data) == [Frame(Opcode.TEXT, '{"type":"pong","ref":"ü"}'.encode())]


# Lines


@thorough
@given(events)
def test_a_line_event_ends_with_the_only_line_break(event: Event) -> None:
    assert LINES.event(event) == event_json(event) + b"\n"


def test_a_line_message_ends_with_the_only_line_break() -> None:
    assert (
        LINES.message("error", {"message": "a\nb\r"}, Position("k3x9", 1))
        == b'{"type":"error","message":"a\\nb\\r"}\n'
    )


# Server-Sent Events


@thorough
@given(st.lists(events, max_size=4))
def test_an_event_source_gets_unnamed_events_with_their_ids(stream: list[Event]) -> None:
    source = EventSource().feed(b"".join(map(EVENT_STREAM.event, stream)))
    assert source.dispatched == [
        ("message", event_json(event).decode(), str(event.position)) for event in stream
    ]


def test_other_messages_are_named_by_their_type_and_move_the_id_to_where_the_reader_stands() -> (
    None
):
    stream = b"".join(
        [
            EVENT_STREAM.message(
                "subscribed", {"channel": "chat.lobby", "position": "k3x9-42"}, Position("k3x9", 42)
            ),
            EVENT_STREAM.event(EVENT),
            EVENT_STREAM.message("gap", {"channel": "chat.lobby"}, Position("k3x9", 49)),
            EVENT_STREAM.message("error", {"code": "internal"}),
        ]
    )
    source = EventSource().feed(stream)
    assert [(kind, last) for kind, _, last in source.dispatched] == [
        ("subscribed", "k3x9-42"),
        ("message", "k3x9-43"),
        ("gap", "k3x9-49"),
        ("error", "k3x9-49"),
    ]
    assert orjson.loads(source.dispatched[0][1]) == {
        "type": "subscribed",
        "channel": "chat.lobby",
        "position": "k3x9-42",
    }
    assert source.retry is None


def test_the_position_before_the_first_event_is_an_id_too() -> None:
    assert (
        EventSource()
        .feed(EVENT_STREAM.message("subscribed", {}, Position("k3x9", 0)))
        .last_event_id
        == "k3x9-0"
    )


@pytest.mark.parametrize(
    ("seconds", "milliseconds"), [(1.834, 1834), (0, 0), (5, 5000), (0.0004, 0), (2.9996, 3000)]
)
def test_a_goodbye_sets_the_retry_time_in_milliseconds_and_leaves_the_id(
    seconds: float, milliseconds: int
) -> None:
    fields = {"code": "shutting_down", "message": "", "reconnect_in": seconds}
    source = EventSource(last_event_id="k3x9-43").feed(EVENT_STREAM.message("goodbye", fields))
    assert source.retry == milliseconds
    assert source.dispatched == [
        ("goodbye", orjson.dumps({"type": "goodbye", **fields}).decode(), "k3x9-43")
    ]


def test_a_block_can_carry_a_cursor_of_several_channels() -> None:
    cursor = "chat.lobby@k3x9-41,logs.api@k3x9-7"
    source = EventSource().feed(
        sse_event(event_json(EVENT), cursor)
        + sse_message({"type": "error"}, cursor)
        + sse_message({"type": "x"}, None)
    )
    assert [last for _, _, last in source.dispatched] == [cursor] * 3


def test_a_message_with_line_breaks_stays_one_block() -> None:
    source = EventSource().feed(
        EVENT_STREAM.message("error", {"message": "a\n\nevent: b\r\rid: c"})
    )
    assert [kind for kind, _, _ in source.dispatched] == ["error"]
    assert source.last_event_id == ""


def test_the_version_of_a_schema_is_a_number_among_the_fields() -> None:
    event = Event("iot.a", "k3x9", 2, 1, 0, b"1", {"by": "ana", "schema": "12", "type": "x"})
    shown = orjson.loads(event_json(event))
    assert (shown["schema"], shown["by"], shown["attributes"]) == (12, "ana", {"type": "x"})
