"""server/publish/request.py: which heads are refused, and which handling a head asks for."""

import pytest

from eventhub.errors import EventHubError, InvalidRequest, UnsupportedMediaType
from eventhub.server.publish.handling import Handling
from tests.unit.server.publish.publish_requests import publish_request


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({b"content-encoding": b"br"}, UnsupportedMediaType),
        ({b"content-type": b"application/cloudevents+xml"}, UnsupportedMediaType),
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
        publish_request(headers)


def test_the_header_prefer_wins_over_the_query_string() -> None:
    assert publish_request(query=b"handling=lenient").handling is Handling.LENIENT
    strict = publish_request({b"prefer": b"handling=strict"}, query=b"handling=lenient")
    assert strict.handling is Handling.STRICT


CLOUDEVENT, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
SENML = "application/senml+json"


@pytest.mark.parametrize(
    ("media_type", "is_item", "kept_as"),
    [
        ("application/json", False, None),
        ("application/json", True, None),
        (SENML, False, SENML),
        (SENML, True, None),
        (CLOUDEVENT, False, CLOUDEVENT),
        (BATCH, False, BATCH),
        (BATCH, True, CLOUDEVENT),
    ],
)
def test_what_is_refused_is_kept_with_the_media_type_that_it_needs(
    media_type: str, kept_as: str | None, *, is_item: bool
) -> None:
    kept = publish_request({b"content-type": media_type.encode()}).received(b"1", is_item=is_item)
    assert kept is not None
    assert (kept.options or {}).get("content_type") == kept_as
