"""The headers of a publish request that say what its events are, parsed and checked."""

import re
from collections.abc import Mapping
from urllib.parse import unquote

from starlette.types import Scope

from eventhub.common.timestamps import check_timestamp
from eventhub.delivery.cloudevents import BATCH_TYPE, MEDIA_TYPE
from eventhub.errors import InvalidRequest, UnsupportedMediaType
from eventhub.events.event import ABSENT, ATTRIBUTE_LENGTH, Position
from eventhub.events.since import parse_expected
from eventhub.observability.tracing import parent_of
from eventhub.server.publish.content_coding import coding_of
from eventhub.session.commands import KEY_LENGTH

NDJSON_TYPES = frozenset(
    b"application/" + name
    for name in (b"x-ndjson", b"ndjson", b"jsonl", b"x-jsonl", b"jsonlines", b"x-jsonlines")
)
CLOUDEVENT_TYPES = frozenset((MEDIA_TYPE, BATCH_TYPE))
ONE_EVENT = frozenset((b"ce-specversion", b"ce-id"))
"""Every CloudEvent in binary mode has both (CloudEvents HTTP binding, 3.1). With either of them,
the whole body is the data of one event.
"""
ATTRIBUTE_HEADERS = {
    b"ce-source": "source",
    b"ce-subject": "subject",
    b"ce-type": "type",
    b"ce-id": "id",
    b"ce-time": "time",
    b"traceparent": "traceparent",
}
MAX_ENCODED = 12
"""Bytes of a character, percent-encoded: four bytes of UTF-8."""
_KEY = re.compile(rb"[!-~]{1,%d}" % KEY_LENGTH)


def media_type_of(headers: Mapping[bytes, bytes]) -> bytes:
    """The media type of the body, in lower case and without parameters."""
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


def check_body_type(
    media_type: bytes, headers: Mapping[bytes, bytes], *, takes_cloudevents: bool = False
) -> None:
    """Raises UnsupportedMediaType for an unknown coding, and for CloudEvents that are not taken."""
    coding_of(headers)
    if media_type.startswith(b"application/cloudevents") and not (
        takes_cloudevents and media_type in CLOUDEVENT_TYPES
    ):
        expected = (
            f"{MEDIA_TYPE.decode()} or {BATCH_TYPE.decode()}"
            if takes_cloudevents
            else "JSON; POST /v1/channels/{channel} takes CloudEvents"
        )
        raise UnsupportedMediaType(
            f"the body is {media_type.decode('latin-1')[:60]}; expected {expected}"
        )
    if media_type in NDJSON_TYPES and not ONE_EVENT.isdisjoint(headers):
        raise UnsupportedMediaType(
            "the body is NDJSON, but a header ce-id or ce-specversion says that it is one"
            " CloudEvent; expected its data as application/json, or NDJSON without these two"
            " headers"
        )


def prefer_of(scope: Scope, headers: Mapping[bytes, bytes]) -> bytes | None:
    """All Prefer headers, joined with commas. None without one."""
    if b"prefer" not in headers:
        return None
    return b",".join(value for name, value in scope["headers"] if name == b"prefer")


def idempotency_key_of(headers: Mapping[bytes, bytes]) -> str | None:
    """The Idempotency-Key. Raises InvalidRequest."""
    key = headers.get(b"idempotency-key")
    return None if key is None else checked_idempotency_key(key)


def checked_idempotency_key(key: bytes) -> str:
    """The value of a header Idempotency-Key. Raises InvalidRequest."""
    if not _KEY.fullmatch(key):
        raise InvalidRequest(
            f"Idempotency-Key is {key[:40].decode('latin-1')!r}, {len(key)} bytes; expected 1 to"
            f" {KEY_LENGTH} visible ASCII characters"
        )
    return key.decode("ascii")


def check_no_precondition(headers: Mapping[bytes, bytes]) -> None:
    """Raises InvalidRequest if a request for several events has a precondition."""
    if b"if-match" in headers or b"if-none-match" in headers:
        raise InvalidRequest(
            "If-Match and If-None-Match are for one event; expected a single event, or if_match in"
            " the items of POST /v1/events"
        )


def precondition_of(headers: Mapping[bytes, bytes]) -> Position | None:
    """The newest event that If-Match or If-None-Match expects of the key (RFC 9110, 13.1).

    None without either. Raises InvalidRequest.
    """
    match, none_match = headers.get(b"if-match"), headers.get(b"if-none-match")
    if none_match is not None:
        if match is not None:
            raise InvalidRequest("the request has both If-Match and If-None-Match; expected one")
        if none_match != b"*":
            raise InvalidRequest(
                f"If-None-Match is {none_match[:40].decode('latin-1')!r}; expected *, for a key"
                " that has no event"
            )
        return ABSENT
    if match is None:
        return None
    text = match.decode("latin-1")
    try:
        position = parse_expected(text[1:-1] if text[:1] == text[-1:] == '"' else text)
    except ValueError:
        position = ABSENT
    if position == ABSENT:
        raise InvalidRequest(
            f"If-Match is {text[:40]!r}; expected the id of the key's newest event, such as"
            ' "k3x9-41"; If-None-Match: * is for a key without one'
        )
    return position


def attributes_of(headers: Mapping[bytes, bytes]) -> dict[str, str] | None:
    """The attributes of each event, None without any. Raises InvalidRequest."""
    attributes = {}
    for header, name in ATTRIBUTE_HEADERS.items():
        if (value := headers.get(header)) is None:
            continue
        if header == b"traceparent" and parent_of({name: value.decode("latin-1")}) is None:
            continue  # a malformed traceparent is ignored (W3C Trace Context, 3.2.3)
        attributes[name] = _attribute(header, value)
    return attributes or None


def _attribute(header: bytes, value: bytes) -> str:
    """Percent-decoded, as the CloudEvents HTTP binding encodes non-ASCII characters (3.1.3.2)."""
    if len(value) > MAX_ENCODED * ATTRIBUTE_LENGTH:  # decoding a long one costs much CPU time
        raise InvalidRequest(
            f"the header {header.decode()} has {len(value)} bytes; expected 1 to"
            f" {ATTRIBUTE_LENGTH} characters"
        )
    try:
        text = unquote(value.decode("utf-8"), errors="strict")
    except UnicodeDecodeError:
        raise InvalidRequest(f"the header {header.decode()} is not UTF-8") from None
    if not 1 <= len(text) <= ATTRIBUTE_LENGTH:
        raise InvalidRequest(
            f"the header {header.decode()} has {len(text)} characters; expected 1 to"
            f" {ATTRIBUTE_LENGTH}"
        )
    if header == b"ce-time":
        _check_time(text)
    return text


def _check_time(text: str) -> None:
    try:
        check_timestamp(text)
    except ValueError as error:
        raise InvalidRequest(f"the header ce-time is {text[:40]!r}; {error}") from None
