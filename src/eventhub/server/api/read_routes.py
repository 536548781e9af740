"""Reading without a stream: history, presence, channel types."""

from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Path, Query, Request, Response

from eventhub.auth.grants import Action
from eventhub.delivery.cloudevents import CloudEvents
from eventhub.delivery.encoding import event_json, gap_fields
from eventhub.events.channel_types import ChannelType
from eventhub.events.event import Gap, Last, Latest
from eventhub.events.since import parse_since
from eventhub.hub.counting import count_matching
from eventhub.hub.filtered_reading import (
    FilteredPage,
    select_from,
)
from eventhub.server.api.access import authenticate, authorize
from eventhub.server.api.cloudevent_pages import BATCH, batch_response, cloudevents_wanted
from eventhub.server.api.parameters import (
    Channel,
    Match,
    Where,
    check_parameters,
    pattern_of,
)
from eventhub.server.connections.manager import ConnectionManager

Since = Annotated[
    str,
    Query(
        description="An id, earliest, latest, state (the newest event of each key), a count such "
        "as -20, or an age such as 10m"
    ),
]
TypeName = Annotated[str, Path(description="The channel type's name, such as chat")]


def add_read_routes(api: FastAPI, manager: ConnectionManager) -> None:
    """Add the routes, history first."""
    _add_channels(api, manager)
    _add_history(api, manager)
    _add_count(api, manager)
    _add_types(api, manager)
    _add_versions(api, manager)


def _add_channels(api: FastAPI, manager: ConnectionManager) -> None:
    most = manager.settings.limits.page

    @api.get(
        "/v1/channels",
        summary="The channels that have events or subscribers, on all nodes",
        tags=["read"],
    )
    async def channels(
        request: Request,
        match: Match = ">",
        after: Annotated[str, Query(description="The `next` of the page before")] = "",
        limit: Annotated[int, Query(ge=1, le=most, description="Channels on the page")] = min(
            100, most
        ),
    ) -> dict[str, Any]:
        check_parameters(request, "match", "after", "limit")
        pattern = pattern_of(match)
        principal = await authenticate(manager, request)
        found = await manager.channel_directory.read(pattern, after, limit, principal)
        return found._asdict()


def _add_history(api: FastAPI, manager: ConnectionManager) -> None:
    hub, most = manager.hub, manager.settings.limits.page

    @api.get("/v1/channels/{channel}", summary="A page of history", tags=["read"], responses=BATCH)
    async def history(
        request: Request,
        channel: Channel,
        since: Since = "earliest",
        limit: Annotated[int, Query(ge=1, le=most, description="Events on the page")] = min(
            100, most
        ),
        where: Where = None,
    ) -> Response:
        begin = parse_since(since)
        check_parameters(request, "since", "limit", "where")
        (await authorize(manager, request, Action.SUBSCRIBE, channel)).check_since(begin)
        if isinstance(begin, Latest):  # an empty page, whose position is the end of the log
            begin = (await hub.history(channel, Last(1), 1)).end
        if where is None:
            page = await hub.history(channel, begin, limit)
            found = FilteredPage(page, page.events, page.reached, None)
        else:
            filter_ = hub.filter(where)
            found = await select_from(filter_, await hub.history(channel, begin, most), limit)
        if (cloudevents := cloudevents_wanted(manager, request)) is not None:
            return _cloudevents_page(cloudevents, channel, found, since)
        return Response(_encode_page(channel, found, since), media_type="application/json")


def _add_count(api: FastAPI, manager: ConnectionManager) -> None:
    hub, most = manager.hub, manager.settings.limits.page

    @api.get(
        "/v1/channels/{channel}/count",
        summary="How many events follow a position, such as unread messages",
        tags=["read"],
    )
    async def count(
        request: Request, channel: Channel, since: Since = "earliest", where: Where = None
    ) -> dict[str, Any]:
        begin = parse_since(since)
        check_parameters(request, "since", "where")
        (await authorize(manager, request, Action.SUBSCRIBE, channel)).check_since(begin)
        if isinstance(begin, Latest):
            begin = (await hub.history(channel, Last(1), 1)).end
        if where is None:
            counted = await hub.count(channel, begin, most)
        else:
            read = partial(hub.history, channel)
            counted = await count_matching(read, begin, most, hub.filter(where))
        return {
            "channel": channel,
            "count": counted.events,
            "more": counted.more,
            "text": f"{counted.events}+" if counted.more else str(counted.events),
            "position": str(counted.start),
            "head": str(counted.end),
            "lost": counted.lost,
        }


