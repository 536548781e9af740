"""server/publish/decoder.py: keys and attributes of decoded events, arrays, limits."""

import pytest

from eventhub.errors import PayloadTooLarge
from tests.unit.server.publish.publish_requests import publish_request

EVENT = b'{"sender":"ana","text":"oi"}'


def test_each_event_has_the_attributes_of_its_request() -> None:
    event = publish_request({b"ce-source": b"greenhouse"}).decoder.decode(EVENT)
    assert event.attributes == {"source": "greenhouse"}


def test_each_item_and_each_line_has_a_key_of_its_own() -> None:
    body, lines = (
        publish_request({b"idempotency-key": b"k", b"content-type": media_type}).decoder
        for media_type in (b"application/json", b"application/x-ndjson")
    )
    assert body.decode(EVENT).key == "k"
    assert body.decode(EVENT, 0).key == "k item 0"
    assert lines.decode(EVENT, 1).key == "k line 1"
    events = body.decode_all(b"[%b,%b]" % (EVENT, EVENT), 5)
    assert [event.key for event in events or ()] == ["k item 5", "k item 6"]


def test_an_array_is_decoded_together_only_if_all_its_items_are_valid() -> None:
    assert publish_request().decoder.decode_all(b"[%b,1]" % EVENT) is None


def test_limits_are_named() -> None:
    with pytest.raises(PayloadTooLarge) as caught:
        publish_request().decoder.decode(b'"%b"' % (b"x" * 70_000))
    assert caught.value.limit == "event_bytes"
    with pytest.raises(PayloadTooLarge) as caught:
        publish_request().decoder.check_count(publish_request().limits.batch + 1)
    assert caught.value.limit == "batch"
