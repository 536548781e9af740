"""Publishes without a task.

If the broker stores at once, they are answered within the callback that completes the request.
Otherwise the broker's callback answers them, when the events are stored.

A request takes this way if one with the same head was accepted before by `PublishEndpoint`, which
makes every check of a head; and if its body is one small event, or an array that needs no turns.
Nothing of a head is checked again, because the same bytes have the same meaning. What can change in
between is: keys (then all heads are forgotten), expiry, blocks and quotas.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

from eventhub.auth.principal import ANYONE
from eventhub.common.faults import internal
from eventhub.errors import EventHubError
from eventhub.events.event import NewEvent, NewEvents, Receipt, Receipts
from eventhub.events.refused_event import Received
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.publish.batch import PART_BYTES, PART_COMMAS, WHITE_SPACE
from eventhub.server.publish.endpoint import (
    EVENTS_PER_GROUP,
    PACKS,
    SMALL_EVENT_BYTES,
    PublishEndpoint,
)
from eventhub.server.publish.headers import checked_idempotency_key
from eventhub.server.publish.lane_trace import LaneTrace
from eventhub.server.publish.request import PREFIX, PublishRequest
from eventhub.server.publish.response import (
    PublishResponse,
    problem_response,
    receipt_response,
    receipts_response,
    results_response,
)
from eventhub.server.publish.waiting_publish import Outcome, WaitingPublish
from eventhub.server.security.cors import VARY

HEADS = 4096
"""Heads that are remembered. Beyond it, the oldest is forgotten."""
_UNUSUAL = frozenset(
    b"traceparent prefer expect origin if-match if-none-match content-encoding".split()
)
"""Requests with such a header are not remembered: it differs from request to request, or changes
the response or the body.
"""

HeadKey = tuple[object, ...]
"""All that the acceptance of a head depends on."""


class AcceptedHead(NamedTuple):
    """A head that was accepted, and the length of its body."""

    request: PublishRequest
    length: int


class PublishFastPath:
    """The heads that were accepted, and the publishes with them."""

    def __init__(self, manager: ConnectionManager) -> None:
        self._authentication = manager.authentication
        self._hub = manager.hub
        self._now = manager.hub.now
        self._manager = manager
        self._heads: dict[HeadKey, AcceptedHead] = {}
        self._generation = 0
        limits = manager.settings.limits
        self._largest_event = min(SMALL_EVENT_BYTES, limits.body_bytes)
        self._largest_array = min(PART_BYTES, limits.body_bytes)
        self._most_items = min(EVENTS_PER_GROUP, limits.batch)
        self._log = manager.access_log
        self.publish_in_task = PublishEndpoint(manager).publish_known
        """Publish a body that needs more than a turn. Returns the response."""
        self._tracing = manager.hub.tracing
        self.traced = self._tracing is not None
        """Then a publish that needs a task goes the whole way: its span is kept in its request."""
        self.headers = () if manager.origin_check.listed.empty else (VARY,)
        """Headers of each response besides. A request without an Origin needs no other for CORS."""

    def find(self, key: HeadKey) -> AcceptedHead | None:
        """What was remembered for this head."""
        if self._generation != self._authentication.generation:
            self._generation = self._authentication.generation
            self._heads.clear()
        return self._heads.get(key)

    def remember(self, key: HeadKey, request: PublishRequest, length: int = 0) -> None:
        """The head of this request was accepted."""
        if _is_usual(request):
            self._heads[key] = AcceptedHead(request, length)
            if len(self._heads) > HEADS:
                del self._heads[next(iter(self._heads))]

    def publish(
        self, request: PublishRequest, key: bytes | None, body: bytes
    ) -> PublishResponse | WaitingPublish | None:
        """Store the events of a body. `key`: the header Idempotency-Key.

        Returns the response, or what will give it if the broker waits. None if it cannot be
        published within this turn, or if an event of an array is refused. Nothing has happened
        then.
        """
        is_array = body[:1] != b"{" and body.lstrip(WHITE_SPACE)[:1] == b"["
        if not self._takes(body, key, is_array=is_array):
            return None
        begin = time.perf_counter()
        trace = None if self._tracing is None else LaneTrace(self._tracing, request)
        outcome: Receipt | Receipts | EventHubError | Sequence[EventHubError]
        try:
            if request.principal is not ANYONE:
                self._authentication.check(request.principal)
            events = (self._read_array if is_array else self._read_event)(request, key, body, trace)
            if events is None:
                return None
            if not self._hub.publishes_now:
                return self._publish_later(request, events, trace, begin)
            if isinstance(events, NewEvents):
                outcome = self._hub.publish_all_now(events)
            else:
                outcome = self._hub.publish_now(events)
        except Exception as error:
            received = request.received(body, key=key)
            response = self._failed(request, error, trace, received)
        else:
            response = _response(request, outcome, trace)
        self._answered(request, response, trace, begin)
        return response

    def _takes(self, body: bytes, key: bytes | None, *, is_array: bool) -> bool:
        """Whether a body of this size can be published within this turn."""
        if is_array:
            small = len(body) <= self._largest_array and body.count(b",") <= PART_COMMAS
            fits = small and key is None
        else:
            fits = 0 < len(body) <= self._largest_event
        hub = self._hub
        return (
            fits
            and (hub.publishes_now or hub.publishes_later)
            and self._manager.request_starts.at_once(len(body))
        )

    def _publish_later(
        self,
        request: PublishRequest,
        events: NewEvent | NewEvents,
        trace: LaneTrace | None,
        begin: float,
    ) -> WaitingPublish:
        is_array = isinstance(events, NewEvents)

        def finish(outcome: Outcome) -> PublishResponse:
            if isinstance(outcome, Exception):
                response = self._failed(request, outcome, trace)
            else:
                response = _response(request, outcome if is_array else outcome[0], trace)
            self._answered(request, response, trace, begin)
            return response

        waiting = WaitingPublish(finish)
        each = events.apart() if isinstance(events, NewEvents) else (events,)
        self._hub.publish_later(each, waiting.stored)
        return waiting

    def _failed(
        self,
        request: PublishRequest,
        error: Exception,
        trace: LaneTrace | None,
        received: Received | None = None,
    ) -> PublishResponse:
        """The response when nothing is known to be stored."""
        if not isinstance(error, EventHubError):
            trace_id = None if trace is None else trace.id
            self._hub.faults.note("publish", error, channel=request.channel, trace_id=trace_id)
            error = internal()
        self._hub.rejected(request.channel, error, received)
        if trace is not None:
            trace.end((error,), error)
        return problem_response(error.without_traceback())

    def _answered(
        self,
        request: PublishRequest,
        response: PublishResponse,
        trace: LaneTrace | None,
        begin: float,
    ) -> None:
        self._hub.answered(request.channel, time.perf_counter() - begin)
        if self._log.on:
            path = PREFIX + request.channel
            known = {} if trace is None else {"trace_id": trace.id}
            self._log.write(request.method, path, response.status, request.address, **known)

    def _read_event(
        self, request: PublishRequest, key: bytes | None, body: bytes, trace: LaneTrace | None
    ) -> NewEvent:
        """The event of a body, paid for. Raises EventHubError."""
        checked = None if key is None else checked_idempotency_key(key)
        if request.charge is not None:
            request.pay(1)
        data = request.decoder.canonical(body)
        attributes = request.sent_attributes if trace is None else trace.begin()
        if request.channel_type.key is not None:
            attributes = request.channel_type.keyed(data, attributes)
        if trace is not None:
            trace.store()
        row = (request.channel, data, self._now(), attributes, checked, None)
        return tuple.__new__(NewEvent, row)

    def _read_array(
        self, request: PublishRequest, _: bytes | None, body: bytes, trace: LaneTrace | None
    ) -> NewEvents | None:
        """The events of an array, paid for. Raises EventHubError.

        None if an event is refused or has a key, or there are none, or too many for a turn.
        """
        if request.channel_type.key is not None:
            return None
        if request.charge is not None:
            request.charge.check()
        items = request.decoder.canonical_all(body)
        if not items or len(items) > self._most_items:
            return None
        request.pay(len(items))
        attributes = request.sent_attributes if trace is None else trace.begin()
        if trace is not None:
            trace.store()
        return NewEvents(request.channel, items, self._now(), attributes)


def _response(
    request: PublishRequest,
    outcome: Receipt | Receipts | EventHubError | Sequence[Receipt | EventHubError],
    trace: LaneTrace | None,
) -> PublishResponse:
    if trace is not None:
        trace.end((outcome,) if isinstance(outcome, Receipt | EventHubError) else outcome)
    if isinstance(outcome, Receipt):
        return receipt_response(request.channel, outcome)
    if isinstance(outcome, Receipts):
        return receipts_response(request.channel, outcome)
    if isinstance(outcome, EventHubError):
        return problem_response(outcome)
    return results_response(request, outcome)


def _is_usual(request: PublishRequest) -> bool:
    """Whether each body is JSON, and the response depends on nothing else."""
    return (
        _UNUSUAL.isdisjoint(request.headers)
        and not request.is_ndjson
        and not request.is_lenient
        and request.reference is None
        and not request.is_cloudevent
        and request.media_type not in (b"multipart/form-data", *PACKS)
    )
