"""The error tree, and the one table of wire codes.

EventHubError
├── InvalidJson, TooDeep, InvalidRequest, InvalidFrame                            400
├── InvalidChannel, InvalidSince, InvalidFilter, TooManySubscriptions             400
├── Unauthorized, InvalidToken, TokenExpired                                      401
├── Forbidden, OriginNotAllowed, Revoked                                          403
├── UnknownChannel, NotFound                                                      404
├── MethodNotAllowed                                                              405
├── SlowConsumer, PingTimeout, RequestTimeout                                     408
├── AlreadySubscribed, NotSubscribed                                              409
├── PreconditionFailed                                                            412
├── PayloadTooLarge                                                               413
├── UnsupportedMediaType                                                          415
├── MisdirectedRequest                                                            421
├── InvalidEvent, IdempotencyConflict                                             422
├── UpgradeRequired                                                               426
├── RateLimited, TooManyConnections                                               429
├── HeadTooLarge                                                                  431
├── Internal                                                                      500
├── Disconnected, BrokerUnavailable, KeysUnavailable                              503
└── TooManyChannels, NodeFull, ShuttingDown                                       503

ConfigurationError stands apart: it occurs at start-up and has no wire code. A WebSocket close code
is 4000 + the HTTP status. Messages say what was received and what was expected, and never hold a
payload.
"""

from collections.abc import Sequence
from http import HTTPStatus
from math import ceil
from typing import ClassVar, Self

TABLE: dict[str, type["EventHubError"]] = {}


class EventHubError(Exception):
    """An error with a stable `code` for the wire, an HTTP `status` and optional `details`.

    `retry_after` is the number of seconds to wait before another attempt, where that is known.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    retry_after: float | None = None
    limit: str | None = None
    """The setting below `limits` that caused the refusal, if one did."""
    id: str | None = None
    """The event that caused the refusal, if one did."""
    counted = False
    """Whether the refusal has been counted in the metrics of its limit."""

    def __init_subclass__(cls, code: str, status: int, limit: str | None = None) -> None:
        cls.code, cls.status, cls.limit = code, status, limit
        if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            cls.retry_after = 1.0
        TABLE[code] = cls

    def __init__(
        self,
        message: str,
        details: Sequence[dict[str, str]] = (),
        *,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = list(details)
        if retry_after is not None:
            self.retry_after = retry_after

    @property
    def close_code(self) -> int:
        """The WebSocket close code, in the private range (RFC 6455, 7.4.2)."""
        return 4000 + self.status

    @property
    def headers(self) -> dict[str, str]:
        """Headers of an HTTP response.

        Retry-After is in whole seconds (RFC 9110, 10.2.3). A 401 needs a challenge (RFC 6750, 3).
        """
        found = {} if self.retry_after is None else {"retry-after": str(ceil(self.retry_after))}
        if self.status == HTTPStatus.UNAUTHORIZED:
            found["www-authenticate"] = (
                "Bearer" if self.code == "unauthorized" else 'Bearer error="invalid_token"'
            )
        return found

    def with_limit(self, limit: str) -> Self:
        """Set the limit that was exceeded, for a class that serves several limits. Returns self."""
        self.limit = limit
        return self

    def without_traceback(self) -> Self:
        """Drop the traceback, whose frames keep objects such as a parsed event. Returns self."""
        self.__cause__ = self.__context__ = None
        return self.with_traceback(None)

    def as_dict(self) -> dict[str, object]:
        """The fields that every transport shows: code, message; id, details, retry_after if set."""
        fields: dict[str, object] = {"code": self.code, "message": self.message}
        if self.id is not None:
            fields["id"] = self.id
        if self.details:
            fields["details"] = self.details
        if self.retry_after is not None:
            fields["retry_after"] = round(self.retry_after, 3)
        return fields


class InvalidJson(EventHubError, code="invalid_json", status=400):
    """The body or message is not JSON, or not UTF-8."""


class TooDeep(EventHubError, code="too_deep", status=400, limit="depth"):
    """JSON nested deeper than the limit."""


class InvalidRequest(EventHubError, code="invalid_request", status=400):
    """A parameter or header is malformed."""


class InvalidFrame(EventHubError, code="invalid_frame", status=400):
    """A WebSocket message of an unknown type, or with wrong fields."""


class InvalidChannel(EventHubError, code="invalid_channel", status=400):
    """A malformed channel name."""


class InvalidSince(EventHubError, code="invalid_since", status=400):
    """`since` has an unknown form."""


class InvalidFilter(EventHubError, code="invalid_filter", status=400):
    """`where` is no filter, or one that takes too long."""


class TooManySubscriptions(
    EventHubError, code="too_many_subscriptions", status=400, limit="subscriptions"
):
    """More subscriptions than one connection may have."""


class Unauthorized(EventHubError, code="unauthorized", status=401):
    """A token or an API key is needed, and none was sent."""


class InvalidToken(EventHubError, code="invalid_token", status=401):
    """A token or API key that cannot be accepted."""


class TokenExpired(EventHubError, code="token_expired", status=401):
    """The token or API key has expired."""


class Forbidden(EventHubError, code="forbidden", status=403):
    """Not granted, or not allowed for this kind of publisher by the channel type."""


class OriginNotAllowed(EventHubError, code="origin_not_allowed", status=403):
    """A browser page of another origin."""


class Revoked(EventHubError, code="revoked", status=403):
    """An operator has blocked this principal or token."""


class UnknownChannel(EventHubError, code="unknown_channel", status=404):
    """The channel's type is not declared."""


