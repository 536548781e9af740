"""CloudEvents in a publish request: binary, structured and batch mode (HTTP binding, 3).

The rules for attributes and data are in `events/cloudevents.py`.
"""

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import unquote

from eventhub.common.strict_json import parse
from eventhub.config.limit_settings import LimitSettings
from eventhub.delivery.cloudevents import BATCH_TYPE, MEDIA_TYPE
from eventhub.errors import InvalidEvent, InvalidRequest
from eventhub.events.cloudevents import (
    EXTENSION_LENGTH,
    CloudEvent,
    checked_attributes,
    is_uri_reference,
    of_json,
)
from eventhub.server.connections.limit_errors import too_large
from eventhub.server.messages.request_head import Headers
from eventhub.server.publish.headers import MAX_ENCODED, attributes_of, media_type_of

PREFIX = b"ce-"
FORM = b"application/x-www-form-urlencoded"
"""What `curl -d` says of every body. It says nothing about the data, which are JSON."""
OVERHEAD_BYTES = 64 * 1024
"""Bytes that a CloudEvent may have besides its data: attributes, escapes, white space."""
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_MOST_HEADER_BYTES = MAX_ENCODED * EXTENSION_LENGTH


class Mode(StrEnum):
    """How a request carries CloudEvents."""

    BINARY = "binary"
    """The body is the data of one event, and its headers have the attributes."""
    STRUCTURED = "structured"
    """The body is one CloudEvent in JSON."""
    BATCH = "batch"
    """The body is a JSON array of CloudEvents."""


def mode_of(media_type: bytes, headers: Mapping[bytes, bytes]) -> Mode | None:
    """The mode of a request; None if it has no CloudEvents. The media type decides first (3)."""
    if media_type == MEDIA_TYPE:
        return Mode.STRUCTURED
    if media_type == BATCH_TYPE:
        return Mode.BATCH
    return Mode.BINARY if b"ce-specversion" in headers else None


def attributes_of_head(headers: Headers) -> dict[str, str]:
    """The attributes to store of an event in binary mode. Raises InvalidRequest."""
    fields: dict[str, str] = {}
    context: dict[str, str] = {}
    for name, value in headers:
        if name.startswith(PREFIX):
            attribute = name[len(PREFIX) :].decode("latin-1")
            if attribute in fields:
                raise InvalidRequest(
                    f"more than one header ce-{attribute[:40]} was sent; expected one"
                )
            fields[attribute] = _decoded(attribute, value)
        elif name == b"content-type" and media_type_of({name: value}) != FORM:
            fields["datacontenttype"] = value.decode("latin-1")
        elif name == b"traceparent":
            context = attributes_of({name: value}) or {}
    try:
        return checked_attributes({**context, **fields})
    except InvalidEvent as error:
        raise InvalidRequest(f"in the headers ce-…, {error.message}") from None


def check_size(body: bytes, limits: LimitSettings) -> None:
    """Raises PayloadTooLarge for a CloudEvent whose data cannot be within limits.event_bytes."""
    if len(body) > limits.event_bytes + OVERHEAD_BYTES:
        raise too_large(f"the CloudEvent has {len(body)} bytes", "event_bytes", limits.event_bytes)


def of_structured(body: bytes) -> CloudEvent:
    """The event of a request in structured mode. Raises EventHubError."""
    value = parse(body)
    check_names(body, value)
    return of_json(value)


def check_names(text: bytes, value: Any) -> None:
    """Raises InvalidEvent if the object, or one of an array, has two members of the same name.

    Of two, a proxy may have checked the one that we do not use. `value` is what the text holds.
    A look at the text tells that no name can be there twice; then it is not parsed again.
    """
    events = value if isinstance(value, list) else [value]
    names = {name for event in events if isinstance(event, dict) for name in event}
    if b"\\u" not in text and all(
        text.count(b'"%b"' % name.encode()) <= len(events) for name in names
    ):
        return
    found = json.loads(text, object_pairs_hook=_object)
    for each in found if isinstance(found, list) else [found]:
        if isinstance(each, _Repeated):
            raise InvalidEvent(f"the CloudEvent has {each.name[:64]!r} twice; expected it once")


class _Repeated:
    """An object with two members of the same name."""

    def __init__(self, name: str) -> None:
        self.name = name


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Repeated:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            return _Repeated(name)
        found[name] = value
    return found


def _decoded(attribute: str, value: bytes) -> str:
    """The text of a header: quotes are taken off, then it is percent-decoded (3.1.3.2).

    Senders that encode nothing send a URI with its own percent-encoding: it stays as it is.
    """
    if len(value) > _MOST_HEADER_BYTES:
        raise InvalidRequest(
            f"the header ce-{attribute[:40]} has {len(value)} bytes; expected at most"
            f" {EXTENSION_LENGTH} characters"
        )
    try:
        text = value.decode()
        if (quoted := _QUOTED.fullmatch(text)) is not None:
            text = _ESCAPED.sub(r"\1", quoted[1])
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise InvalidRequest(f"the header ce-{attribute[:40]} is not UTF-8") from None
    if attribute in ("source", "dataschema") and not is_uri_reference(decoded):
        return text
    return decoded
