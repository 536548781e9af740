"""delivery/cloudevents.py: how events and messages are shown as CloudEvents."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from eventhub.delivery.cloudevent_encodings import CloudEncodings
from eventhub.delivery.cloudevents import CloudEvents
from eventhub.delivery.encoding import event_json
from eventhub.events.cloudevents import of_json
from eventhub.events.event import Event, Position
from eventhub.events.signal import Signal

TIME = 1_790_000_000_123
SHOWN_TIME = "2026-09-21T14:13:20.123Z"
PLACE = {
    "eventhubchannel": "iot.t1",
    "eventhubposition": "k3x9-43",
    "eventhubtime": SHOWN_TIME,
}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def event(attributes: Mapping[str, str] | None = None, data: bytes = b'{"value":1.5}') -> Event:
    return Event("iot.t1", "k3x9", 43, 42, TIME, data, attributes)


def shown(found: Event, base: str = "") -> dict[str, Any]:
    """The CloudEvent, made from the event and from its line, which must be the same."""
    cloudevents = CloudEvents(base, "node")
    text = cloudevents.of_event(found)
    assert json.loads(cloudevents.of_line(event_json(found))) == json.loads(text)
    assert b"\n" not in text
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def test_an_event_that_was_no_cloudevent_gets_all_that_one_has() -> None:
    assert shown(event()) == {
        "specversion": "1.0",
        "id": "k3x9-43",
        "source": "/v1/channels/iot.t1",
        "type": "eventhub.event.iot",
        "time": SHOWN_TIME,
        "datacontenttype": "application/json",
        "sequence": "0000000000000000043",
        **PLACE,
        "data": {"value": 1.5},
    }


@pytest.mark.parametrize("base", ["https://hub.example", "https://hub.example/"])
def test_the_base_begins_the_source(base: str) -> None:
    assert shown(event(), base)["source"] == "https://hub.example/v1/channels/iot.t1"


def test_what_the_producer_said_is_kept() -> None:
    given = {
        "source": "/api",
        "subject": "s",
        "type": "t",
        "id": "7",
        "time": "2020-01-01T00:00:00Z",
    }
    found = shown(event({**given, "traceparent": TRACE}))
    assert {name: found[name] for name in given} == given
    assert found["traceparent"] == TRACE


def test_an_id_is_unique_where_the_producer_gave_a_source_only() -> None:
    """Two channels may use the same position, and the source is not that of the channel."""
    assert shown(event({"source": "/api"}))["id"] == "iot.t1@k3x9-43"


@pytest.mark.parametrize(
    ("source", "reference"),
    [("my app", "my%20app"), ("caf\u00e9", "caf%C3%A9"), ("100%", "100%25"), ("1:2", "1%3A2")],
)
def test_a_source_that_is_no_uri_reference_is_encoded(source: str, reference: str) -> None:
    assert shown(event({"source": source}))["source"] == reference


def test_the_version_of_the_schema_is_a_number_in_events_and_in_lines() -> None:
    versioned = event({"schema": "2"})
    assert shown(versioned)["eventhubschema"] == 2
    line = CloudEvents("", "n1").of_line(event_json(versioned))
    assert json.loads(line)["eventhubschema"] == 2


def test_a_key_is_the_subject() -> None:
    kept = shown(event({"key": "17", "by": "ana"}))
    assert (kept["subject"], kept["eventhubkey"], kept["eventhubby"]) == ("17", "17", "ana")
    deleted = shown(event({"deleted": "17"}, b"null"))
    assert (deleted["subject"], deleted["eventhubdeleted"], deleted["data"]) == ("17", "17", None)
    given = shown(event({"key": "17", "subject": "s"}))
    assert (given["subject"], given["eventhubkey"]) == ("s", "17")


MINIMAL = {"specversion": "1.0", "id": "1", "source": "/a", "type": "t"}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"data": {"value": 1}},
        {"data": "<a/>", "datacontenttype": "text/xml"},
        {"data_base64": "/wA=", "datacontenttype": "image/png"},
        {"data_base64": "/wA="},
        {"subject": "caf\u00e9", "time": "2020-01-01T00:00:00+01:00", "traceparent": TRACE},
        {"dataschema": "https://a.b/c", "n": 5, "b": True, "s": "5", "key": "k", "by": "x"},
        {"sequence": "7", "data": 0},
    ],
)
def test_a_cloudevent_comes_out_as_it_came_in(more: dict[str, Any]) -> None:
    sent = MINIMAL | more
    found = of_json(sent)
    assert shown(event(found.attributes, found.data)) == sent | PLACE


def test_a_message_has_its_fields_as_data_and_an_id_of_its_own() -> None:
    cloudevents = CloudEvents("https://hub.example", "n1")
    fields = {"channel": "iot.t1", "position": "k3x9-43"}
    first, second = (
        json.loads(cloudevents.of_message("gap", fields, Position("k3x9", 43))) for _ in range(2)
    )
    assert first == {
        "specversion": "1.0",
        "id": "n1-1",
        "source": "https://hub.example/v1",
        "type": "eventhub.gap",
        "datacontenttype": "application/json",
        "subject": "iot.t1",
        "eventhubposition": "k3x9-43",
        "data": fields,
    }
    assert second["id"] == "n1-2"


def test_what_is_shown_is_a_cloudevent() -> None:
    cloudevents = CloudEvents("", "n1")
    signal = Signal("iot.t1", b"1", TIME, {"by": "ana"})
    for text in (
        cloudevents.of_event(event()),
        cloudevents.of_event(event({"source": "my app", "key": "1"})),
        cloudevents.of_message("hello", {"session": "x"}),
        cloudevents.of_signal(signal),
    ):
        of_json(json.loads(text))
    assert json.loads(cloudevents.of_signal(signal))["data"]["by"] == "ana"


def test_each_transport_carries_the_same_cloudevent() -> None:
    encodings = CloudEncodings("", "n1")
    text, line = encodings.cloudevents.of_event(event()), event_json(event())
    assert encodings.lines.event(event()) == text + b"\n"
    assert encodings.event_stream.event(event()) == b"data: %b\nid: k3x9-43\n\n" % text
    assert encodings.frames.event(event()).endswith(text)
    assert encodings.cursor_blocks.event(line, "c") == b"data: %b\nid: c\n\n" % text
    placed = json.loads(encodings.cursor_lines.event(line, "c"))
    assert placed == json.loads(text) | {"eventhubcursor": "c"}


def test_a_goodbye_of_an_event_stream_says_when_to_come_back() -> None:
    block = CloudEncodings("", "n1").event_stream.message("goodbye", {"reconnect_in": 1.5})
    assert block.startswith(b"retry: 1500\nevent: goodbye\ndata: {")


def test_a_line_is_shown_once_for_all_its_readers() -> None:
    cloudevents = CloudEvents("", "n1")
    line = event_json(event())
    assert cloudevents.of_line(line) is cloudevents.of_line(line)
