"""server/publish/headers.py: body types, attributes."""

import pytest

from eventhub.errors import InvalidRequest
from eventhub.server.publish.headers import (
    NDJSON_TYPES,
    attributes_of,
    media_type_of,
)

TRACEPARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    "media_type", [b"application/x-ndjson", b"Application/JSONL; charset=utf-8"]
)
def test_ndjson_has_several_media_types(media_type: bytes) -> None:
    assert media_type_of({b"content-type": media_type}) in NDJSON_TYPES
    assert media_type_of({b"content-type": b"application/json"}) not in NDJSON_TYPES


def test_attributes_are_percent_decoded() -> None:
    assert attributes_of({b"ce-source": b"caf%C3%A9"}) == {"source": "café"}


def test_a_traceparent_is_an_attribute_unless_it_is_malformed() -> None:
    assert attributes_of({b"traceparent": TRACEPARENT}) == {"traceparent": TRACEPARENT.decode()}
    assert attributes_of({b"traceparent": b"nonsense"}) is None


def test_the_id_and_the_time_of_a_cloudevent_are_attributes() -> None:
    headers = {b"ce-id": b"a%20b", b"ce-time": b"2026-11-22T20:06:00.5+01:00"}
    assert attributes_of(headers) == {"id": "a b", "time": "2026-11-22T20:06:00.5+01:00"}


@pytest.mark.parametrize("time", [b"yesterday", b"2026-11-22T20:06:00", b"2026-13-22T20:06:00Z"])
def test_another_time_of_a_cloudevent_is_refused(time: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"the header ce-time is '.*'; expected a time with"):
        attributes_of({b"ce-time": time})
