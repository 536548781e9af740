"""Publishes that need no waiting: they are answered within the callback that completes the request.

A request takes this way if one with the same head was accepted before by `PublishEndpoint`, which
makes every check of a head; if its body is one small event; and if the broker stores at once.
Nothing of a head is checked again, because the same bytes have the same meaning. What can change in
between is: keys (then all heads are forgotten), expiry, blocks and quotas.
"""

import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple

from eventhub.auth.principal import ANYONE
from eventhub.common.faults import internal
from eventhub.errors import EventHubError
from eventhub.events.event import NewEvent, Receipt
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.messages.problem import ProblemResponse
from eventhub.server.messages.security_headers import ALWAYS, REPLAYED
from eventhub.server.publish.endpoint import SMALL_EVENT_BYTES
from eventhub.server.publish.headers import checked_idempotency_key
from eventhub.server.publish.request import PublishRequest
from eventhub.server.publish.response import encode_receipt

HEADS = 4096
"""Heads that are remembered. Beyond it, the oldest is forgotten."""
CREATED = ((b"content-type", b"application/json"), *ALWAYS)
"""Headers of the response to a stored event."""
_UNUSUAL = frozenset((b"traceparent", b"prefer", b"expect", b"origin"))
"""Requests with such a header are not remembered: it differs from request to request, or changes
the response.
"""

HeadKey = tuple[object, ...]
"""All that the acceptance of a head depends on."""


class PublishResponse(NamedTuple):
    """A complete response."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


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
        self._largest_body = min(SMALL_EVENT_BYTES, manager.settings.limits.body_bytes)
        self.on = (
            manager.hub.publishes_now
            and manager.hub.tracing is None
            and not manager.access_log.on
            and manager.origin_check.listed.empty
        )
        """A broker that waits, spans, the access log and CORS need the whole way of a request."""

    def find(self, key: HeadKey) -> AcceptedHead | None:
        """What was remembered for this head."""
        if self._generation != self._authentication.generation:
            self._generation = self._authentication.generation
            self._heads.clear()
        return self._heads.get(key)

    def remember(self, key: HeadKey, request: PublishRequest, length: int = 0) -> None:
        """The head of this request was accepted."""
        if self.on and _is_usual(request):
            self._heads[key] = AcceptedHead(request, length)
            if len(self._heads) > HEADS:
                del self._heads[next(iter(self._heads))]

    def takes(self, body: bytes) -> bool:
        """Whether this body can be answered within this turn."""
        return (
            0 < len(body) <= self._largest_body
            and (body[0] == _BRACE or body.lstrip(b" \t\r\n")[:1] != b"[")
            and self._hub.publishes_now
            and self._manager.request_starts.at_once()
        )

    def publish(self, request: PublishRequest, key: bytes | None, body: bytes) -> PublishResponse:
        """Store one event. `key`: the header Idempotency-Key. Returns the response."""
        hub, channel = self._hub, request.channel
        begin = time.perf_counter()
        try:
            receipt = self._store(request, key, body)
            headers = (*CREATED, REPLAYED) if receipt.replayed else CREATED
            return PublishResponse(HTTPStatus.CREATED, headers, encode_receipt(channel, receipt))
        except EventHubError as error:
            return _problem(error)
        finally:
            hub.answered(channel, time.perf_counter() - begin)

    def _store(self, request: PublishRequest, key: bytes | None, body: bytes) -> Receipt:
        """Raises EventHubError, which has been counted."""
        try:
            checked = None if key is None else checked_idempotency_key(key)
            if request.principal is not ANYONE:
                self._authentication.check(request.principal)
            if request.charge is not None:
                request.pay(1)
            data = request.decoder.canonical(body)
            row = (request.channel, data, self._now(), request.sent_attributes, checked)
            outcome = self._hub.publish_now(tuple.__new__(NewEvent, row))
        except EventHubError as error:
            self._hub.rejected(request.channel, error)
            raise error.without_traceback() from None
        except Exception as error:
            self._hub.faults.note("publish", error, channel=request.channel, trace_id=None)
            fault = internal()
            self._hub.rejected(request.channel, fault)
            raise fault from None
        if isinstance(outcome, EventHubError):
            raise outcome
        return outcome


_BRACE = ord("{")


def _is_usual(request: PublishRequest) -> bool:
    """Whether each body is JSON, and the response depends on nothing else."""
    return (
        _UNUSUAL.isdisjoint(request.headers)
        and not request.is_ndjson
        and not request.is_lenient
        and not request.is_cloudevent
        and request.media_type != b"multipart/form-data"
    )


def _problem(error: EventHubError) -> PublishResponse:
    problem = ProblemResponse(error)
    headers = [field for field in problem.raw_headers if field[0] != b"content-length"]
    return PublishResponse(problem.status_code, headers, bytes(problem.body))
