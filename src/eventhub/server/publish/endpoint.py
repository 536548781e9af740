"""POST and PUT /v1/channels/{channel}, the hot path: a plain ASGI application.

It decides which of the three kinds of body was sent (one event, a JSON array, NDJSON), and turns
errors into responses.
"""

import asyncio
import time
from collections.abc import Sequence
from functools import partial

import structlog
from starlette.types import Receive, Scope, Send

from eventhub.auth.principal import Principal
from eventhub.common.faults import internal
from eventhub.delivery.cloudevents import BATCH_TYPE
from eventhub.errors import EventHubError, InvalidJson, UnsupportedMediaType
from eventhub.events.event import NewEvent, Receipt
from eventhub.events.senml import MEDIA_TYPE as SENML_TYPE
from eventhub.observability.tracing import trace_id_of
from eventhub.server.connections.access_log import note
from eventhub.server.connections.fair_queue import SLICE_SECONDS, TimeSlice
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.messages.asgi_extensions import OFFER
from eventhub.server.messages.problem import send_problem
from eventhub.server.messages.request_head import headers_by_name
from eventhub.server.publish.batch import WHITE_SPACE, BatchDecoder
from eventhub.server.publish.body import Body, read_body
from eventhub.server.publish.cloudevent_batch import CloudEventBatchDecoder
from eventhub.server.publish.content_coding import unpacked
from eventhub.server.publish.handling import is_event_fault, retryable
from eventhub.server.publish.ndjson import NdjsonPublish
from eventhub.server.publish.refused_head import arrived, received_with
from eventhub.server.publish.request import PREFIX, PublishRequest
from eventhub.server.publish.response import (
    PublishResponse,
    problem_response,
    receipt_response,
    results_response_in_turns,
    send_response,
)
from eventhub.server.publish.senml_batch import SenmlBatchDecoder
from eventhub.server.publish.signal_endpoint import SignalEndpoint
from eventhub.server.publish.waiting_publish import stopped_meanwhile
from eventhub.server.security.authentication import address_of

METHODS = ("POST", "PUT")
LENIENT_LOG_SECONDS = 600.0
"""Seconds between two log lines `lenient_body_refused` for one channel type, at least."""
SMALL_EVENT_BYTES = 4096
"""Events of up to this size are decoded without waiting for a turn."""
EVENTS_PER_GROUP = 500
"""Events of an array that are stored in one turn of the loop. Storing this many takes half a
millisecond.
"""
PACKS: dict[bytes, type[BatchDecoder]] = {
    BATCH_TYPE: CloudEventBatchDecoder,
    SENML_TYPE: SenmlBatchDecoder,
}
"""Media types whose bodies are arrays of a form of their own."""
BODY_HEADERS = frozenset((b"content-length", b"transfer-encoding"))
"""Either says that a body follows (RFC 9112, 6)."""

log = structlog.get_logger("eventhub.publish")


