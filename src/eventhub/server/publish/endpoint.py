"""POST /v1/channels/{channel}: the hot path, as a plain ASGI application. One event, a batch, or a stream of lines."""

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from functools import partial
from http import HTTPStatus
from itertools import repeat
from urllib.parse import unquote

import orjson
import structlog
from starlette.types import Receive, Scope, Send

from eventhub.auth.grants import Action
from eventhub.auth.principal import Principal
from eventhub.common.concurrency import within
from eventhub.common.faults import internal
from eventhub.common.nesting import check_depth
from eventhub.errors import (
    EventHubError,
    InvalidJson,
    InvalidRequest,
    PayloadTooLarge,
    ShuttingDown,
    UnsupportedMediaType,
)
from eventhub.events.channels import ChannelType, PublisherKind
from eventhub.events.event import ATTRIBUTE_LENGTH, NewEvent, Receipt, build_many, format_time
from eventhub.hub.hub import Hub
from eventhub.observability.tracing import Attributes, PublishSpan, parent_of, trace_id_of
from eventhub.server.connections.access_log import note
from eventhub.server.connections.limit_errors import too_large, too_slow
from eventhub.server.connections.liveness import LEAST_RATE
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.connections.turns import SLICE_SECONDS, TurnShare
from eventhub.server.messages.problem import send_problem
from eventhub.server.messages.request_head import combined
from eventhub.server.messages.security_headers import ALWAYS, APPLIED, REPLAYED, headers_of
from eventhub.server.publish.batch import EventArray
from eventhub.server.publish.handling import (
    Handling,
    about_event,
    handling_of,
    retryable,
    status_of,
)
from eventhub.server.publish.ndjson import NdjsonPublish
from eventhub.server.security.authentication import address_of
from eventhub.session.commands import KEY_LENGTH

PREFIX = "/v1/channels/"
METHODS = ("POST", "PUT")
NDJSON = frozenset(
    b"application/" + name
    for name in (b"x-ndjson", b"ndjson", b"jsonl", b"x-jsonl", b"jsonlines", b"x-jsonlines")
)
AGAIN_SECONDS = 600.0
"""A body that is not JSON, of a lenient request, is logged again for a channel type after so long."""
SMALL = 4096
"""Bytes of an event that takes so little time that nobody asks how much."""
log = structlog.get_logger("eventhub.publish")
TOGETHER = 500
"""Events of an array that are stored in one turn of the loop, which takes half a millisecond."""
LOOK = 256
"""After so many results of an array's answer, the clock is looked at."""
_KEY = re.compile(rb"[!-~]{1,%d}" % KEY_LENGTH)
CLOUDEVENT = frozenset((b"ce-specversion", b"ce-id"))
"""Every CloudEvent in binary mode has both (CloudEvents HTTP binding, 3.1). Either makes the body
the data of one event.
"""
FRAMING = frozenset((b"content-length", b"transfer-encoding"))
"""Either says that a body follows (RFC 9112, 6)."""
_ATTRIBUTES = {
    b"ce-source": "source",
    b"ce-subject": "subject",
    b"ce-type": "type",
    b"traceparent": "traceparent",
}


