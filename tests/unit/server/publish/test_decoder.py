"""server/publish/decoder.py: keys and attributes of decoded events, arrays, limits."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from eventhub.config.limit_settings import LimitSettings
from eventhub.errors import InvalidEvent, PayloadTooLarge
from eventhub.events.channel_types import SenderRule
from eventhub.events.schema import AnySchema
from eventhub.server.publish.decoder import EventDecoder
from tests.harness.builders import channel_type
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


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


def lists(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize("others", [0, 1, 100])
@pytest.mark.parametrize("form", [nested, lists])
def test_an_array_is_as_deep_as_the_limit_allows_for_each_item(
    form: Callable[[int], bytes], others: int
) -> None:
    decoder = json_decoder()
    limit = publish_request().limits.depth
    for other in (b"{}", b"1", b'"{"'):
        deepest, too_deep = (
            b"[%b]" % b",".join([other] * others + [form(levels)]) for levels in (limit, limit + 1)
        )
        found = decoder.canonical_all(deepest)
        assert found == [other] * others + [form(limit)]
        assert decoder.canonical_all(too_deep) is None


def test_no_item_of_an_array_is_longer_than_an_event_may_be() -> None:
    decoder, limit = json_decoder(), publish_request().limits.event_bytes
    longest = b'"%b"' % (b"x" * (limit - 2))
    assert decoder.canonical_all(b"[1,%b]" % longest) == [b"1", longest]
    assert decoder.canonical_all(b'[1,"x%b]' % longest[1:]) is None


def test_an_empty_array_has_no_items() -> None:
    assert json_decoder().canonical_all(b"[]") == []


def json_decoder() -> EventDecoder:
    kind: Any = channel_type()
    kind = replace(kind, schema=AnySchema())
    return EventDecoder("raw.a", kind, publish_request().limits, lambda: 0, None, "item")


NAMED = b'{"sender":"%b","text":"oi"}'


def decoder_of(author: str | None) -> EventDecoder:
    made = replace(channel_type(), schema=AnySchema(), sender=SenderRule.PRINCIPAL)
    decoder = EventDecoder("chat.a", made, LimitSettings(), lambda: 0, None, "item")
    decoder.author = author
    return decoder


def test_a_type_may_accept_only_the_author_as_sender_of_each_event() -> None:
    ana, rui = NAMED % b"ana", NAMED % b"rui"
    decoder = decoder_of("ana")
    assert decoder.decode(ana).data == ana
    with pytest.raises(InvalidEvent, match="can only be 'ana'"):
        decoder.decode(rui)
    assert decoder.canonical_all(b"[%b,%b]" % (ana, ana)) == [ana, ana]
    assert decoder.canonical_all(b"[%b,%b]" % (ana, rui)) is None
    assert decoder.canonical_each([ana, ana]) == [ana, ana]
    assert decoder.canonical_each([rui, ana]) is None
    assert decoder_of(None).canonical_all(b"[%b]" % ana) is None
