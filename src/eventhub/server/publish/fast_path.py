"""Publishes that need no waiting: they are answered within the callback that completes the request.

A request takes this way if one with the same head was accepted before by `PublishEndpoint`, which
makes every check of a head; if its body is one small event, or an array that needs no turns; and if
the broker stores at once.
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
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.publish.batch import PART_BYTES, PART_COMMAS, WHITE_SPACE
from eventhub.server.publish.endpoint import EVENTS_PER_GROUP, SMALL_EVENT_BYTES, PublishEndpoint
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
from eventhub.server.security.cors import VARY

HEADS = 4096
"""Heads that are remembered. Beyond it, the oldest is forgotten."""
_UNUSUAL = frozenset(
    (b"traceparent", b"prefer", b"expect", b"origin", b"if-match", b"if-none-match")
)
"""Requests with such a header are not remembered: it differs from request to request, or changes
the response.
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
        self.publish_later = PublishEndpoint(manager).publish_known
        """Publish a body that needs to wait, or more than a turn. Returns the response."""
        self._tracing = manager.hub.tracing
        self.traced = self._tracing is not None
        """Then a publish that has to wait goes the whole way: its span is kept in its request."""
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
    ) -> PublishResponse | None:
        """Store the events of a body. `key`: the header Idempotency-Key. Returns the response.

        None if it cannot be answered within this turn, or if an event of an array is refused.
        Nothing has happened then.
        """
        is_array = body[:1] != b"{" and body.lstrip(WHITE_SPACE)[:1] == b"["
        if not self._takes(body, key, is_array=is_array):
            return None
        begin = time.perf_counter()
        trace = None if self._tracing is None else LaneTrace(self._tracing, request)
        try:
            response = self._respond(request, key, body, trace, is_array=is_array)
        except EventHubError as error:
            response = problem_response(error)
        if response is not None:
            self._hub.answered(request.channel, time.perf_counter() - begin)
            if self._log.on:
                path = PREFIX + request.channel
                known = {} if trace is None else {"trace_id": trace.id}
                self._log.write(request.method, path, response.status, request.address, **known)
        return response

    def _takes(self, body: bytes, key: bytes | None, *, is_array: bool) -> bool:
        """Whether a body of this size can be answered within this turn."""
        if is_array:
            small = len(body) <= self._largest_array and body.count(b",") <= PART_COMMAS
            fits = small and key is None
        else:
            fits = 0 < len(body) <= self._largest_event
        return fits and self._hub.publishes_now and self._manager.request_starts.at_once(len(body))

    def _respond(
        self,
        request: PublishRequest,
        key: bytes | None,
        body: bytes,
        trace: LaneTrace | None,
        *,
        is_array: bool,
    ) -> PublishResponse | None:
        """Raises EventHubError, which has been counted."""
        outcome: Receipt | Receipts | EventHubError | Sequence[EventHubError] | None
        try:
            if request.principal is not ANYONE:
                self._authentication.check(request.principal)
            store = self._store_array if is_array else self._store_event
            outcome = store(request, key, body, trace)
        except EventHubError as error:
            self._hub.rejected(request.channel, error)
            if trace is not None:
                trace.end((error,))
            raise error.without_traceback() from None
        except Exception as error:
            trace_id = None if trace is None else trace.id
            self._hub.faults.note("publish", error, channel=request.channel, trace_id=trace_id)
            fault = internal()
            self._hub.rejected(request.channel, fault)
            if trace is not None:
                trace.end((fault,), fault)
            raise fault from None
        if trace is not None and outcome is not None:
            trace.end((outcome,) if isinstance(outcome, Receipt | EventHubError) else outcome)
        return self._response(request, outcome)

    def _response(
        self,
        request: PublishRequest,
        outcome: Receipt | Receipts | EventHubError | Sequence[EventHubError] | None,
    ) -> PublishResponse | None:
        if isinstance(outcome, Receipt):
            return receipt_response(request.channel, outcome)
        if isinstance(outcome, Receipts):
            return receipts_response(request.channel, outcome)
        if isinstance(outcome, EventHubError):
            raise outcome
        return None if outcome is None else results_response(request, outcome)

    def _store_event(
        self, request: PublishRequest, key: bytes | None, body: bytes, trace: LaneTrace | None
    ) -> Receipt | EventHubError:
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
        return self._hub.publish_now(tuple.__new__(NewEvent, row))

    def _store_array(
        self, request: PublishRequest, _: bytes | None, body: bytes, trace: LaneTrace | None
    ) -> Receipts | Sequence[EventHubError] | None:
        """None if an event is refused or has a key, or there are none, or too many for a turn."""
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
        events = NewEvents(request.channel, items, self._now(), attributes)
        return self._hub.publish_all_now(events)


def _is_usual(request: PublishRequest) -> bool:
    """Whether each body is JSON, and the response depends on nothing else."""
    return (
        _UNUSUAL.isdisjoint(request.headers)
        and not request.is_ndjson
        and not request.is_lenient
        and not request.is_cloudevent
        and request.media_type != b"multipart/form-data"
    )