def _add_types(api: FastAPI, manager: ConnectionManager) -> None:
    channel_types = manager.hub.types

    @api.get("/v1/types", summary="The channel types", tags=["read"])
    async def types(request: Request) -> dict[str, Any]:
        check_parameters(request)
        return {"types": [_describe(channel_type) for channel_type in channel_types]}

    @api.get(
        "/v1/types/{name}",
        summary="A channel type with the JSON Schemas of its events",
        tags=["read"],
    )
    async def type_(request: Request, name: TypeName) -> dict[str, Any]:
        check_parameters(request)
        channel_type = channel_types.named(name)
        schema = channel_type.schema
        schemas = {"accepted": schema.accepted, "stored": schema.stored}
        if channel_type.signals.publish:
            schemas["signal"] = (channel_type.signals.schema or schema).accepted
        return {**_describe(channel_type), "schemas": schemas}


def _add_versions(api: FastAPI, manager: ConnectionManager) -> None:
    hub = manager.hub

    @api.get(
        "/v1/types/{name}/versions",
        summary="The versions of a channel type's schema that were accepted",
        tags=["read"],
    )
    async def versions(request: Request, name: TypeName) -> dict[str, Any]:
        check_parameters(request)
        kept = await hub.schemas.recent(hub.types.named(name))
        return {"name": name, "versions": [each.version for each in kept]}

    @api.get(
        "/v1/types/{name}/versions/{version}",
        summary="A version of a channel type's schema",
        tags=["read"],
    )
    async def version(
        request: Request,
        name: TypeName,
        version: Annotated[int, Path(ge=1, description="The version, such as 2")],
    ) -> dict[str, Any]:
        check_parameters(request)
        found = await hub.schemas.version(hub.types.named(name), version)
        schemas = {"accepted": found.schemas.accepted, "stored": found.schemas.stored}
        return {"name": name, "version": found.version, "schemas": schemas}


def _encode_page(channel: str, found: FilteredPage, since: str) -> bytes:
    page = found.page
    gap = gap_fields(Gap.of(parse_since(since), page)) if page.lost else None
    events = b",".join(event_json(event) for event in found.events)
    failed = b""
    if found.failure is not None:
        failed = b',"filter_failed":%b' % orjson.dumps(found.failure._asdict())
    return b'{"channel":"%b","events":[%b],"position":"%b","head":"%b","gap":%b%b}' % (
        channel.encode(),
        events,
        str(found.following).encode(),
        str(page.end).encode(),
        orjson.dumps(gap),
        failed,
    )


def _cloudevents_page(
    cloudevents: CloudEvents, channel: str, found: FilteredPage, since: str
) -> Response:
    page = found.page
    fields: dict[str, Any] = {
        "channel": channel,
        "position": str(found.following),
        "head": str(page.end),
    }
    if found.failure is not None:
        fields["filter_failed"] = found.failure._asdict()
    gaps = []
    if page.lost:
        gap = Gap.of(parse_since(since), page)
        gaps = [({"channel": channel, **gap_fields(gap)}, gap.position)]
    return batch_response(cloudevents, gaps, found.events, fields)


def _describe(channel_type: ChannelType) -> dict[str, Any]:
    retention, version = channel_type.retention, channel_type.version
    age = None if retention.age is None else retention.age / 1000
    return {
        "name": channel_type.name,
        "payload": channel_type.payload,
        "history": {
            "events": retention.events,
            "age": age,
            "latest": retention.state is not None and retention.state.latest,
        },
        "presence": channel_type.presence,
        "slow": channel_type.slow,
        "publish": sorted(channel_type.publish),
        "sender": channel_type.sender,
        "key": None if channel_type.key is None else channel_type.key.text,
        "signals": sorted(channel_type.signals.publish),
        "version": None if version is None else version.number,
        "compatibility": None if version is None else version.compatibility,
    }