class PublishRequest:
    """What holds for every event of a publish request. Raises EventHubError where the head of the request is at fault."""

    __slots__ = (
        "attributes",
        "channel",
        "charge_for",
        "given",
        "handling",
        "headers",
        "key",
        "kind",
        "limits",
        "media_type",
        "now",
        "principal",
        "trace",
        "tracing",
    )  # fmt: skip

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
        self.kind: ChannelType = manager.hub.types.resolve(self.channel)
        self.kind.admit(PublisherKind.PRODUCER)
        principal.authorize(Action.PUBLISH, self.channel, self.kind.anonymous)
        self.charge_for = manager.publish_quota.charge_for(principal, address_of(scope), self.kind)
        self.limits = manager.settings.limits
        self.now = manager.hub.now
        manager.origin_check.check(self.headers)
        if codings := _codings(headers.get(b"content-encoding", b"")):
            raise UnsupportedMediaType(
                f"the body's Content-Encoding is {codings}; expected none: a body that is not compressed"
            )
        self.media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if self.media_type.startswith(b"application/cloudevents"):
            raise UnsupportedMediaType(
                f"the body is {self.media_type.decode('latin-1')[:60]}: CloudEvents in structured or batch mode; expected binary mode: the "
                "data alone as application/json, what is around it in the headers ce-id, ce-source, ce-specversion and ce-type"
            )
        if self.stream and self.cloudevent:
            raise UnsupportedMediaType(
                "the body is NDJSON, and ce-id and ce-specversion make it one CloudEvent; expected its data as application/json, or a "
                "stream without these two, each of whose lines is an event"
            )
        prefer = (
            b",".join(value for name, value in scope["headers"] if name == b"prefer")
            if b"prefer" in headers
            else None
        )
        self.handling = handling_of(prefer, scope["query_string"])
        self.key = self._key()
        self.given = self._attributes()
        self.attributes: Attributes = self.given
        self.tracing = manager.hub.tracing
        self.trace: PublishSpan | None = None

    @property
    def stream(self) -> bool:
        """The body is NDJSON."""
        return self.media_type in NDJSON

    @property
    def cloudevent(self) -> bool:
        """The body is the data of one CloudEvent."""
        return not CLOUDEVENT.isdisjoint(self.headers)

    @property
    def lenient(self) -> bool:
        """Refused events are counted, and no error."""
        return self.handling is Handling.LENIENT

    def event(self, body: bytes, index: int | None = None, *, detailed: bool = True) -> NewEvent:
        """A validated event; `index` is its place in a batch or stream. Raises EventHubError, `detailed` where it will be shown."""
        if len(body) > self.limits.event_bytes:
            raise too_large(
                f"the event has {len(body)} bytes", "event_bytes", self.limits.event_bytes
            )
        check_depth(body, self.limits.depth, "limits.depth")
        data = self.kind.canonical(body, detailed=detailed)
        key = self.key if index is None or self.key is None else self._part_key(index)
        return NewEvent(self.channel, data, self.now(), self.attributes, key)

    def events(self, body: bytes, first: int = 0) -> list[NewEvent] | None:
        """The events of a JSON array in which nothing is wrong, None when something is. `first`: how many there are before them."""
        if (found := self.kind.schema.canonical_all(body)) is None:
            return None
        size, depth = self.limits.event_bytes, self.limits.depth
        if any(len(data) > size or data.count(b"{") + data.count(b"[") > depth for data in found):
            return None
        keys = (
            repeat(None)
            if self.key is None
            else map(self._part_key, range(first, first + len(found)))
        )
        return build_many(
            NewEvent,
            zip(
                repeat(self.channel),
                found,
                repeat(self.now()),
                repeat(self.attributes),
                keys,
                strict=False,
            ),
        )

    def begin_trace(self) -> None:
        """What is published from now on is one publish: trace it if it is sampled."""
        if self.tracing is not None:
            self.trace = self.tracing.publish(self.channel, self.given, "http")
            self.attributes = self.given if self.trace is None else self.trace.attributes

    async def publish(
        self, hub: Hub, events: Sequence[NewEvent]
    ) -> Sequence[Receipt | EventHubError]:
        """Hand them to the hub. Raises what it raises."""
        return await (
            hub.publish(events) if self.trace is None else hub.publish(events, (self.trace,))
        )

    def end_trace(self, outcomes: Sequence[Receipt | EventHubError]) -> None:
        """What became of it, if it is traced and nobody has said so."""
        if self.trace is not None:
            self.trace.end(outcomes)
            self.trace = None

    def pay(self, count: int) -> None:
        """So many events are to be published, or were refused for what they are."""
        if self.charge_for is not None:
            self.charge_for.check()  # again: others may have published while the body came
            self.charge_for.pay(count)

    def check_count(self, count: int) -> None:
        """Raises PayloadTooLarge when a batch has too many events."""
        if count > self.limits.batch:
            raise PayloadTooLarge(
                f"the array has more than {self.limits.batch} events, which is the limit (limits.batch); send fewer, or a stream"
            ).with_limit("batch")

    def _part_key(self, index: int) -> str:
        """The key of an item or a line. No producer can send a key with a space, and no item has the key of a line."""
        return f"{self.key} {'line' if self.stream else 'item'} {index}"

    def _key(self) -> str | None:
        if (key := self.headers.get(b"idempotency-key")) is None:
            return None
        if not _KEY.fullmatch(key):
            raise InvalidRequest(
                f"Idempotency-Key is {key[:40].decode('latin-1')!r}, {len(key)} bytes; expected 1 to {KEY_LENGTH} visible ASCII characters"
            )
        return key.decode("ascii")

    def _attributes(self) -> dict[str, str] | None:
        attributes = {}
        for header, name in _ATTRIBUTES.items():
            if (value := self.headers.get(header)) is not None:
                if header == b"traceparent" and parent_of({name: value.decode("latin-1")}) is None:
                    continue  # as if it were not there (W3C Trace Context, 3.2.3)
                try:
                    text = unquote(
                        value.decode("utf-8"), errors="strict"
                    )  # as that binding encodes what is not ASCII (3.1.3.2)
                except UnicodeDecodeError:
                    raise InvalidRequest(f"the header {header.decode()} is not UTF-8") from None
                attributes[name] = text
                if not 1 <= len(text) <= ATTRIBUTE_LENGTH:
                    raise InvalidRequest(
                        f"the header {header.decode()} has {len(text)} characters; expected 1 to {ATTRIBUTE_LENGTH}"
                    )
        return attributes or None


