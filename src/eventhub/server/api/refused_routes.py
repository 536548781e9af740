"""Events that were refused: listed, looked at, published again and discarded."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from fastapi import FastAPI, Path, Query, Request, Response
from pydantic import BaseModel

from eventhub.auth.grants import Action
from eventhub.auth.principal import Principal
from eventhub.errors import Forbidden, Unauthorized
from eventhub.events.channel_types import ChannelType
from eventhub.events.refused_event import RefusedEvent
from eventhub.server.api.access import authenticate
from eventhub.server.api.openapi import Batch, Stored
from eventhub.server.api.parameters import check_parameters
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.messages.request_head import headers_by_name
from eventhub.server.publish.publish_again import AgainPublisher

EVERY_TYPE = ("*", ">")
"""First tokens of patterns that fit channels of every type."""
TypeName = Annotated[str, Path(alias="type", description="The channel type's name, such as chat")]
EntryId = Annotated[str, Path(alias="id", description="The id of the refused event")]

log = structlog.get_logger("eventhub.refused")


class RefusedHead(BaseModel):
    """A refused event without its payload. `bytes` were received; `cut`: not all are kept."""

    id: str
    time: str
    type: str
    channel: str
    error: dict[str, Any]
    by: str | None
    transport: str | None
    key: str | None
    attributes: dict[str, str]
    options: dict[str, str]
    bytes: int
    cut: bool


class Refused(RefusedHead):
    """A refused event. `encoding`: `text`, or `base64` if the payload is no text in UTF-8."""

    encoding: str
    payload: str


class RefusedPage(BaseModel):
    """Refused events, the newest first. `next` is the `before` of the next page."""

    refused: list[RefusedHead]
    next: str | None


def add_refused_routes(api: FastAPI, manager: ConnectionManager) -> None:
    """Add the routes, the list first."""
    _add_list(api, manager)
    _add_entry(api, manager)
    _add_publish(api, manager)


def _add_list(api: FastAPI, manager: ConnectionManager) -> None:
    types, most = manager.hub.types, manager.settings.limits.page

    @api.get(
        "/v1/refused",
        summary="The events that were refused, the newest first",
        response_model=RefusedPage,
        tags=["refused"],
    )
    async def refused(
        request: Request,
        type_: Annotated[
            str | None, Query(alias="type", description="Only those of a channel type")
        ] = None,
        channel: Annotated[str | None, Query(description="Only those of a channel")] = None,
        before: Annotated[str | None, Query(description="The `next` of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=most, description="Events on the page")] = min(
            100, most
        ),
    ) -> dict[str, Any]:
        check_parameters(request, "type", "channel", "before", "limit")
        principal = await _reader(manager, request)
        asked: Iterable[ChannelType] = types if type_ is None else [types.named(type_)]
        if channel is not None:
            resolved = types.resolve(channel)
            principal.authorize(Action.REFUSED, channel, frozenset())
            asked = [each for each in asked if each is resolved]
        found = [
            entry
            for each in asked
            if _may_see_some(principal, each)
            for entry in await manager.hub.refused_events.heads(each)
            if channel in (None, entry.channel)
            and (before is None or entry.id < before)
            and principal.may(Action.REFUSED, entry.channel, frozenset())
        ]
        found.sort(key=_id, reverse=True)
        page = found[:limit]
        following = page[-1].id if len(found) > limit else None
        return {"refused": [entry.head() for entry in page], "next": following}


def _add_entry(api: FastAPI, manager: ConnectionManager) -> None:
    @api.get(
        "/v1/refused/{type}/{id}",
        summary="An event that was refused, with its payload",
        response_model=Refused,
        tags=["refused"],
    )
    async def show(request: Request, type_: TypeName, entry_id: EntryId) -> dict[str, Any]:
        check_parameters(request)
        _, _, entry = await _entry(manager, request, type_, entry_id)
        return entry.whole()

    @api.delete(
        "/v1/refused/{type}/{id}",
        summary="Discard an event that was refused",
        status_code=204,
        tags=["refused"],
    )
    async def discard(request: Request, type_: TypeName, entry_id: EntryId) -> Response:
        check_parameters(request)
        manager.origin_check.check(headers_by_name(request.scope["headers"]))
        principal, channel_type, entry = await _entry(manager, request, type_, entry_id)
        await manager.hub.refused_events.remove(channel_type, entry)
        log.info("refused_discarded", principal=principal.name, type=type_, id=entry.id)
        return Response(status_code=204)


def _add_publish(api: FastAPI, manager: ConnectionManager) -> None:
    publisher = AgainPublisher(manager)
    content = {"application/json": {"schema": {"description": "The mended payload"}}}

    @api.post(
        "/v1/refused/{type}/{id}",
        summary="Publish an event that was refused again, mended by the body if there is one",
        status_code=201,
        response_model=Stored | Batch,
        openapi_extra={"requestBody": {"required": False, "content": content}},
        tags=["refused"],
    )
    async def publish(request: Request, type_: TypeName, entry_id: EntryId) -> Response:
        check_parameters(request)
        principal, _, entry = await _entry(manager, request, type_, entry_id)
        headers = headers_by_name(request.scope["headers"])
        found = await publisher.publish(entry, principal, request.scope, headers, request.receive)
        if found.status == HTTPStatus.CREATED:
            log.info("refused_published", principal=principal.name, type=type_, id=entry.id)
        response = Response(found.body, found.status)
        response.raw_headers += found.headers
        return response


async def _reader(manager: ConnectionManager, request: Request) -> Principal:
    """Who sent the request. Raises Unauthorized, Forbidden if it may see no refused event."""
    principal = await authenticate(manager, request)
    if principal.operator or principal.grants.patterns[Action.REFUSED]:
        return principal
    expected = "expected a pattern for it in refused of its entry in auth.keys, in its claim"
    expected = f"{expected} channels.refused, or operator: true"
    if not principal.known:
        raise Unauthorized(f"refused events need a credential, and none was sent; {expected}")
    raise Forbidden(
        f"{principal.kind} {principal.name!r} has no grant for refused events; {expected}"
    )


async def _entry(
    manager: ConnectionManager, request: Request, type_: str, entry_id: str
) -> tuple[Principal, ChannelType, RefusedEvent]:
    """An entry that the request's principal may see. Raises EventHubError."""
    principal = await _reader(manager, request)
    channel_type = manager.hub.types.named(type_)
    entry = await manager.hub.refused_events.entry(channel_type, entry_id)
    if not principal.may(Action.REFUSED, entry.channel, frozenset()):
        raise manager.hub.refused_events.not_found(channel_type, entry_id)
    return principal, channel_type, entry


def _may_see_some(principal: Principal, channel_type: ChannelType) -> bool:
    """Whether it may be granted a channel of this type."""
    first = {text.partition(".")[0] for text in principal.grants.patterns[Action.REFUSED]}
    return principal.operator or not first.isdisjoint((*EVERY_TYPE, channel_type.name))


def _id(entry: RefusedEvent) -> str:
    return entry.id
