"""POST and PUT of a channel with ?signal=true: one signal. A plain ASGI application."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from eventhub.auth.principal import Principal
from eventhub.config.limit_settings import LimitSettings
from eventhub.errors import EventHubError, InvalidRequest, UnsupportedMediaType
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.messages.problem import send_problem
from eventhub.server.messages.request_head import headers_by_name
from eventhub.server.publish.batch import WHITE_SPACE
from eventhub.server.publish.body import read_body
from eventhub.server.publish.headers import (
    NDJSON_TYPES,
    ONE_EVENT,
    attributes_of,
    check_body_type,
    media_type_of,
    precondition_of,
)
from eventhub.server.publish.request import PREFIX
from eventhub.server.publish.response import STORED, PublishResponse, send_response
from eventhub.server.publish.signal_decoder import SignalDecoder
from eventhub.server.security.authentication import address_of

SIGNAL = "signal"
"""The query parameter."""
SEVERAL = "expected one signal; POST /v1/events takes several"


class SignalRequest(NamedTuple):
    """A request whose head is checked (`BodyRequest`)."""

    principal: Principal
    headers: Mapping[bytes, bytes]
    limits: LimitSettings
    decoder: SignalDecoder


class SignalEndpoint:
    """What `PublishEndpoint` hands requests with the parameter `signal` to."""

    def __init__(self, manager: ConnectionManager) -> None:
        self._manager = manager

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        manager, channel = self._manager, scope["path"][len(PREFIX) :]
        try:
            request = await self._accepted(scope, channel)
            body = await read_body(manager, request, receive)
            manager.authentication.check(request.principal)  # it may have expired meanwhile
            if body.lstrip(WHITE_SPACE)[:1] == b"[" and ONE_EVENT.isdisjoint(request.headers):
                raise InvalidRequest(f"the body is a JSON array; {SEVERAL}")
            attributes = attributes_of(request.headers)
            manager.hub.signal(request.decoder.decode(channel, body, attributes))
            await send_response(send, signal_response(channel))
        except EventHubError as error:
            manager.hub.signal_rejected(channel, error)
            await send_problem(send, error.without_traceback())
        except ConnectionError:
            pass  # the sender left before its body was complete

    async def _accepted(self, scope: Scope, channel: str) -> SignalRequest:
        """The request, after all checks of its head. Raises EventHubError."""
        manager = self._manager
        headers, address = headers_by_name(scope["headers"]), address_of(scope)
        principal = await manager.authentication.admit(headers, address=address)
        decoder = SignalDecoder(manager, principal, address)
        decoder.admit(channel)
        manager.origin_check.check(headers)
        check_query(scope["query_string"])
        media_type = media_type_of(headers)
        check_body_type(media_type, headers)
        if media_type in NDJSON_TYPES:
            raise UnsupportedMediaType(f"the body is NDJSON; {SEVERAL}, also as NDJSON")
        if b"idempotency-key" in headers:
            raise InvalidRequest(
                "a signal has no Idempotency-Key, because it is not stored and never repeated"
            )
        if precondition_of(headers) is not None:
            raise InvalidRequest(
                "a signal has no If-Match and no If-None-Match, because it is not in the state"
            )
        return SignalRequest(principal, headers, manager.settings.limits, decoder)


def check_query(query: bytes) -> None:
    """Raises InvalidRequest for anything but `signal=true`, once."""
    try:
        parameters = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise InvalidRequest("the query string is not percent-encoded UTF-8") from None
    for name, value in parameters:
        if name != SIGNAL:
            raise InvalidRequest(
                f"the query parameter {name[:40]!r} does not go with {SIGNAL}, which stands alone"
            )
        if value != "true":
            raise InvalidRequest(
                f"{SIGNAL} is {value[:40]!r}; expected true, or no such parameter for an event"
            )
    if len(parameters) > 1:
        raise InvalidRequest(f"the query parameter {SIGNAL!r} is given more than once")


def signal_response(channel: str) -> PublishResponse:
    """202: it was accepted, and those who can get it get it (RFC 9110, 15.3.3)."""
    return PublishResponse(HTTPStatus.ACCEPTED, STORED, signal_result(channel))


def signal_result(channel: str) -> bytes:
    """The result of an accepted signal. A channel's name needs no escapes."""
    return f'{{"channel":"{channel}","signal":true}}'.encode()