class NotFound(EventHubError, code="not_found", status=404):
    """No such resource."""


class MethodNotAllowed(EventHubError, code="method_not_allowed", status=405):
    """The resource has no such method."""


class SlowConsumer(EventHubError, code="slow_consumer", status=408):
    """The reader was too slow for a channel whose policy is to disconnect."""


class PingTimeout(EventHubError, code="ping_timeout", status=408):
    """The client sent nothing, or took nothing, for too long (server/connections/liveness.py)."""


class RequestTimeout(EventHubError, code="request_timeout", status=408):
    """A head, a body or a message did not come in time."""


class AlreadySubscribed(EventHubError, code="already_subscribed", status=409):
    """The connection is already subscribed to the channel."""


class NotSubscribed(EventHubError, code="not_subscribed", status=409):
    """The connection is not subscribed to the channel."""


class PreconditionFailed(EventHubError, code="precondition_failed", status=412):
    """The newest event of the key is not the one that the publisher expected."""


class PayloadTooLarge(EventHubError, code="payload_too_large", status=413):
    """An event, message, body or batch over its limit."""


class UnsupportedMediaType(EventHubError, code="unsupported_media_type", status=415):
    """A binary WebSocket message, or a body in a form that is not accepted."""

    codings: str | None = None
    """The codings that are accepted, where the body's coding is not (RFC 9110, 12.5.3)."""

    @property
    def headers(self) -> dict[str, str]:
        """Headers of an HTTP response."""
        found = super().headers
        return found if self.codings is None else {**found, "accept-encoding": self.codings}


class MisdirectedRequest(EventHubError, code="misdirected_request", status=421):
    """The request is for a host that this server does not answer to."""


class UpgradeRequired(EventHubError, code="upgrade_required", status=426):
    """A plain request where a WebSocket handshake is expected."""


class RateLimited(EventHubError, code="rate_limited", status=429, limit="publish_rate"):
    """More events per second than the channel type or the key allows."""


class TooManyConnections(EventHubError, code="too_many_connections", status=429):
    """Too many connections are open from the client's address, or for its principal."""


class HeadTooLarge(EventHubError, code="head_too_large", status=431):
    """The request's head is over its limit."""


class InvalidEvent(EventHubError, code="invalid_event", status=422):
    """The payload does not fit the channel type."""


class IdempotencyConflict(EventHubError, code="idempotency_conflict", status=422):
    """The idempotency key was used with different data, by the event `id` if that is known yet."""

    def __init__(self, first: str | None) -> None:
        holder = f"event {first}" if first else "an event that is still being stored"
        super().__init__(
            f"the idempotency key was used before, by {holder}, with different data; "
            "use a new key for a new event"
        )
        self.id = first


class Internal(EventHubError, code="internal", status=500):
    """A fault of the server."""


class BrokerUnavailable(EventHubError, code="broker_unavailable", status=503):
    """The broker cannot store the event now."""


class KeysUnavailable(EventHubError, code="keys_unavailable", status=503):
    """The keys that verify the token cannot be fetched now."""


class TooManyChannels(EventHubError, code="too_many_channels", status=503, limit="channels"):
    """The broker holds as many channels as its limit allows."""


class Disconnected(EventHubError, code="disconnected", status=503):
    """An operator has ended the connection. The client may connect again."""


class NodeFull(EventHubError, code="node_full", status=503, limit="connections"):
    """This node has as many connections as its limit allows."""


class ShuttingDown(EventHubError, code="shutting_down", status=503):
    """This server is about to stop."""

    retry_after: float

    def as_goodbye(self) -> dict[str, object]:
        """The fields of a goodbye."""
        return {
            "code": self.code,
            "message": self.message,
            "reconnect_in": round(self.retry_after, 3),
        }


class ConfigurationError(Exception):
    """A setting that cannot be used: the server does not start."""