class PublishEndpoint:
    """The ASGI application behind the route."""

    def __init__(self, manager: ConnectionManager) -> None:
        self._manager = manager
        self._quiet: dict[str, float] = {}  # by channel type: until when no line is written

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request: PublishRequest | None = None
        try:
            headers = combined(scope["headers"])
            principal = await self._manager.authentication.admit(headers, address=address_of(scope))
            request = PublishRequest(self._manager, scope, headers, principal)
            if self._manager.access_log.on:
                note(scope, trace_id=trace_id_of(request.given))
            if request.stream:
                identity = self._manager.registry.new_identity(principal, address_of(scope))
                ingest = NdjsonPublish(self._manager, request, identity)
                try:
                    await ingest.run(scope, receive, send)
                finally:
                    if request.lenient and ingest.wholly_refused is not None:
                        self._note_lenient(request, *ingest.wholly_refused)
                return
            if request.charge_for is not None:
                request.charge_for.check()
            if request.media_type == b"multipart/form-data":
                raise UnsupportedMediaType(
                    "the body is multipart/form-data; expected JSON, as in: curl -d '{…}'"
                )
            body = await self._body(request, receive)
            begin = time.perf_counter()
            self._manager.authentication.check(principal)  # it may have taken long
            try:
                await self._publish(request, body, scope, send)
            finally:
                self._manager.hub.answered(request.channel, time.perf_counter() - begin)
        except EventHubError as error:
            if request is not None:
                request.end_trace((error,))
            self._manager.hub.rejected(scope["path"][len(PREFIX) :], error)
            await send_problem(send, error.detached())
        except ConnectionError:
            pass  # the producer left before its body was complete: nothing is stored

    async def _publish(
        self, request: PublishRequest, body: bytes, scope: Scope, send: Send
    ) -> None:
        """Store and answer. Raises EventHubError."""
        request.begin_trace()
        if request.trace is not None:
            note(scope, trace_id=trace_id_of(request.attributes))
        try:
            several = body.lstrip(b" \t\r\n")[:1] == b"[" and not request.cloudevent
            await (self._batch if several else self._single)(request, body, send)
        except asyncio.CancelledError:  # the server stops, and waits for the broker no longer
            raise ShuttingDown(
                "the server stops, and whether the event is stored is not known; publish it again, with the same key"
            ) from None
        except EventHubError as error:
            if not (request.lenient and about_event(error)):
                raise
            self._manager.hub.rejected(request.channel, error)
            self._note_lenient(request, error.code, error.message)
            await self._answer_batch(request, (error,), send)
        except Exception as error:
            self._manager.hub.faults.note(
                "publish", error, channel=request.channel, trace_id=trace_id_of(request.attributes)
            )
            raise internal() from None

    def _note_lenient(self, request: PublishRequest, code: str, reason: str) -> None:
        """A shipper that sends no JSON at all takes 200 for a success, and nobody would see that all of it is lost."""
        now, kind = time.monotonic(), request.kind.name
        if code == "invalid_json" and now >= self._quiet.get(kind, now):
            self._quiet[kind] = now + AGAIN_SECONDS
            log.warning("lenient_body_refused", type=kind, channel=request.channel, reason=reason)

    async def _single(self, request: PublishRequest, body: bytes, send: Send) -> None:
        request.pay(1)
        if not body and FRAMING.isdisjoint(request.headers):
            raise InvalidJson(
                "expected JSON, received nothing: the request has neither a Content-Length nor a body in chunks"
            )
        event = request.event(body) if len(body) <= SMALL else await self._look(request, body)
        (outcome,) = await request.publish(self._manager.hub, (event,))
        request.end_trace((outcome,))
        if request.lenient and not (isinstance(outcome, EventHubError) and retryable(outcome)):
            return await self._answer_batch(request, (outcome,), send)  # in one shape, which counts
        if isinstance(outcome, EventHubError):
            return await send_problem(send, outcome)
        position, time, replayed = outcome
        text = f'{{"id":"{position}","channel":"{request.channel}","time":"{format_time(time)}"}}'
        await answer(send, HTTPStatus.CREATED, text.encode(), replayed=replayed)

    async def _batch(self, request: PublishRequest, body: bytes, send: Send) -> None:
        events = await EventArray(
            request, self._manager.turns, partial(self._manager.hub.rejected, request.channel)
        ).events(body)
        request.pay(len(events))
        valid = [event for event in events if isinstance(event, NewEvent)]
        receipts = iter(await self._store(request, valid) if valid else ())
        if len(valid) == len(events):
            return await self._answer_batch(request, [*receipts], send)
        await self._answer_batch(
            request,
            [next(receipts) if isinstance(event, NewEvent) else event for event in events],
            send,
        )

    async def _store(
        self, request: PublishRequest, events: Sequence[NewEvent]
    ) -> Sequence[Receipt | EventHubError]:
        """Store the events of an array, a group a turn. Raises EventHubError when none of them is stored."""
        hub, turns, since = self._manager.hub, self._manager.turns, 0.0
        if len(events) <= TOGETHER:
            return await request.publish(hub, events)
        outcomes: list[Receipt | EventHubError] = []
        while len(outcomes) < len(events):
            if outcomes:  # a group counts as a slice: brokers that wait spend the time of others
                turns.spend(SLICE_SECONDS)
                since = turns.served(since, SLICE_SECONDS)
                await turns.another(since)
            try:
                outcomes += await request.publish(
                    hub, events[len(outcomes) : len(outcomes) + TOGETHER]
                )
            except EventHubError as error:
                if not outcomes:
                    raise
                hub.rejected(request.channel, error)
                outcomes += [error.detached()] * (len(events) - len(outcomes))
        return outcomes

    async def _look(self, request: PublishRequest, body: bytes) -> NewEvent:
        """At an event that may take long: in a turn that has time for it. Raises EventHubError."""
        if self._manager.turns.over:
            await self._manager.turns.another(size=len(body))
        with TurnShare(self._manager.turns):
            return request.event(body)

    async def _answer_batch(
        self, request: PublishRequest, outcomes: Sequence[Receipt | EventHubError], send: Send
    ) -> None:
        request.end_trace(outcomes)
        results, rejected, replayed = [], 0, False
        later: EventHubError | None = None
        shown, text = -1, ""  # events of a batch mostly have one time
        told: EventHubError | None = (
            None  # refused items often share one error (server/publish/batch.py)
        )
        refusal = ""
        piece = TurnShare(self._manager.turns)
        for number, outcome in enumerate(outcomes, 1):
            if number % LOOK == 0 and piece.over:
                await piece.another()
            if isinstance(outcome, EventHubError):
                rejected += 1
                later = later or (outcome if retryable(outcome) else None)
                if outcome is not told:
                    told, refusal = outcome, orjson.dumps({"error": outcome.as_dict()}).decode()
                results.append(refusal)
            else:
                (epoch, offset), time, again = outcome
                replayed = replayed or again
                if time != shown:
                    shown, text = time, format_time(time)
                results.append(f'{{"id":"{epoch}-{offset}","time":"{text}"}}')
        counts = f'"accepted":{len(results) - rejected},"rejected":{rejected}'
        body = f'{{"channel":"{request.channel}",{counts},"results":[{",".join(results)}]}}'
        status = status_of(
            len(results) - rejected, rejected, later, request.handling, HTTPStatus.CREATED
        )
        more = [*APPLIED] if request.lenient else []
        if later is not None and status == later.status:
            more += headers_of(later)
        await answer(send, status, body.encode(), more, replayed=replayed)

    async def _body(self, request: PublishRequest, receive: Receive) -> bytes:
        limit = request.limits.body_bytes
        if (length := int(request.headers.get(b"content-length", b"0"))) > limit:
            raise too_large(f"the body has {length} bytes", "body_bytes", limit)
        # bytes would be copied again for each piece: a packet of one byte would cost as much as the
        # body
        body = bytearray()
        end = asyncio.get_running_loop().time() + request.limits.body_seconds
        if await self._more(request, receive, body, end):
            with self._manager.registry.counted(
                request.principal
            ):  # what is here already is held until the rest comes
                while await self._more(request, receive, body, end):
                    pass
        return bytes(body)

    async def _more(
        self, request: PublishRequest, receive: Receive, body: bytearray, end: float
    ) -> bool:
        """Take the next piece of a body; whether there is another. `end`: when it must be whole, on the loop's clock, but for its size."""
        limit = request.limits.body_bytes
        try:
            message = await within(
                max(0, end + len(body) / LEAST_RATE - asyncio.get_running_loop().time()), receive()
            )
        except TimeoutError:
            raise too_slow("the body", request.limits.body_seconds) from None
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        body += message["body"]
        if len(body) > limit:
            raise too_large(f"the body has {len(body)} bytes or more", "body_bytes", limit)
        return bool(message.get("more_body"))


def _codings(value: bytes) -> str:
    """What was done to the content (RFC 9110, 8.4), but for nothing: names are case-insensitive, and several make a list."""
    names = (name.strip().lower() for name in value.decode("latin-1").split(","))
    return ", ".join(name[:40] for name in names if name not in ("", "identity"))


async def answer(
    send: Send,
    status: int,
    body: bytes,
    more: Sequence[tuple[bytes, bytes]] = (),
    *,
    replayed: bool = False,
) -> None:
    """A complete response."""
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        *ALWAYS,
        *more,
    ]
    if replayed:
        headers.append(REPLAYED)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