class PublishEndpoint:
    """The ASGI application that `RequestRouter` hands each POST and PUT of a channel to."""

    def __init__(self, manager: ConnectionManager) -> None:
        self._manager = manager
        self._send_signal = SignalEndpoint(manager)
        self._quiet_until: dict[str, float] = {}  # of `lenient_body_refused`, by channel type

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if b"signal" in scope["query_string"]:
            return await self._send_signal(scope, receive, send)
        request: PublishRequest | None = None
        principal: Principal | None = None
        body = Body()
        try:
            headers = headers_by_name(scope["headers"])
            principal = await self._manager.authentication.admit(headers, address=address_of(scope))
            request = PublishRequest(self._manager, scope, headers, principal)
            if (offer := scope.get(OFFER)) is not None:
                offer(request)
            if self._manager.access_log.on:
                note(scope, trace_id=trace_id_of(request.sent_attributes))
            if request.is_ndjson:
                await self._publish_lines(request, scope, receive, send)
            else:
                await self._publish_body(request, scope, receive, send, body)
        except EventHubError as error:
            if request is not None:
                request.end_trace((error,))
                cut = error.limit == "body_bytes" or (bool(body) and not body.is_whole)
                begun = body or (arrived(request.headers, receive)[0] if cut else b"")
                received = request.received(begun, cut=cut)
            else:
                received = received_with(self._manager, scope, principal, receive)
            self._manager.hub.rejected(scope["path"][len(PREFIX) :], error, received)
            await send_problem(send, error.without_traceback())
        except ConnectionError:
            pass  # the producer left before its body was complete: nothing is stored

    async def publish_known(self, request: PublishRequest, body: bytes) -> PublishResponse:
        """Publish a body whose head was accepted before. Returns the response."""
        response = await self.publish_body(request, body)
        path = PREFIX + request.channel
        self._manager.access_log.write(request.method, path, response.status, request.address)
        return response

    async def publish_body(self, request: PublishRequest, body: bytes) -> PublishResponse:
        """As `publish_known`, without a line in the access log."""
        manager = self._manager
        try:
            if request.charge is not None:
                request.charge.check()
            return await self._publish_whole(request, body, {})
        except EventHubError as error:
            manager.hub.rejected(request.channel, error, request.received(body))
            return problem_response(error.without_traceback())
        except Exception as error:
            manager.hub.faults.note("request", error, channel=request.channel)
            return problem_response(internal())

    async def _publish_lines(
        self, request: PublishRequest, scope: Scope, receive: Receive, send: Send
    ) -> None:
        identity = self._manager.registry.new_identity(request.principal, address_of(scope))
        stream = NdjsonPublish(self._manager, request, identity)
        try:
            receive = unpacked(request.headers, receive, self._manager.fair_queue)
            await stream.run(scope, receive, send)
        finally:
            if request.is_lenient and stream.body_error is not None:
                self._log_lenient(request, *stream.body_error)

    async def _publish_body(
        self,
        request: PublishRequest,
        scope: Scope,
        receive: Receive,
        send: Send,
        received: Body,
    ) -> None:
        if request.charge is not None:
            request.charge.check()
        if request.media_type == b"multipart/form-data":
            raise UnsupportedMediaType(
                "the body is multipart/form-data; expected JSON, as in: curl -d '{…}'"
            )
        body = await read_body(self._manager, request, receive, received)
        await send_response(send, await self._publish_whole(request, body, scope))

    async def _publish_whole(
        self, request: PublishRequest, body: bytes, scope: Scope
    ) -> PublishResponse:
        """Store the body's events, if its principal still may. Raises EventHubError."""
        begin = time.perf_counter()
        self._manager.authentication.check(request.principal)  # it may have expired meanwhile
        try:
            return await self._publish(request, body, scope)
        finally:
            self._manager.hub.answered(request.channel, time.perf_counter() - begin)

    async def _publish(self, request: PublishRequest, body: bytes, scope: Scope) -> PublishResponse:
        """Store the body's events. Raises EventHubError."""
        request.begin_trace()
        if request.is_traced:
            note(scope, trace_id=request.trace_id)
        try:
            is_batch = request.media_type in PACKS or (
                body.lstrip(WHITE_SPACE)[:1] == b"[" and not request.is_cloudevent
            )
            publish = self._publish_batch if is_batch else self._publish_event
            return await publish(request, body)
        except asyncio.CancelledError:  # the drain is over, and the broker has not answered
            raise stopped_meanwhile() from None
        except EventHubError as error:
            if not (request.is_lenient and is_event_fault(error)):
                raise
            self._manager.hub.rejected(request.channel, error, request.received(body))
            self._log_lenient(request, error.code, error.message)
            return await self._results(request, (error,))
        except Exception as error:
            self._manager.hub.faults.note(
                "publish", error, channel=request.channel, trace_id=request.trace_id
            )
            raise internal() from None

    async def _publish_event(self, request: PublishRequest, body: bytes) -> PublishResponse:
        request.pay(1)
        if not body and request.mode is None and BODY_HEADERS.isdisjoint(request.headers):
            raise InvalidJson(
                "expected JSON, received nothing: the request has neither a Content-Length nor a"
                " body in chunks"
            )
        if len(body) <= SMALL_EVENT_BYTES:
            event = request.decode(body)
        else:
            event = await self._decode_large(request, body)
        (outcome,) = await request.publish(self._manager.hub, (event,))
        request.end_trace((outcome,))
        if request.is_lenient and not (isinstance(outcome, EventHubError) and retryable(outcome)):
            return await self._results(request, (outcome,))  # as for an array: it has counts
        if isinstance(outcome, EventHubError):
            return problem_response(outcome)
        return receipt_response(request.channel, outcome)

    async def _decode_large(self, request: PublishRequest, body: bytes) -> NewEvent:
        """Decode an event that may take long, in a turn that has time for it."""
        if self._manager.fair_queue.over:
            await self._manager.fair_queue.next_turn(size=len(body))
        with TimeSlice(self._manager.fair_queue):
            return request.decode(body)

    async def _publish_batch(self, request: PublishRequest, body: bytes) -> PublishResponse:
        if request.decoder.expected is not None:
            raise request.precondition_of_many()
        if request.reference is not None:
            raise request.reference_of_many()
        rejected = partial(self._manager.hub.rejected, request.channel)
        kind = PACKS.get(request.media_type, BatchDecoder)
        decoded = await kind(request, self._manager.fair_queue, rejected).decode(body)
        request.pay(len(decoded))
        valid = [event for event in decoded if isinstance(event, NewEvent)]
        outcomes = await self._store(request, valid) if valid else ()
        if len(valid) != len(decoded):
            stored = iter(outcomes)
            outcomes = [next(stored) if isinstance(event, NewEvent) else event for event in decoded]
        return await self._results(request, outcomes)

    async def _store(
        self, request: PublishRequest, events: Sequence[NewEvent]
    ) -> Sequence[Receipt | EventHubError]:
        """Store an array's events, one group a turn. Raises EventHubError if none is stored."""
        hub, fair_queue, since = self._manager.hub, self._manager.fair_queue, 0.0
        if len(events) <= EVENTS_PER_GROUP:
            return await request.publish(hub, events)
        outcomes: list[Receipt | EventHubError] = []
        while len(outcomes) < len(events):
            if outcomes:  # a group counts as a slice: while a broker waits, others use CPU time
                fair_queue.spend(SLICE_SECONDS)
                since = fair_queue.advanced_position(since, SLICE_SECONDS)
                await fair_queue.next_turn(since)
            group = events[len(outcomes) : len(outcomes) + EVENTS_PER_GROUP]
            try:
                outcomes += await request.publish(hub, group)
            except EventHubError as error:
                if not outcomes:
                    raise
                hub.rejected(request.channel, error)
                outcomes += [error.without_traceback()] * (len(events) - len(outcomes))
        return outcomes

    async def _results(
        self, request: PublishRequest, outcomes: Sequence[Receipt | EventHubError]
    ) -> PublishResponse:
        request.end_trace(outcomes)
        return await results_response_in_turns(request, outcomes, self._manager.fair_queue)

    def _log_lenient(self, request: PublishRequest, code: str, reason: str) -> None:
        """Warn that a lenient body was not JSON: its events are lost, but the producer sees 200."""
        now, name = time.monotonic(), request.channel_type.name
        if code == "invalid_json" and now >= self._quiet_until.get(name, now):
            self._quiet_until[name] = now + LENIENT_LOG_SECONDS
            log.warning("lenient_body_refused", type=name, channel=request.channel, reason=reason)
