"""DELETE /v1/channels/{channel}: the deletion of a key, which is an event."""

import time
from typing import Annotated

from fastapi import FastAPI, Query, Request, Response

from eventhub.auth.grants import Action
from eventhub.auth.principal import Principal
from eventhub.errors import EventHubError
from eventhub.events.channel_types import PublisherKind
from eventhub.events.deletions import deletion
from eventhub.events.event import NewEvent, with_author
from eventhub.events.keys import KEY_LENGTH
from eventhub.server.api.openapi import Stored
from eventhub.server.api.parameters import Channel, check_parameters
from eventhub.server.api.publish_openapi import header_parameters
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.messages.request_head import headers_by_name
from eventhub.server.publish.headers import attributes_of, idempotency_key_of, precondition_of
from eventhub.server.publish.response import receipt_response
from eventhub.server.security.authentication import address_of

Key = Annotated[str, Query(max_length=KEY_LENGTH, description="The key to delete")]
HEADERS = ("Idempotency-Key", "If-Match", "If-None-Match", "ce-source", "ce-subject", "ce-type")


def add_delete_route(api: FastAPI, manager: ConnectionManager) -> None:
    """Add the route."""
    hub = manager.hub

    @api.delete(
        "/v1/channels/{channel}",
        response_model=Stored,
        summary="Delete a key: its newest event leaves the channel's state",
        openapi_extra={"parameters": header_parameters(HEADERS)},
        tags=["publish"],
    )
    async def delete(request: Request, channel: Channel, key: Key) -> Response:
        check_parameters(request, "key")
        begin = time.perf_counter()
        try:
            headers = headers_by_name(request.scope["headers"])
            address = address_of(request.scope)
            principal = await manager.authentication.admit(headers, address=address)
            event = _deletion(manager, channel, key, headers, principal)
            charge = manager.publish_quota.charge_for(
                principal, address, hub.types.resolve(channel)
            )
            if charge is not None:
                charge.check()
                charge.pay(1)
        except EventHubError as error:
            hub.rejected(channel, error)
            raise
        (outcome,) = await hub.publish((event,))
        hub.answered(channel, time.perf_counter() - begin)
        if isinstance(outcome, EventHubError):
            raise outcome
        _, fields, body = receipt_response(channel, outcome)
        response = Response(body)
        response.raw_headers += fields
        return response


def _deletion(
    manager: ConnectionManager,
    channel: str,
    key: str,
    headers: dict[bytes, bytes],
    principal: Principal,
) -> NewEvent:
    """The event that deletes the key. Raises EventHubError."""
    channel_type = manager.hub.types.resolve(channel)
    channel_type.admit(PublisherKind.PRODUCER)
    principal.authorize(Action.PUBLISH, channel, channel_type.anonymous)
    manager.origin_check.check(headers)
    attributes = with_author(attributes_of(headers), principal.author)
    once = idempotency_key_of(headers)
    event = deletion(channel_type, channel, key, manager.hub.now(), attributes)
    return event._replace(key=once, expected=precondition_of(headers))
