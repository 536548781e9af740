"""The head of a publish request, checked, and the events that its body's JSON becomes.

It reads no body and sends no response.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import repeat
from urllib.parse import unquote

from starlette.types import Scope

from eventhub.auth.grants import Action
from eventhub.auth.principal import Principal
from eventhub.common.nesting import check_depth
from eventhub.errors import (
    EventHubError,
    InvalidRequest,
    PayloadTooLarge,
    UnsupportedMediaType,
)
from eventhub.events.channel_types import ChannelType, PublisherKind
from eventhub.events.event import ATTRIBUTE_LENGTH, NewEvent, Receipt, build_many
from eventhub.hub.hub import Hub
from eventhub.observability.tracing import Attributes, PublishSpan, parent_of
from eventhub.server.connections.limit_errors import too_large
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.publish.handling import Handling, handling_of
from eventhub.server.security.authentication import address_of
from eventhub.session.commands import KEY_LENGTH

PREFIX = "/v1/channels/"
"""A publish request's path is this and the channel's name."""
NDJSON_TYPES = frozenset(
    b"application/" + name
    for name in (b"x-ndjson", b"ndjson", b"jsonl", b"x-jsonl", b"jsonlines", b"x-jsonlines")
)
CLOUDEVENT_HEADERS = frozenset((b"ce-specversion", b"ce-id"))
"""Every CloudEvent in binary mode has both (CloudEvents HTTP binding, 3.1). With either of them,
the whole body is the data of one event.
"""
ATTRIBUTE_HEADERS = {
    b"ce-source": "source",
    b"ce-subject": "subject",
    b"ce-type": "type",
    b"traceparent": "traceparent",
}
MAX_ENCODED = 12
"""Bytes of a character, percent-encoded: four bytes of UTF-8."""
_KEY = re.compile(rb"[!-~]{1,%d}" % KEY_LENGTH)


class PublishRequest:
    """The parts of a request that apply to each of its events.

    The constructor raises EventHubError if the head is refused.
    """

    __slots__ = (
        "_now",
        "_span",
        "_tracing",
        "attributes",
        "channel",
        "channel_type",
        "charge",
        "handling",
        "headers",
        "key",
        "limits",
        "media_type",
        "principal",
        "sent_attributes",
    )

    def __init__(
        self,
        manager: ConnectionManager,
        scope: Scope,
        headers: Mapping[bytes, bytes],
        principal: Principal,
    ) -> None:
        self.channel: str = scope["path"][len(PREFIX) :]
        self.headers = headers
        self.principal = principal
        self.channel_type: ChannelType = manager.hub.types.resolve(self.channel)
        self.channel_type.admit(PublisherKind.PRODUCER)
        principal.authorize(Action.PUBLISH, self.channel, self.channel_type.anonymous)
        self.charge = manager.publish_quota.charge_for(
            principal, address_of(scope), self.channel_type
        )
        self.limits = manager.settings.limits
        self._now = manager.hub.now
        manager.origin_check.check(headers)
        self.media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        self._check_body_type()
        self.handling = handling_of(_prefer(scope, headers), scope["query_string"])
        self.key = _idempotency_key(headers)
        self.sent_attributes = _attributes(headers)
        self.attributes: Attributes = self.sent_attributes
        self._tracing = manager.hub.tracing
        self._span: PublishSpan | None = None

    @property
    def is_ndjson(self) -> bool:
        """Each line of the body is an event."""
        return self.media_type in NDJSON_TYPES

    @property
    def is_cloudevent(self) -> bool:
        """The whole body is the data of one CloudEvent."""
        return not CLOUDEVENT_HEADERS.isdisjoint(self.headers)

    @property
    def is_lenient(self) -> bool:
        """Refused events are counted; they are no error."""
        return self.handling is Handling.LENIENT

    @property
    def is_traced(self) -> bool:
        """A span is open for the events that are being published."""
        return self._span is not None

    def decode(self, body: bytes, index: int | None = None, *, detailed: bool = True) -> NewEvent:
        """Validate one event. Raises EventHubError.

        `index` is its place in an array or a stream. `detailed`: the error lists the faults.
        """
        if len(body) > self.limits.event_bytes:
            raise too_large(
                f"the event has {len(body)} bytes", "event_bytes", self.limits.event_bytes
            )
        check_depth(body, self.limits.depth, "limits.depth")
        data = self.channel_type.canonical(body, detailed=detailed)
        key = self.key if index is None or self.key is None else self._key_of_part(index)
        return NewEvent(self.channel, data, self._now(), self.attributes, key)

    def decode_all(self, array: bytes, first: int = 0) -> list[NewEvent] | None:
        """Validate the items of a JSON array together. None if any of them is refused.

        `first` is the place of the first item, where the array is a part of a longer one.
        """
        if (found := self.channel_type.schema.canonical_all(array)) is None:
            return None
        size, depth = self.limits.event_bytes, self.limits.depth
        if any(len(data) > size or data.count(b"{") + data.count(b"[") > depth for data in found):
            return None
        keys = (
            repeat(None)
            if self.key is None
            else map(self._key_of_part, range(first, first + len(found)))
        )
        rows = zip(
            repeat(self.channel),
            found,
            repeat(self._now()),
            repeat(self.attributes),
            keys,
            strict=False,  # all but `found` have no end
        )
        return build_many(NewEvent, rows)

    def check_count(self, count: int) -> None:
        """Raises PayloadTooLarge if an array has more events than limits.batch."""
        if count > self.limits.batch:
            raise PayloadTooLarge(
                f"the array has more than {self.limits.batch} events, which is the limit"
                " (limits.batch); send fewer, or a stream"
            ).with_limit("batch")

    def pay(self, count: int) -> None:
        """Charge for this many events, stored or refused. Raises RateLimited, PayloadTooLarge."""
        if self.charge is not None:
            self.charge.check()  # again: others may have published while the body arrived
            self.charge.pay(count)

    async def publish(
        self, hub: Hub, events: Sequence[NewEvent]
    ) -> Sequence[Receipt | EventHubError]:
        """Hand the events to the hub. Raises what the hub raises."""
        return await (
            hub.publish(events) if self._span is None else hub.publish(events, (self._span,))
        )

    def begin_trace(self) -> None:
        """Open a span, if this publish is sampled. The events decoded from now on belong to it."""
        if self._tracing is not None:
            self._span = self._tracing.publish(self.channel, self.sent_attributes, "http")
            self.attributes = self.sent_attributes if self._span is None else self._span.attributes

    def end_trace(self, outcomes: Sequence[Receipt | EventHubError]) -> None:
        """End the span with these outcomes. Does nothing if no span is open."""
        if self._span is not None:
            self._span.end(outcomes)
            self._span = None

    def _check_body_type(self) -> None:
        if codings := _content_codings(self.headers.get(b"content-encoding", b"")):
            raise UnsupportedMediaType(
                f"the body's Content-Encoding is {codings}; expected a body that is not compressed,"
                " without Content-Encoding"
            )
        if self.media_type.startswith(b"application/cloudevents"):
            raise UnsupportedMediaType(
                f"the body is {self.media_type.decode('latin-1')[:60]}: CloudEvents in structured"
                " or batch mode; expected binary mode: the data as application/json, and the"
                " attributes in the headers ce-id, ce-source, ce-specversion and ce-type"
            )
        if self.is_ndjson and self.is_cloudevent:
            raise UnsupportedMediaType(
                "the body is NDJSON, but a header ce-id or ce-specversion says that it is one"
                " CloudEvent; expected its data as application/json, or NDJSON without these two"
                " headers"
            )

    def _key_of_part(self, index: int) -> str:
        """The key of an item or a line.

        It has a space, which no producer's key can have, so that the two are never the same. Nor is
        an item's key ever a line's.
        """
        return f"{self.key} {'line' if self.is_ndjson else 'item'} {index}"


def _prefer(scope: Scope, headers: Mapping[bytes, bytes]) -> bytes | None:
    if b"prefer" not in headers:
        return None
    return b",".join(value for name, value in scope["headers"] if name == b"prefer")


def _content_codings(value: bytes) -> str:
    """The codings of a Content-Encoding (RFC 9110, 8.4) but for `identity`, which does nothing."""
    names = (name.strip().lower() for name in value.decode("latin-1").split(","))
    return ", ".join(name[:40] for name in names if name not in ("", "identity"))


def _idempotency_key(headers: Mapping[bytes, bytes]) -> str | None:
    if (key := headers.get(b"idempotency-key")) is None:
        return None
    if not _KEY.fullmatch(key):
        raise InvalidRequest(
            f"Idempotency-Key is {key[:40].decode('latin-1')!r}, {len(key)} bytes; expected 1 to"
            f" {KEY_LENGTH} visible ASCII characters"
        )
    return key.decode("ascii")


def _attributes(headers: Mapping[bytes, bytes]) -> dict[str, str] | None:
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
    return text
