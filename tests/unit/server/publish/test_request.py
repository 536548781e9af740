"""server/publish/request.py: which heads are refused, and what an event takes from its request."""

from functools import cache
from pathlib import Path

import pytest

from eventhub.auth.principal import ANYONE
from eventhub.config.settings import Settings
from eventhub.errors import EventHubError, InvalidRequest, PayloadTooLarge, UnsupportedMediaType
from eventhub.server.app import create_app
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.publish.handling import Handling
from eventhub.server.publish.request import PublishRequest

EVENT = b'{"sender":"ana","text":"oi"}'
TRACEPARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@cache
def manager() -> ConnectionManager:
    return create_app(Settings(), Path()).manager


def request(
    headers: dict[bytes, bytes] | None = None, channel: str = "chat.a", query: bytes = b""
) -> PublishRequest:
    headers = headers or {}
    scope = {
        "path": f"/v1/channels/{channel}",
        "query_string": query,
        "headers": list(headers.items()),
        "client": ("127.0.0.1", 1),
    }
    return PublishRequest(manager(), scope, headers, ANYONE)


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({b"content-encoding": b"gzip"}, UnsupportedMediaType),
        ({b"content-type": b"application/cloudevents+json"}, UnsupportedMediaType),
        ({b"content-type": b"application/x-ndjson", b"ce-id": b"1"}, UnsupportedMediaType),
        ({b"idempotency-key": b"two words"}, InvalidRequest),
        ({b"idempotency-key": b"x" * 1000}, InvalidRequest),
        ({b"ce-source": b"\xff"}, InvalidRequest),
        ({b"ce-source": b""}, InvalidRequest),
        ({b"ce-source": b"%" * 30_000}, InvalidRequest),
    ],
)
def test_a_head_is_refused(headers: dict[bytes, bytes], error: type[EventHubError]) -> None:
    with pytest.raises(error):
        request(headers)


def test_content_coding_identity_is_no_coding() -> None:
    assert request({b"content-encoding": b"Identity, identity"}).channel == "chat.a"


@pytest.mark.parametrize(
    "media_type", [b"application/x-ndjson", b"Application/JSONL; charset=utf-8"]
)
def test_ndjson_has_several_media_types(media_type: bytes) -> None:
    assert request({b"content-type": media_type}).is_ndjson
    assert not request({b"content-type": b"application/json"}).is_ndjson


def test_a_cloudevent_is_known_by_its_headers() -> None:
    assert request({b"ce-specversion": b"1.0"}).is_cloudevent
    assert not request({b"ce-source": b"a"}).is_cloudevent


def test_attributes_are_percent_decoded_and_a_malformed_traceparent_is_ignored() -> None:
    event = request({b"ce-source": b"caf%C3%A9", b"traceparent": b"nonsense"}).decode(EVENT)
    assert event.attributes == {"source": "café"}
    event = request({b"traceparent": TRACEPARENT}).decode(EVENT)
    assert event.attributes == {"traceparent": TRACEPARENT.decode()}


def test_each_item_and_each_line_has_a_key_of_its_own() -> None:
    body, lines = (
        request({b"idempotency-key": b"k", b"content-type": media_type})
        for media_type in (b"application/json", b"application/x-ndjson")
    )
    assert body.decode(EVENT).key == "k"
    assert body.decode(EVENT, 0).key == "k item 0"
    assert lines.decode(EVENT, 1).key == "k line 1"
    events = body.decode_all(b"[%b,%b]" % (EVENT, EVENT), 5)
    assert [event.key for event in events or ()] == ["k item 5", "k item 6"]


def test_an_array_is_decoded_together_only_if_all_its_items_are_valid() -> None:
    assert request().decode_all(b"[%b,1]" % EVENT) is None


def test_limits_are_named() -> None:
    with pytest.raises(PayloadTooLarge) as caught:
        request().decode(b'"%b"' % (b"x" * 70_000))
    assert caught.value.limit == "event_bytes"
    with pytest.raises(PayloadTooLarge) as caught:
        request().check_count(request().limits.batch + 1)
    assert caught.value.limit == "batch"


def test_the_header_prefer_wins_over_the_query_string() -> None:
    assert request(query=b"handling=lenient").handling is Handling.LENIENT
    strict = request({b"prefer": b"handling=strict"}, query=b"handling=lenient")
    assert strict.handling is Handling.STRICT
