"""DELETE /v1/channels/{channel}: the deletion of a key, or of an event. Each is an event, too."""

import time
from typing import Annotated

from fastapi import FastAPI, Query, Request, Response

from eventhub.auth.grants import Action
from eventhub.auth.principal import Principal
from eventhub.errors import EventHubError, InvalidRequest
from eventhub.events.channel_types import PublisherKind
from eventhub.events.deletions import deletion
from eventhub.events.event import NewEvent, with_author
from eventhub.events.keys import KEY_LENGTH
from eventhub.events.references import Reference, Relation, reference, with_reference
from eventhub.server.api.openapi import Stored
from eventhub.server.api.parameters import Channel, check_parameters
from eventhub.server.api.publish_openapi import header_parameters
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.messages.request_head import headers_by_name
from eventhub.server.publish.headers import attributes_of, idempotency_key_of, precondition_of
from eventhub.server.publish.response import receipt_response
from eventhub.server.security.authentication import address_of

Key = Annotated[str | None, Query(max_length=KEY_LENGTH, description="The key to delete")]
EventId = Annotated[
    str | None, Query(alias="id", description="The id of the event to delete, instead of a key")
]
HEADERS = ("Idempotency-Key", "If-Match", "If-None-Match", "ce-source", "ce-subject", "ce-type")


def add_delete_route(api: FastAPI, manager: ConnectionManager) -> None:
    """Add the route."""
    hub = manager.hub

    @api.delete(
        "/v1/channels/{channel}",
        response_model=Stored,
        summary="Delete a key, whose newest event leaves the channel's state, or an event",
        openapi_extra={"parameters": header_parameters(HEADERS)},
        tags=["publish"],
    )
    async def delete(
        request: Request, channel: Channel, key: Key = None, event_id: EventId = None
    ) -> Response:
        check_parameters(request, "key", "id")
        begin = time.perf_counter()
        try:
            headers = headers_by_name(request.scope["headers"])
            address = address_of(request.scope)
            principal = await manager.authentication.admit(headers, address=address)
            event, reference = _deletion(manager, channel, key, event_id, headers, principal)
            charge = manager.publish_quota.charge_for(
                principal, address, hub.types.resolve(channel)
            )
            if charge is not None:
                charge.take(1)
        except EventHubError as error:
            hub.rejected(channel, error)
            raise
        (outcome,) = await hub.references.publish((event,), (reference,))
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
    key: str | None,
    event_id: str | None,
    headers: dict[bytes, bytes],
    principal: Principal,
) -> tuple[NewEvent, Reference | None]:
    """The event that deletes the key, or the event with this id. Raises EventHubError."""
    channel_type = manager.hub.types.resolve(channel)
    channel_type.admit(PublisherKind.PRODUCER)
    principal.authorize(Action.PUBLISH, channel, channel_type.anonymous)
    manager.origin_check.check(headers)
    attributes = with_author(attributes_of(headers), principal.author)
    once = idempotency_key_of(headers)
    if (key is None) == (event_id is None):
        given = "neither key nor id" if key is None else "both key and id"
        raise InvalidRequest(
            f"the query has {given}; expected key, the key to delete, or id, the event to delete"
        )
    if key is None:
        found = reference(channel, channel_type, principal, event_id, Relation.DELETE)
        assert found is not None
        if precondition_of(headers) is not None:
            raise InvalidRequest("If-Match and If-None-Match are for a key; expected no id")
        stored = with_reference(attributes, found)
        return NewEvent(channel, b"null", manager.hub.now(), stored, once), found
    event = deletion(channel_type, channel, key, manager.hub.now(), attributes)
    return event._replace(key=once, expected=precondition_of(headers)), None
