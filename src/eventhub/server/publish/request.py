"""A publish request whose head is checked: its principal may publish to the channel.

It reads no body and sends no response. `headers.py` parses the headers, `decoder.py` the events.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from starlette.types import Scope

from eventhub.auth.grants import Action
from eventhub.auth.principal import Principal
from eventhub.delivery.cloudevents import BATCH_TYPE, MEDIA_TYPE
from eventhub.errors import EventHubError, InvalidRequest
from eventhub.events.channel_types import ChannelType, PublisherKind
from eventhub.events.cloudevents import of_bytes
from eventhub.events.compatibility.versions import stamped
from eventhub.events.event import NewEvent, Position, Receipt, with_author
from eventhub.events.references import Reference, Relation, reference, with_reference
from eventhub.events.refused_event import CLOUDEVENT, Received, precondition
from eventhub.events.senml import MEDIA_TYPE as SENML_TYPE
from eventhub.hub.hub import Hub
from eventhub.observability.tracing import PublishSpan, trace_id_of
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.publish.cloudevents import (
    Mode,
    attributes_of_head,
    check_size,
    mode_of,
    of_structured,
)
from eventhub.server.publish.decoder import EventDecoder
from eventhub.server.publish.handling import PARAMETER, Handling, handling_of, parameters_of
from eventhub.server.publish.headers import (
    NDJSON_TYPES,
    ONE_EVENT,
    attributes_of,
    check_body_type,
    idempotency_key_of,
    media_type_of,
    precondition_of,
    prefer_of,
)
from eventhub.server.security.authentication import address_of

PREFIX = "/v1/channels/"
"""A publish request's path is this and the channel's name."""


class Again(NamedTuple):
    """A refused event is published again: as which kind of publisher, and with which key."""

    kind: PublisherKind
    key: str


class PublishRequest:
    """The parts of a request that apply to each of its events.

    The constructor authorizes the principal and checks the head. Raises EventHubError.
    """

    __slots__ = (
        "_span",
        "_tracing",
        "address",
        "again",
        "channel",
        "channel_type",
        "charge",
        "decoder",
        "handling",
        "headers",
        "key",
        "limits",
        "media_type",
        "method",
        "mode",
        "now",
        "principal",
        "reference",
        "sent_attributes",
    )

    def __init__(
        self,
        manager: ConnectionManager,
        scope: Scope,
        headers: Mapping[bytes, bytes],
        principal: Principal,
        again: Again | None = None,
    ) -> None:
        self.again = again
        self.channel: str = scope["path"][len(PREFIX) :]
        self.method: str = scope.get("method", "POST")
        self.address = address_of(scope)
        self.now = manager.hub.now
        self.headers = headers
        self.principal = principal
        self.channel_type: ChannelType = manager.hub.types.resolve(self.channel)
        self.channel_type.admit(PublisherKind.PRODUCER if again is None else again.kind)
        principal.authorize(Action.PUBLISH, self.channel, self.channel_type.anonymous)
        self.charge = manager.publish_quota.charge_for(principal, self.address, self.channel_type)
        self.limits = manager.settings.limits
        manager.origin_check.check(headers)
        self.media_type = media_type_of(headers)
        check_body_type(self.media_type, headers, takes_cloudevents=True)
        self.mode = mode_of(self.media_type, headers)
        parameters = parameters_of(
            scope["query_string"], PARAMETER, "refers", "relation", also="signal"
        )
        self.handling = handling_of(prefer_of(scope, headers), parameters)
        self.key = idempotency_key_of(headers) if again is None else again.key
        self.reference = self._reference(parameters) if parameters else None
        self.sent_attributes = self._attributes(scope)
        self.decoder = EventDecoder(
            self.channel,
            self.channel_type,
            self.limits,
            self.now,
            self.key,
            "line" if self.is_ndjson else "item",
        )
        self.decoder.attributes = self.sent_attributes
        self.decoder.author = principal.author
        self._expect(precondition_of(headers))
        self._tracing = manager.hub.tracing
        self._span: PublishSpan | None = None

    def _attributes(self, scope: Scope) -> Mapping[str, str] | None:
        """What is stored with each event besides its data."""
        sent = attributes_of(self.headers) if self.mode is None else self._of_cloudevents(scope)
        found = stamped(self.channel_type.version, with_author(sent, self.principal.author))
        return found if self.reference is None else with_reference(found, self.reference)

    @property
    def is_ndjson(self) -> bool:
        """Each line of the body is an event."""
        return self.media_type in NDJSON_TYPES

    @property
    def is_cloudevent(self) -> bool:
        """The body has CloudEvents, or the whole body is the data of one event."""
        return self.mode is not None or not ONE_EVENT.isdisjoint(self.headers)

    @property
    def is_lenient(self) -> bool:
        """Refused events are counted; they are no error."""
        return self.handling is Handling.LENIENT

    @property
    def is_traced(self) -> bool:
        """A span is open for the events that are being published."""
        return self._span is not None

    @property
    def trace_id(self) -> str | None:
        """The trace of the events that are being published."""
        return trace_id_of(self.decoder.attributes)

    @staticmethod
    def precondition_of_many() -> InvalidRequest:
        """The error for a precondition of several events: they have several keys."""
        return InvalidRequest(
            "If-Match and If-None-Match are for one event; expected a single event, or if_match in"
            " the items of POST /v1/events"
        )

    def decode(self, body: bytes) -> NewEvent:
        """The event of a body that is one event. Raises EventHubError."""
        if self.mode is None:
            return self.decoder.decode(body)
        check_size(body, self.limits)
        if self.mode is Mode.BINARY:
            return self.decoder.decode_cloudevent(of_bytes(dict(self.sent_attributes or {}), body))
        return self.decoder.decode_cloudevent(of_structured(body))

    def _expect(self, expected: Position | None) -> None:
        """Set the precondition, if there is one. Raises InvalidRequest."""
        if expected is not None:
            self.channel_type.check_has_key("a precondition")
            if self.is_ndjson:
                raise self.precondition_of_many()
            self.decoder.expected = expected

    def _of_cloudevents(self, scope: Scope) -> dict[str, str] | None:
        """The attributes that all CloudEvents of the request have. Raises InvalidRequest."""
        if self.mode is Mode.BINARY:
            return attributes_of_head(scope["headers"])
        context = self.headers.get(b"traceparent")  # their other attributes are in the body
        return None if context is None else attributes_of({b"traceparent": context})

    def _reference(self, parameters: Mapping[str, str]) -> Reference | None:
        """The event that this one refers to. Raises InvalidRequest."""
        found = reference(
            self.channel,
            self.channel_type,
            self.principal,
            parameters.get("refers"),
            parameters.get("relation"),
        )
        if found is None:
            return None
        if found.relation is Relation.DELETE:
            raise InvalidRequest(
                "relation is delete; expected edit or reaction, or DELETE "
                f"{PREFIX}{self.channel}?id=… for the deletion of an event"
            )
        if self.is_ndjson:
            raise self.reference_of_many()
        return found

    @staticmethod
    def reference_of_many() -> InvalidRequest:
        """The error for several events with one reference."""
        return InvalidRequest("refers is for one event; expected a single event")

    def received(
        self,
        body: bytes | bytearray,
        *,
        key: bytes | None = None,
        cut: bool = False,
        is_item: bool = False,
    ) -> Received | None:
        """What is kept of an event that is refused. None if it is published again: it is kept.

        `is_item`: the body is an item of the request's array.
        """
        if self.again is not None:
            return None
        options = self._form(is_item=is_item)
        if self.reference is not None:
            options |= {"refers": str(self.reference.target), "relation": self.reference.relation}
        options |= precondition(self.decoder.expected)
        sent = self.key if key is None else key.decode("latin-1")
        by, attributes = self.principal.author, self.sent_attributes
        return Received(self.channel, body, by, "http", sent, attributes, options, cut)

    def _form(self, *, is_item: bool) -> dict[str, str]:
        """How a refused body was sent, if it was not JSON alone.

        Each CloudEvent of a batch is kept by itself, as structured. A record of a SenML pack is
        kept as it was resolved, which is JSON.
        """
        if self.mode is None:
            is_pack = self.media_type == SENML_TYPE and not is_item
            return {"content_type": SENML_TYPE.decode()} if is_pack else {}
        if self.mode is Mode.BINARY:
            sent = self.sent_attributes or {}
            return {name: sent[name] for name in CLOUDEVENT if name in sent}
        is_batch = self.mode is Mode.BATCH and not is_item
        return {"content_type": (BATCH_TYPE if is_batch else MEDIA_TYPE).decode()}

    def pay(self, count: int) -> None:
        """Charge for this many events, stored or refused. Raises RateLimited, PayloadTooLarge."""
        if self.charge is not None:
            self.charge.take(count)  # others may have published since the head was checked

    async def publish(
        self, hub: Hub, events: Sequence[NewEvent]
    ) -> Sequence[Receipt | EventHubError]:
        """Hand the events to the hub. Raises what the hub raises."""
        traces = () if self._span is None else (self._span,)
        if self.reference is not None:
            return await hub.references.publish(events, [self.reference], traces)
        return await hub.publish(events, traces)

    def begin_trace(self) -> None:
        """Open a span, if this publish is sampled. The events decoded from now on belong to it."""
        if self._tracing is not None:
            self._span = self._tracing.publish(self.channel, self.sent_attributes, "http")
            self.decoder.attributes = (
                self.sent_attributes if self._span is None else self._span.attributes
            )

    def end_trace(self, outcomes: Sequence[Receipt | EventHubError]) -> None:
        """End the span with these outcomes. Does nothing if no span is open."""
        if self._span is not None:
            self._span.end(outcomes)
            self._span = None
